"""Stream management (XEP-0198): the counts of one stream, and the elements that carry them.

Owns what is said for it on one stream, in either role. Which stanzas are handled the caller says;
what becomes of those that are not acknowledged is decided outside. Both s2s cores hold one
`StreamManagement` and are its `Host`.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol
from xml.etree import ElementTree as etree

from router.xmpp import names
from router.xmpp.errors import StreamError
from router.xmpp.events import (
    Acknowledged,
    Event,
    Ignored,
    ManagementRefused,
    NotResumed,
    ReceivedManaged,
    Resumed,
    ResumeRequested,
    SentManaged,
)
from router.xmpp.policy import Policy
from router.xmpp.reader import local_name
from router.xmpp.writer import attributes

FEATURE_TAG: Final = f"{{{names.STREAM_MANAGEMENT}}}sm"
_PREFIX: Final = f"{{{names.STREAM_MANAGEMENT}}}"
_XMLNS: Final = f"xmlns='{names.STREAM_MANAGEMENT}'"
_REQUEST: Final = f"<r {_XMLNS}/>".encode()
_MODULUS: Final = 1 << 32  # SMX-04: h is an unsignedInt and wraps
_TRUE: Final = ("true", "1")


class Host(Protocol):
    """What a stream core gives its stream management."""

    policy: Policy

    def may_be_managed(self) -> bool:
        """Whether something is proved, so that stanzas may pass."""

    def new_id(self) -> str:
        """An identifier that no stranger can guess."""

    def write(self, octets: bytes) -> None:
        """Queue octets for the peer."""

    def emit(self, event: Event) -> None:
        """Report an event."""


class _State(Enum):
    OFF = "not asked for"
    ASKED = "asked for by us"
    RESUMING = "we asked to go on with a lost stream, or the peer did"
    ON = "in use"
    REFUSED = "refused by the peer"


class StreamManagement:
    """Both counts of one stream; with bidi one `<enable/>` starts them both (SMX-06).

    `sent` and `received` are added to by the core, run by run, and begin anew where counting does.
    `sm_id` names the stream in a later resumption; "" when it cannot be resumed.
    """

    def __init__(self, host: Host, *, is_initiating: bool) -> None:
        self.sent = 0
        self.received = 0
        self.sm_id = ""
        self._host = host
        self._is_initiating = is_initiating
        self._state = _State.OFF
        self._resumes = ""
        """The lost stream that is to be gone on with, while that is asked."""
        self._carried_in = 0
        """What the peer had sent on the streams before this one, when it resumes them."""
        self._carried_out = 0
        self._counts_sent = False
        self._counts_received = False
        self._acknowledged = 0
        self._handled = 0
        self._told = 0
        self._answer_is_due = False
        self._owed_at: int | None = None
        """A request came too early for what had been received: one more answer at this count."""

    # --- what the core asks for ---

    def enable(self, resumes: str = "", received_before: int = 0) -> None:
        """Ask the peer to count, once (XEP-0198 §3); or to go on with the lost stream `resumes`.

        `received_before`: the stanzas that came on it (§5).
        """
        if self._state is not _State.OFF:
            return
        self._resumes, self._carried_in = resumes, received_before
        if resumes:
            h = str(received_before % _MODULUS)
            self._state = _State.RESUMING
            self._write("resume", previd=resumes, h=h)
        else:
            self._state = _State.ASKED
            self._write("enable", resume="true" if self._host.policy.resume_s > 0 else None)
        self._count_sent()

    def is_unacknowledged(self) -> bool:
        """Whether the peer has yet to count something that was sent."""
        return self._counts_sent and self.sent > self._acknowledged

    def total_received(self) -> int:
        """Stanzas received on this stream and those that it goes on from, for a resumption."""
        return self._carried_in + self.received

    def unwrapped(self, h: int) -> int | None:
        """How many stanzas of `sent` the peer means with h; None: more than there are (SMX-07)."""
        beyond = (h - self._carried_out - self._acknowledged) % _MODULUS
        if beyond <= self.sent - self._acknowledged:
            return self._acknowledged + beyond
        return self._acknowledged if beyond >= _MODULUS // 2 else None

    def request(self) -> bool:
        """Ask for the peer's count, unless it has counted everything."""
        if not self.is_unacknowledged():
            return False
        self._host.write(_REQUEST)
        return True

    def handled(self, total: int) -> None:
        """Of what was received since `ReceivedManaged`, the first `total` have their outcome."""
        self._handled = total
        if self._owed_at is not None and total >= self._owed_at:
            self._owed_at = None
            self._answer()

    def answer_requests(self) -> None:
        """One answer for all requests that have just come (SMX-04); the core calls it in time."""
        if self._answer_is_due:
            self._answer_is_due = False
            if self._handled < self.received:
                self._owed_at = self.received
            self._answer()

    def closing(self, *, peer_listens: bool) -> None:
        """Our closing tag comes next: say and ask what can still be said (XEP-0198 §4)."""
        if peer_listens:
            self.request()
        if self._counts_received and (self._answer_is_due or self._told != self._handled):
            self._answer_is_due = False
            self._answer()

    def answer_resume(self, sm_id: str, received_before: int | None, peer_received: int) -> None:
        """The answer to `ResumeRequested`: what came on the lost stream, None: it is not known."""
        if self._state is not _State.RESUMING or self._is_initiating:
            return
        if received_before is None:
            self._state = _State.OFF
            self._counts_received = False
            self._fail("item-not-found")
            return
        self._state = _State.ON
        self.sm_id = sm_id
        self._carried_in, self._carried_out = received_before, peer_received
        self._write("resumed", previd=sm_id, h=str(received_before % _MODULUS))
        self._count_sent()

    # --- what the peer says ---

    def take(self, element: etree.Element) -> bool:
        """Hear an element of stream management; False for any other, or where it is not in use."""
        if not (element.tag.startswith(_PREFIX) and self._host.policy.stream_management):
            return False
        hear = self._HEAR.get(local_name(element))
        if hear is None:
            return False
        hear(self, element)
        return True

    def _hear_enable(self, element: etree.Element) -> None:
        if self._is_initiating or not self._host.may_be_managed():
            self._fail("unexpected-request")  # SMX-02
        elif self._state is not _State.OFF:
            raise StreamError("policy-violation", "stream management is enabled already")
        else:
            self._state = _State.ON
            self._carried_in = self._carried_out = 0
            resume_s = self._host.policy.resume_s
            if resume_s > 0 and element.get("resume") in _TRUE:
                self.sm_id = self._host.new_id()
                self._write("enabled", id=self.sm_id, resume="true", max=str(int(resume_s)))
            else:
                self._write("enabled")
            self._count_received()
            self._count_sent()

    def _hear_enabled(self, element: etree.Element) -> None:
        if self._state is not _State.ASKED:
            self._host.emit(Ignored("stream management enabled without having been asked for"))
            return
        self._state = _State.ON
        if element.get("resume") in _TRUE:
            # COMPAT Prosody 0.12.3: it says resume='true' without an id, and cannot resume.
            self.sm_id = element.get("id", "")
        self._count_received()

    def _hear_failed(self, element: etree.Element) -> None:
        if self._state is _State.RESUMING and self._is_initiating:
            lost, self._resumes = self._resumes, ""
            self._host.emit(ManagementRefused())
            self._host.emit(NotResumed(lost))
            self._state = _State.OFF
            self.enable()
        elif self._state is _State.ASKED:
            self._state = _State.REFUSED
            self._counts_sent = False
            self._host.emit(ManagementRefused())
        else:
            self._host.emit(Ignored("stream management failed without having been asked for"))

    def _hear_resume(self, element: etree.Element) -> None:
        if self._is_initiating or not self._host.may_be_managed():
            self._fail("unexpected-request")
        elif self._state is not _State.OFF:
            raise StreamError("policy-violation", "stream management is enabled already")
        else:
            self._state = _State.RESUMING
            # What follows on this stream counts, whenever the answer is found.
            self._count_received()
            self._host.emit(ResumeRequested(element.get("previd", ""), _count(element)))

    def _hear_resumed(self, element: etree.Element) -> None:
        if self._state is not _State.RESUMING or not self._is_initiating:
            self._host.emit(Ignored("a stream resumed that nobody asked for"))
            return
        if element.get("previd") != self._resumes:
            raise StreamError("undefined-condition", "another stream resumed than was asked for")
        self._state = _State.ON
        self.sm_id = self._resumes
        self._carried_out = _count(element)
        self._count_received()
        self._host.emit(Resumed(self.sm_id, self._carried_out))

    def _hear_request(self, element: etree.Element) -> None:
        if self._counts_received:
            self._answer_is_due = True
        else:
            self._host.emit(Ignored("a count was asked for where none is kept"))

    def _hear_answer(self, element: etree.Element) -> None:
        if not self._counts_sent:
            self._host.emit(Ignored("a count that nobody asked for"))
            return
        h = _count(element)
        total = self.unwrapped(h)
        if total is None:
            sent = (self._carried_out + self.sent) % _MODULUS
            raise StreamError(
                "undefined-condition",
                f"{h} stanzas acknowledged, {sent} sent",
                (names.STREAM_MANAGEMENT, "handled-count-too-high"),
                {"h": str(h), "send-count": str(sent)},
            )
        self._acknowledged = total
        self._host.emit(Acknowledged(total))

    _HEAR: Final[dict[str, Callable[["StreamManagement", etree.Element], None]]] = {
        "enable": _hear_enable,
        "enabled": _hear_enabled,
        "failed": _hear_failed,
        "resume": _hear_resume,
        "resumed": _hear_resumed,
        "r": _hear_request,
        "a": _hear_answer,
    }

    # --- inside ---

    def _count_sent(self) -> None:
        self._counts_sent = True
        self.sent = self._acknowledged = 0
        self._host.emit(SentManaged())

    def _count_received(self) -> None:
        self._counts_received = True
        self.received = self._handled = self._told = 0
        self._host.emit(ReceivedManaged())

    def _answer(self) -> None:
        self._told = self._handled
        self._write("a", h=str((self._carried_in + self._handled) % _MODULUS))

    def _fail(self, condition: str) -> None:
        inside = f"<{condition} xmlns='{names.STANZA_ERRORS}'/>"
        self._host.write(f"<failed {_XMLNS}>{inside}</failed>".encode())

    def _write(self, name: str, **values: str | None) -> None:
        self._host.write(f"<{name} {_XMLNS}{attributes(values)}/>".encode())


def _count(element: etree.Element) -> int:
    """The h of an element, which it must have; modulo 2^32."""
    text = element.get("h", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _MODULUS):
        raise StreamError("invalid-xml", "h is no count of stanzas")
    return int(text)
