"""The `<query/>` of XEP-0065 between a proxy and those who use it, read and written on both sides.

`proxy` answers with it; who wants to use somebody else's proxy asks with it.
"""

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from router.xmpp import names
from router.xmpp.bytestreams.ibb_elements import parsed_sid
from router.xmpp.bytestreams.s5b_transport import DEFAULT_PORT
from router.xmpp.errors import StanzaError
from router.xmpp.writer import attributes

QUERY_TAG: Final = f"{{{names.BYTESTREAMS}}}query"

_ACTIVATE_TAG: Final = f"{{{names.BYTESTREAMS}}}activate"
_STREAMHOST_TAG: Final = f"{{{names.BYTESTREAMS}}}streamhost"
_MAX_ADDRESS_CHARACTERS: Final = 3071  # RFC 7622 §3.1
_MAX_HOST_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True)
class StreamHost:
    """Where a proxy can be reached: its address in XMPP, and host and port for SOCKS5."""

    jid: str
    host: str
    port: int

    def element(self) -> str:
        """`<query/>` with it, the answer to `AddressWanted` (XEP-0065 §4)."""
        given = attributes({"host": self.host, "jid": self.jid, "port": str(self.port)})
        return f"<query xmlns='{names.BYTESTREAMS}'><streamhost{given}/></query>"


@dataclass(frozen=True, slots=True)
class AddressWanted:
    """An iq get: where is this proxy? (XEP-0065 §4)"""

    def element(self) -> str:
        """`<query/>`, self-contained."""
        return f"<query xmlns='{names.BYTESTREAMS}'/>"


@dataclass(frozen=True, slots=True)
class Activate:
    """An iq set: link the two connections of this bytestream (XEP-0065 §6.3.5)."""

    sid: str
    target: str

    def element(self) -> str:
        """`<query/>`, self-contained."""
        return (
            f"<query xmlns='{names.BYTESTREAMS}'{attributes({'sid': self.sid})}>"
            f"<activate>{escape(self.target)}</activate></query>"
        )


def parse_request(query: Element, type_of: str) -> AddressWanted | Activate | StanzaError:
    """What a `<query/>` in an iq of this type asks of a proxy, or the error that answers it.

    UDP is not implemented, and a bytestream is agreed by Jingle only: both are not acceptable.
    """
    if query.get("mode", "tcp") != "tcp":
        return StanzaError.of("not-acceptable", "TCP only")
    if type_of == "get":
        return AddressWanted()
    if query.find(_STREAMHOST_TAG) is not None:
        return StanzaError.of("not-acceptable", "bytestreams are agreed by Jingle here")
    sid, activate = parsed_sid(query), query.findall(_ACTIVATE_TAG)
    target = (activate[0].text or "").strip() if len(activate) == 1 else ""
    if sid is None or not 0 < len(target) <= _MAX_ADDRESS_CHARACTERS:
        return StanzaError.of("bad-request", "no usable sid, or not one address to activate")
    return Activate(sid, target)


def parse_streamhost(query: Element) -> StreamHost | None:
    """The proxy's answer to `AddressWanted`; None when it names no place to connect to."""
    found = query.find(_STREAMHOST_TAG)
    if found is None:
        return None
    jid, host, port = found.get("jid", ""), found.get("host", ""), found.get("port", "")
    port = port or str(DEFAULT_PORT)
    is_number = port.isascii() and port.isdigit() and len(port) <= 5
    fits = 0 < len(jid) <= _MAX_ADDRESS_CHARACTERS and 0 < len(host) <= _MAX_HOST_CHARACTERS
    if not (fits and is_number and 0 < int(port) < 65_536):
        return None
    return StreamHost(jid, host, int(port))
