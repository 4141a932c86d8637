"""The in-band bytestreams of one address: which of them a stanza belongs to.

Whoever owns the address hands in iqs and messages with an element of XEP-0047 in them, and answers
to iqs of ours, from anybody. What belongs to no bytestream is answered here (IBB-06).
"""

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as etree

from router.xmpp import names
from router.xmpp.bytestreams.ibb import InBandBytestream
from router.xmpp.bytestreams.ibb_elements import Open, parse, parsed_sid
from router.xmpp.bytestreams.ibb_events import IbbEvent
from router.xmpp.errors import STANZA_CONDITIONS, MisuseError, StanzaError
from router.xmpp.stanza import Stanza, bounce, may_bounce

_NO_SUCH: Final = StanzaError.of("item-not-found", "no such bytestream")
_UNAGREED: Final = StanzaError("not-acceptable", "cancel", "not agreed by Jingle")
_UNREADABLE: Final = StanzaError.of("bad-request", "one element of XEP-0047")
_CONDITION: Final = f"{{{names.STANZA_ERRORS}}}"
_PAYLOAD: Final = f"{{{names.IBB}}}"


@dataclass(frozen=True, slots=True)
class Received:
    """What a stanza did: to a bytestream, whose stanzas are to be sent now; or an answer to it."""

    stream: InBandBytestream | None = None
    events: tuple[IbbEvent, ...] = ()
    answer: bytes | None = None


class InBandBytestreams:
    """Bytestreams by peer and sid: at most `max_streams`, and `max_per_peer` of one address."""

    def __init__(self, max_streams: int = 1024, max_per_peer: int = 8) -> None:
        self._max_streams = max_streams
        self._max_per_peer = max_per_peer
        self._by_peer: dict[str, dict[str, InBandBytestream]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def has_room(self, peer: str, sid: str) -> bool:
        """Whether a bytestream of this name may be added."""
        theirs = self._by_peer.get(peer, {})
        return (
            self._count < self._max_streams
            and len(theirs) < self._max_per_peer
            and sid not in theirs
        )

    def add(self, stream: InBandBytestream) -> None:
        """Take its stanzas from now on. Raises MisuseError when there is no room for it."""
        peer, sid = stream.terms.peer, stream.terms.sid
        if not self.has_room(peer, sid):
            raise MisuseError("no room for an in-band bytestream")
        self._by_peer.setdefault(peer, {})[sid] = stream
        self._count += 1

    def remove(self, stream: InBandBytestream) -> None:
        """Forget a bytestream that is closed, if it is there."""
        peer, sid = stream.terms.peer, stream.terms.sid
        theirs = self._by_peer.get(peer, {})
        if theirs.get(sid) is stream:
            del theirs[sid]
            self._count -= 1
            if not theirs:
                del self._by_peer[peer]

    def awaits(self, stanza: Stanza) -> bool:
        """Whether this iq is an answer that one of the bytestreams waits for."""
        is_answer = stanza.kind == "iq" and stanza.attributes.get("type") in ("result", "error")
        return is_answer and self._asker(stanza) is not None

    def receive(self, stanza: Stanza, now: float) -> Received:
        """One stanza for the address, neutral, from whoever its `from` says (IBB-06)."""
        kind_of = stanza.attributes.get("type", "")
        if stanza.kind == "iq" and kind_of in ("result", "error"):
            return self._answered(stanza, now)
        payload = _payload(stanza)
        stream = self._named(stanza, payload)
        if kind_of == "error":
            if stream is None:
                return Received()
            return Received(stream, tuple(stream.message_failed(_error(stanza), now)))
        if payload is None or (stanza.kind == "iq") != (kind_of == "set"):
            return _answer(stanza, _UNREADABLE)
        said = parse(payload)
        if stream is None:
            if isinstance(said, StanzaError):
                return _answer(stanza, said)
            return _answer(stanza, _UNAGREED if isinstance(said, Open) else _NO_SUCH)
        return Received(stream, tuple(stream.receive(stanza, said, now)))

    def deadline(self) -> float | None:
        """When to call `deadline_passed`."""
        return min((at for s in self._all() if (at := s.deadline()) is not None), default=None)

    def deadline_passed(self, now: float) -> list[Received]:
        """What happens by itself; the bytestreams named have stanzas to send."""
        late = [s for s in self._all() if (at := s.deadline()) is not None and at <= now]
        return [Received(stream, tuple(stream.deadline_passed(now))) for stream in late]

    def _all(self) -> list[InBandBytestream]:
        return [stream for theirs in self._by_peer.values() for stream in theirs.values()]

    def _answered(self, stanza: Stanza, now: float) -> Received:
        stream = self._asker(stanza)
        if stream is None:
            return Received()
        error = _error(stanza) if stanza.attributes["type"] == "error" else None
        return Received(stream, tuple(stream.answered(stanza.attributes["id"], error, now)))

    def _asker(self, stanza: Stanza) -> InBandBytestream | None:
        theirs = self._by_peer.get(stanza.attributes.get("from", ""), {})
        stanza_id = stanza.attributes.get("id", "")
        return next((stream for stream in theirs.values() if stream.awaits(stanza_id)), None)

    def _named(self, stanza: Stanza, payload: etree.Element | None) -> InBandBytestream | None:
        theirs = self._by_peer.get(stanza.attributes.get("from", ""), {})
        sid = parsed_sid(payload) if payload is not None else None
        return theirs.get(sid) if sid is not None else None


def _payload(stanza: Stanza) -> etree.Element | None:
    """The one element of XEP-0047 in the stanza; an iq has no other (RFC 6120 §8.2.3)."""
    children = _children(stanza)
    ours = [child for child in children if child.tag.startswith(_PAYLOAD)]
    is_alone = len(ours) == 1 and (stanza.kind != "iq" or len(children) == 1)
    return ours[0] if is_alone or (stanza.attributes.get("type") == "error" and ours) else None


def _error(stanza: Stanza) -> StanzaError:
    """The error in a stanza; `undefined-condition` when it is none that RFC 6120 knows."""
    for child in _children(stanza):
        if child.tag == "error":
            kind = child.get("type", "cancel")
            for condition in child:
                name = condition.tag.removeprefix(_CONDITION)
                if name in STANZA_CONDITIONS:
                    return StanzaError(name, kind)
    return StanzaError.of("undefined-condition")


def _children(stanza: Stanza) -> list[etree.Element]:
    try:
        return list(etree.fromstring(stanza.octets))
    except etree.ParseError:  # a namespace with "}" in it; no protocol that we speak has one
        return []


def _answer(stanza: Stanza, error: StanzaError) -> Received:
    return Received(answer=bounce(stanza, error) if may_bounce(stanza) else None)
