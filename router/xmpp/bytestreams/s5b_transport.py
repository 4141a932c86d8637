"""SOCKS5 bytestreams as a Jingle transport (XEP-0260): candidates and what is said of them.

Read and written here. `nomination` decides with these values; `router.xmpp.jingle` carries them.
"""

from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from router.xmpp import names
from router.xmpp.bytestreams.ibb_elements import parsed_sid
from router.xmpp.jingle.transport import Transport, TransportFault
from router.xmpp.writer import attributes

MAX_CANDIDATES: Final = 16
"""Of one side. Beyond that an offer is a fault; no standard has a number."""
TYPE_PREFERENCES: Final = {"direct": 126, "assisted": 120, "tunnel": 110, "proxy": 10}
PROXY: Final = "proxy"
DEFAULT_PORT: Final = 1080  # XEP-0065 §9.2, as in RFC 1928

_PREFIX: Final = f"{{{names.JINGLE_S5B}}}"
_MAX_CHARACTERS: Final = {"cid": 256, "host": 255, "jid": 3071}
_MAX_PRIORITY: Final = 2**31 - 1


def priority(type_of: str, local_preference: int) -> int:
    """The priority of a candidate (XEP-0260 §2.2): its type, then 0 to 65535 among its like."""
    assert 0 <= local_preference < 65_536
    return 65_536 * TYPE_PREFERENCES[type_of] + local_preference


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where the other side may connect to (XEP-0260 §2.2). `jid` is the StreamHost's."""

    cid: str
    host: str
    jid: str
    port: int
    priority: int
    type: str = "direct"

    def place(self) -> tuple[str, int]:
        """Host and port, equal for all spellings of an address."""
        try:
            return IPv6Address(self.host).compressed, self.port
        except AddressValueError:
            return self.host.lower(), self.port

    def element(self) -> str:
        """`<candidate/>`, in the namespace of its surroundings."""
        given = {
            "cid": self.cid,
            "host": self.host,
            "jid": self.jid,
            "port": str(self.port),
            "priority": str(self.priority),
            "type": self.type,
        }
        return f"<candidate{attributes(given)}/>"


@dataclass(frozen=True, slots=True)
class S5bOffer:
    """One side's candidates. `mode` is None where the attribute is missing, as in any answer."""

    sid: str
    candidates: tuple[Candidate, ...] = ()
    dstaddr: str | None = None
    mode: str | None = None

    @property
    def namespace(self) -> str:
        """Version 1 is the only one that we speak."""
        return names.JINGLE_S5B

    def element(self) -> bytes:
        """`<transport/>`, self-contained."""
        given = attributes({"dstaddr": self.dstaddr, "mode": self.mode})
        inside = "".join(candidate.element() for candidate in self.candidates)
        return _transport(self.sid, inside, given)

    def is_answered_by(self, answer: Transport) -> bool:
        """Whether the answer repeats the sid (XEP-0260 §2.2).

        Ours omits the mode, and places that the initiator has offered. That a peer's does too is
        not insisted upon: tcp is what no mode means, and two connections to one proxy do no harm.
        """
        return isinstance(answer, S5bOffer) and answer.sid == self.sid

    def answer(self, ours: "S5bOffer") -> "S5bOffer":
        """Our answer: these candidates of ours without those whose place the peer has offered."""
        places = {candidate.place() for candidate in self.candidates}
        kept = tuple(each for each in ours.candidates if each.place() not in places)
        return replace(ours, sid=self.sid, candidates=kept, mode=None)


@dataclass(frozen=True, slots=True)
class _Said:
    """Base of what a transport-info says of an agreed bytestream (XEP-0260 §2.3, §2.4)."""

    sid: str

    @property
    def namespace(self) -> str:
        """Version 1 is the only one that we speak."""
        return names.JINGLE_S5B


@dataclass(frozen=True, slots=True)
class CandidateUsed(_Said):
    """The sender has connected to this candidate of the receiver."""

    cid: str

    def element(self) -> bytes:
        """`<transport/>` with what it says."""
        return _transport(self.sid, f"<candidate-used cid={quoteattr(self.cid)}/>")


@dataclass(frozen=True, slots=True)
class CandidateError(_Said):
    """The sender could connect to none of the receiver's candidates."""

    def element(self) -> bytes:
        """`<transport/>` with what it says."""
        return _transport(self.sid, "<candidate-error/>")


@dataclass(frozen=True, slots=True)
class Activated(_Said):
    """The nominated proxy, a candidate of the sender's, carries the bytestream from now on."""

    cid: str

    def element(self) -> bytes:
        """`<transport/>` with what it says."""
        return _transport(self.sid, f"<activated cid={quoteattr(self.cid)}/>")


@dataclass(frozen=True, slots=True)
class ProxyError(_Said):
    """The sender cannot use the nominated proxy."""

    def element(self) -> bytes:
        """`<transport/>` with what it says."""
        return _transport(self.sid, "<proxy-error/>")


Said = CandidateUsed | CandidateError | Activated | ProxyError


def parse(element: Element) -> S5bOffer | TransportFault:
    """The offer or answer in a `<transport/>`. A candidate of an unknown type is left out."""
    sid, mode = parsed_sid(element), element.get("mode")
    if not element.tag.startswith(_PREFIX) or sid is None or mode not in (None, "tcp"):
        return TransportFault("no usable sid, or a mode other than tcp")
    found = [_candidate(each) for each in element.findall(f"{_PREFIX}candidate")]
    candidates = [each for each in found if isinstance(each, Candidate)]
    if len(found) > MAX_CANDIDATES or len(candidates) < len(found):
        return TransportFault("too many candidates, or one that lacks something")
    if len({each.cid for each in candidates}) < len(candidates):
        return TransportFault("two candidates with one cid")
    known = tuple(each for each in candidates if each.type in TYPE_PREFERENCES)
    return S5bOffer(sid, known, element.get("dstaddr"), mode)


def parse_info(element: Element) -> Said | TransportFault:
    """What a transport-info says; exactly one thing."""
    sid, children = parsed_sid(element), list(element)
    if not element.tag.startswith(_PREFIX) or sid is None or len(children) != 1:
        return TransportFault("no usable sid, or not one element")
    name, cid = children[0].tag, children[0].get("cid", "")
    if name == f"{_PREFIX}candidate-error":
        return CandidateError(sid)
    if name == f"{_PREFIX}proxy-error":
        return ProxyError(sid)
    if name == f"{_PREFIX}candidate-used" and cid:
        return CandidateUsed(sid, cid)
    if name == f"{_PREFIX}activated" and cid:
        return Activated(sid, cid)
    return TransportFault("neither an outcome nor an activation")


def _candidate(element: Element) -> Candidate | None:
    text = {name: element.get(name, "") for name in _MAX_CHARACTERS}
    port = _number(element.get("port", str(DEFAULT_PORT)), 65_535)
    rank = _number(element.get("priority", ""), _MAX_PRIORITY)
    fits = all(0 < len(text[name]) <= longest for name, longest in _MAX_CHARACTERS.items())
    if port is None or rank is None or not fits:
        return None
    type_of = element.get("type", "direct")
    return Candidate(text["cid"], text["host"], text["jid"], port, rank, type_of)


def _number(text: str, largest: int) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_number and 0 < int(text) <= largest else None


def _transport(sid: str, inside: str, given: str = "") -> bytes:
    named = attributes({"sid": sid})
    return f"<transport xmlns='{names.JINGLE_S5B}'{named}{given}>{inside}</transport>".encode()
