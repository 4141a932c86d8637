"""What XEP-0047 puts into a stanza: `<open/>`, `<data/>` and `<close/>`, read and written.

Pure. `ibb` decides what they mean for a stream, `ibb_table` which stream they belong to.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from router.xmpp import names
from router.xmpp.errors import StanzaError
from router.xmpp.writer import attributes

MAX_BLOCK_BYTES: Final = 65_535
DEFAULT_BLOCK_BYTES: Final = 4096
SEQUENCE: Final = 65_536
"""How many sequence numbers there are: 0 follows 65535 (XEP-0047 §2.2)."""
STANZAS: Final = ("iq", "message")
OPEN_TAG: Final = f"{{{names.IBB}}}open"
DATA_TAG: Final = f"{{{names.IBB}}}data"
CLOSE_TAG: Final = f"{{{names.IBB}}}close"

_MAX_SID_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class Open:
    """A request to open the bytestream `sid` with blocks of at most `block_size_bytes`."""

    sid: str
    block_size_bytes: int
    stanza: str = "iq"

    def octets(self) -> bytes:
        """The element, self-contained."""
        given = {"block-size": str(self.block_size_bytes), "sid": self.sid, "stanza": self.stanza}
        return f"<open xmlns='{names.IBB}'{attributes(given)}/>".encode()


@dataclass(frozen=True, slots=True)
class Data:
    """One block: `seq` is its number in its direction, modulo 65536."""

    sid: str
    seq: int
    block: bytes

    def octets(self) -> bytes:
        """The element, self-contained."""
        given = attributes({"seq": str(self.seq), "sid": self.sid})
        text = base64.b64encode(self.block)
        return b"<data xmlns='%b'%b>%b</data>" % (names.IBB.encode(), given.encode(), text)


@dataclass(frozen=True, slots=True)
class Close:
    """The end of the bytestream `sid`, in both directions."""

    sid: str

    def octets(self) -> bytes:
        """The element, self-contained."""
        return f"<close xmlns='{names.IBB}'{attributes({'sid': self.sid})}/>".encode()


def parse(element: Element) -> Open | Data | Close | StanzaError:
    """What the payload says, or the error that answers it (XEP-0047 §2)."""
    sid = parsed_sid(element)
    if sid is None:
        return _bad("no usable sid")
    if element.tag == OPEN_TAG:
        return _open(element, sid)
    if element.tag == DATA_TAG:
        return _data(element, sid)
    return Close(sid) if element.tag == CLOSE_TAG else StanzaError.of("feature-not-implemented")


def parsed_sid(element: Element) -> str | None:
    """The bytestream's identifier, None when there is none or it is over 256 characters."""
    sid = element.get("sid", "")
    return sid if 0 < len(sid) <= _MAX_SID_CHARACTERS else None


def parsed_block_size(text: str) -> int | None:
    """A block size in octets, None when it is not one that XEP-0047 §2.1 allows."""
    size = _number(text)
    return size if size is not None and 0 < size <= MAX_BLOCK_BYTES else None


def decoded(text: str) -> bytes | None:
    """The octets of one block, None unless it is exactly what RFC 4648 §4 makes of them.

    XEP-0047 §6: white space and padding elsewhere than at the end are refused, not skipped; so
    are bits that the padding leaves over, which could carry something unseen.
    """
    try:
        octets = text.encode("ascii")
        block = binascii.a2b_base64(octets, strict_mode=True) if octets else b""
    except (UnicodeEncodeError, binascii.Error):
        return None
    return block if base64.b64encode(block) == octets else None


def _open(element: Element, sid: str) -> Open | StanzaError:
    size = parsed_block_size(element.get("block-size", ""))
    stanza = element.get("stanza", "iq")
    if size is None or stanza not in STANZAS:
        return _bad("no usable block-size or stanza")
    return Open(sid, size, stanza)


def _data(element: Element, sid: str) -> Data | StanzaError:
    seq = _number(element.get("seq", ""))
    if seq is None or seq >= SEQUENCE or len(element):
        return _bad("no usable seq, or elements in the data")
    block = decoded(element.text or "")
    return _bad("not base64") if block is None else Data(sid, seq, block)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None


def _bad(detail: str) -> StanzaError:
    return StanzaError("bad-request", "cancel", detail)
