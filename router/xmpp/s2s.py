"""What both ends of a server-to-server stream do alike: dialback, grants, the header's checks.

`receiving` and `initiating` are the two roles; this is their common ground, and dialback's `Host`.
"""

import weakref
from collections.abc import Callable
from xml.etree import ElementTree as etree

from router.xmpp import limits, names
from router.xmpp.dialback import RESULT_TAG, VERIFY_TAG, Dialback, is_verify_answer
from router.xmpp.errors import MisuseError, StreamError
from router.xmpp.events import Event, Ignored, PairAuthorised
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.reader import Header
from router.xmpp.states import Phase
from router.xmpp.xmlstream import XmlStream

LANG = f"{{{names.XML}}}lang"


class ServerStream(XmlStream):
    """A server-to-server stream (RFC 6120, XEP-0220, XEP-0288), either role."""

    NAMESPACE = names.SERVER

    def __init__(self, policy: Policy, new_id: Callable[[], str], phase: Phase, now: float) -> None:
        super().__init__(policy, new_id, phase, now)
        self.local = ""
        self.remote = ""
        self._dialback = Dialback(weakref.proxy(self))  # no cycle: it goes when the stream goes

    def own_limits(self) -> str:
        """`<limits/>`: what we take of a peer that has proved its domain (LIM-01)."""
        return limits.announcement(self.policy.limits.max_stanza_bytes)

    def answer_key(self, pair: DomainPair, stream_id: str, verdict: str, now: float) -> list[Event]:
        """Answer a `KeyReceived`: "valid", "invalid" or a stanza error condition."""
        self._now = now
        if self.phase not in (Phase.CLOSING, Phase.CLOSED):
            self._dialback.answer_key(pair, stream_id, verdict)
        return self._take_events()

    def may_ask_for(self, pair: DomainPair) -> bool:
        """Whether a further pair, sender hosted here, may be proved to the peer on this stream."""
        raise NotImplementedError

    def ask_for(self, pair: DomainPair, now: float) -> list[Event]:
        """Prove a further pair by dialback: ends in `PairAuthorised` or `PairRefused`.

        XEP-0220 §2.6, XEP-0288 §2.2. MisuseError unless `may_ask_for` it.
        """
        if not self.may_ask_for(pair):
            raise MisuseError(f"{pair} may not be asked for on this stream")
        self._now = now
        self._dialback.send_key(pair, now)
        return self._take_events()

    def accepts_keys(self) -> bool:
        """Whether the peer may prove pairs on this stream."""
        raise NotImplementedError

    def speaks_for(self, domain: str) -> bool:
        """Whether the peer may take us for this hosted domain on this stream."""
        raise NotImplementedError

    def peer_proved(self, pair: DomainPair, mechanism: str) -> None:
        """The peer may send stanzas of `pair`."""
        raise NotImplementedError

    def ours_accepted(self, pair: DomainPair) -> None:
        """The peer takes stanzas of `pair` from us."""
        raise NotImplementedError

    def _may_receive(self, pair: DomainPair, mechanism: str) -> None:
        if pair not in self.grants.receive:
            self._reader.hears_stanzas = True
            self.grants.receive[pair] = mechanism
            self.emit(PairAuthorised(pair, False, mechanism))

    def _may_send(self, pair: DomainPair, mechanism: str) -> None:
        if pair not in self.grants.send:
            self.grants.send[pair] = mechanism
            self.emit(PairAuthorised(pair, True, mechanism))

    def _received_dialback(self, element: etree.Element) -> bool:
        """Hand over dialback elements; False for any other element."""
        if element.tag not in (RESULT_TAG, VERIFY_TAG):
            return False
        if not self.policy.dialback:
            raise StreamError("policy-violation", "dialback is not in use here")
        if self.phase is Phase.CLOSING and not is_verify_answer(element):
            self.emit(Ignored("dialback element on a stream that we are closing"))
        else:
            self._dialback.received(element)
        return True

    def _next_deadline(self) -> float | None:
        return self._dialback.deadline()

    def _deadlines_passed(self, now: float) -> None:
        self._dialback.deadline_passed(now)


def speaks_version_1(header: Header) -> bool:
    """Whether the peer speaks XMPP 1.x; False for a header of before 1.0 (RFC 6120 §4.7.5)."""
    text = header.attributes.get("version")
    if text is None:
        return False
    major, dot, minor = text.partition(".")
    if not (dot and _is_number(major) and _is_number(minor)):
        raise StreamError("unsupported-version", "version is not two numbers")
    return int(major) >= 1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
