"""Everything a stream can report or ask. An event that asks names the method that answers."""

from dataclasses import dataclass, field

from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class StartTls(Event):
    """Send what is due, then begin TLS on the connection (RFC 6120 §5.4.3).

    A question: answer with `tls_established`, or drop the connection.
    """


@dataclass(frozen=True, slots=True)
class PairAuthorised(Event):
    """Stanzas of `pair` may be sent (`may_send`) or are accepted on this stream from now on.

    `mechanism` is "external", "dialback", "component" or "e2e".
    """

    pair: DomainPair
    may_send: bool
    mechanism: str


@dataclass(frozen=True, slots=True)
class StreamReady(Event):
    """An end-to-end stream is open: stanzas from and to exactly `peer` may pass (XEP-0246 §4).

    On an express lane `PairAuthorised` follows, for each pair and direction.
    """

    peer: str
    is_encrypted: bool
    is_certified: bool
    """The peer's certificate proves this address; what vouches for it else is the outer path."""


@dataclass(frozen=True, slots=True)
class PairRefused(Event):
    """We have not proved `pair` to the peer; bounce what waits for it with `error`.

    `answer` is the peer's word on our dialback key: "invalid", or the condition of its error; ""
    when it gave none.
    """

    pair: DomainPair
    error: StanzaError
    answer: str = ""


@dataclass(frozen=True, slots=True)
class RunReceived(Event):
    """Stanzas of an authorised pair, in neutral form, in the order the peer sent them."""

    pair: DomainPair
    counts: Counts
    octets: bytes


@dataclass(frozen=True, slots=True)
class StanzaRefused(Event):
    """One stanza of an authorised pair that is to be answered with `error`, not routed."""

    pair: DomainPair
    octets: bytes
    error: StanzaError


@dataclass(frozen=True, slots=True)
class KeyReceived(Event):
    """A dialback key to verify (XEP-0220 §2.2.1). A question: answer with `answer_key`."""

    pair: DomainPair
    stream_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyAnswered(Event):
    """The authoritative server answered our db:verify (XEP-0220 §2.1.2).

    `verdict` is "valid", "invalid" or a stanza error condition.
    """

    pair: DomainPair
    stream_id: str
    verdict: str


@dataclass(frozen=True, slots=True)
class ClaimRefused(Event):
    """The peer claims to be the sender of `pair`, which no peer can be on this stream."""

    pair: DomainPair


@dataclass(frozen=True, slots=True)
class AttachRequested(Event):
    """A component proved its secret (XEP-0114). A question: answer with `answer_attach`."""

    domain: str


@dataclass(frozen=True, slots=True)
class ManagementEvent(Event):
    """Base of what stream management reports of one stream (XEP-0198)."""


@dataclass(frozen=True, slots=True)
class SentManaged(ManagementEvent):
    """The peer counts what is sent from now on: `request_ack`, and `Acknowledged` answers."""


@dataclass(frozen=True, slots=True)
class ReceivedManaged(ManagementEvent):
    """The peer counts on us: of what arrives from now on, say how much is done by `handled`."""


@dataclass(frozen=True, slots=True)
class Acknowledged(ManagementEvent):
    """Of the stanzas sent since `SentManaged`, the peer has taken the first `total` on itself."""

    total: int


@dataclass(frozen=True, slots=True)
class ManagementRefused(ManagementEvent):
    """What was sent since `SentManaged` will not be acknowledged after all."""


@dataclass(frozen=True, slots=True)
class ResumeEvent(Event):
    """Base of what is said of going on with a lost stream (XEP-0198 §5)."""


@dataclass(frozen=True, slots=True)
class ResumeRequested(ResumeEvent):
    """The peer would go on with its lost stream `sm_id` (XEP-0198 §5).

    A question: answer with `answer_resume`. Of what we sent there the peer has `received`, as its
    `h` says: modulo 2^32.
    """

    sm_id: str
    received: int


@dataclass(frozen=True, slots=True)
class Resumed(ResumeEvent):
    """The peer goes on with our lost stream `sm_id`; `received` as in `ResumeRequested`."""

    sm_id: str
    received: int


@dataclass(frozen=True, slots=True)
class NotResumed(ResumeEvent):
    """The peer knows nothing of our lost stream `sm_id`."""

    sm_id: str


@dataclass(frozen=True, slots=True)
class Ignored(Event):
    """Something the standard tells us to ignore was ignored; for the log. `what` is our text."""

    what: str


@dataclass(frozen=True, slots=True)
class StreamClosed(Event):
    """The stream is over in both directions: send what is due, then close the connection.

    `condition` is of RFC 6120 §4.9.3, or None for an orderly close. `abrupt` asks for a TCP close
    without more XML or TLS shutdown. `is_complete`: both closing tags have been said.
    """

    condition: str | None
    by_peer: bool
    text: str = ""
    abrupt: bool = False
    is_complete: bool = field(default=False, compare=False)
