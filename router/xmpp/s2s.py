"""What both ends of a server-to-server stream do alike: dialback, grants, stream management.

`receiving` and `initiating` are the two roles; this is their common ground, and the `Host` of
dialback and of stream management.
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
from router.xmpp.reader import Faulty, Header, Run
from router.xmpp.states import Phase
from router.xmpp.stream_management import StreamManagement
from router.xmpp.xmlstream import XmlStream

LANG = f"{{{names.XML}}}lang"


class ServerStream(XmlStream):
    """A server-to-server stream (RFC 6120, XEP-0198, XEP-0220, XEP-0288), either role."""

    NAMESPACE = names.SERVER
    IS_INITIATING: bool

    def __init__(self, policy: Policy, new_id: Callable[[], str], phase: Phase, now: float) -> None:
        super().__init__(policy, new_id, phase, now)
        self.local = ""
        self.remote = ""
        host = weakref.proxy(self)  # no cycle: it goes when the stream goes
        self._dialback = Dialback(host)
        self.management = StreamManagement(host, is_initiating=self.IS_INITIATING)

    # --- stanzas, and their counts ---

    def receive_bytes(self, octets: bytes, now: float) -> list[Event]:
        """Take octets the peer sent; the events they caused, in order. Never raises for them."""
        events = super().receive_bytes(octets, now)
        self.management.answer_requests()
        return events

    def send_run(self, pair: DomainPair, octets: bytes, stanzas: int) -> None:
        """Queue so many neutral stanzas of a pair that may be sent here.

        MisuseError for any other pair.
        """
        super().send_run(pair, octets, stanzas)
        self.management.sent += stanzas

    def _received_run(self, run: Run) -> None:
        super()._received_run(run)
        self.management.received += run.counts.total

    def _received_faulty(self, faulty: Faulty) -> None:
        super()._received_faulty(faulty)
        self.management.received += 1

    def request_ack(self) -> bool:
        """Ask the peer how much it has handled (XEP-0198 §4); False: it has handled everything.

        Answered by `Acknowledged`, if after `SentManaged`.
        """
        return self.management.request()

    def handled(self, total: int) -> None:
        """Of the stanzas received since `ReceivedManaged`, the first `total` have an outcome."""
        self.management.handled(total)

    def answer_resume(
        self, sm_id: str, received_before: int | None, peer_received: int
    ) -> list[Event]:
        """Answer `ResumeRequested`, whose two values come back; None: no such stream is known.

        `received_before`: the stanzas received on the lost stream. After the end of this stream
        the answer changes nothing.
        """
        if self.phase not in (Phase.CLOSING, Phase.CLOSED):
            self.management.answer_resume(sm_id, received_before, peer_received)
        return self._take_events()

    def new_id(self) -> str:
        """An identifier that no stranger can guess."""
        return self._new_id()

    def may_be_managed(self) -> bool:
        """Whether something is proved, so that stanzas may pass (SMX-02)."""
        return self.grants.proved()

    def _before_closing_tag(self, *, peer_listens: bool) -> None:
        self.management.closing(peer_listens=peer_listens)

    # --- pairs ---

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
