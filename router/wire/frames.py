"""The messages between our processes. Each says who sends it to whom, and when.

A frame travels as one ZeroMQ message: a msgpack array `[version, kind, field, …]` in the order
the fields stand here, then, for frames that carry stanzas, the octets as a part of their own.
The version is the one in which the frame got its form: processes of two versions understand each
other in all that both know. `codec` turns frames into parts and back.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from router.wire.frame import VERSION as VERSION
from router.wire.frame import Frame as Frame
from router.wire.frame import StreamId as StreamId
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

# --- acceptor → worker ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Data(Frame):
    """A run of stanzas arrived on an authorised pair; route it.

    The owning acceptor keeps the run until DONE and sends it again, same numbers, when the shard
    moves. `lane` is unique within the acceptor incarnation; `first` is the sequence number of the
    first stanza, from 1, no gaps. `epoch` rises when the lane changes its egress stream: a worker
    routes all of one epoch to one stream. `egress` is where this epoch went so far, if known.
    `generation` is that of the shard's lease as the acceptor knows it.
    """

    KIND: ClassVar[int] = 1
    OCTETS: ClassVar[str | None] = "octets"
    lane: int
    epoch: int
    first: int
    counts: Counts
    pair: DomainPair
    generation: int
    egress: StreamId | None
    octets: bytes


@dataclass(frozen=True, slots=True)
class Granted(Frame):
    """We may now send stanzas of `pair` (sender hosted here, target remote) on this stream.

    Sent on the grant and again to every new owner of the pair's shard. `initiated` is True when we
    opened the connection, False for an inbound bidi stream. `mechanism` proved the stream's pair:
    "external" or "dialback".
    """

    KIND: ClassVar[int] = 2
    stream: int
    pair: DomainPair
    initiated: bool
    mechanism: str


@dataclass(frozen=True, slots=True)
class Revoked(Frame):
    """The stream carries `pair` no more: it closes, or the peer refused the pair."""

    KIND: ClassVar[int] = 3
    stream: int
    pair: DomainPair


@dataclass(frozen=True, slots=True)
class Dialling(Frame):
    """This acceptor has a dial for `pair` under way; sent when it begins and to a new owner."""

    KIND: ClassVar[int] = 4
    pair: DomainPair


@dataclass(frozen=True, slots=True)
class DialFailed(Frame):
    """The dial for `pair` ended without a grant; `condition` and `type` of RFC 6120 §8.3.3."""

    KIND: ClassVar[int] = 5
    pair: DomainPair
    condition: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Verify(Frame):
    """A dialback key arrived for `pair` (sender remote, target hosted); have it verified.

    XEP-0220 §2.1.2. The asking acceptor holds the pending verification and its deadline, and asks
    again, with the same request number, when the shard changes owner.
    """

    KIND: ClassVar[int] = 6
    request: int
    pair: DomainPair
    stream_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attach(Frame):
    """May a component attach as `domain` on this stream? To the owner of shard (domain, domain)."""

    KIND: ClassVar[int] = 7
    request: int
    domain: str
    stream: int


@dataclass(frozen=True, slots=True)
class Attached(Frame):
    """The hosted domain is served on this stream. To every worker, and to each new one."""

    KIND: ClassVar[int] = 8
    domain: str
    stream: int


@dataclass(frozen=True, slots=True)
class Detached(Frame):
    """The hosted domain is not served on this stream any more. To every worker."""

    KIND: ClassVar[int] = 9
    domain: str
    stream: int


@dataclass(frozen=True, slots=True)
class Announced(Frame):
    """All grants, dials and attachments of this acceptor for the worker's shards have been sent.

    Follows every membership `version` in which the worker won shards. Routing of a shard begins
    when every live acceptor has sent this for that version.
    """

    KIND: ClassVar[int] = 10
    version: int


# --- worker → acceptor ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forward(Frame):
    """Write this run on your stream `stream`. The run's owner is acceptor `owner`.

    `after`: the last stanza of the lane that was forwarded to this stream before; if that has not
    been taken, something is missing. 0 where the run is a first one, or is sent again.
    """

    KIND: ClassVar[int] = 20
    SINCE: ClassVar[int] = 2
    ADDED: ClassVar[tuple[int, ...]] = (0,)
    OCTETS: ClassVar[str | None] = "octets"
    owner: str
    lane: int
    epoch: int
    first: int
    counts: Counts
    pair: DomainPair
    generation: int
    stream: int
    after: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Reject(Frame):
    """To the owner: these stanzas cannot be delivered; bounce them (RFC 6120 §8.3.3)."""

    KIND: ClassVar[int] = 21
    lane: int
    epoch: int
    first: int
    count: int
    condition: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Dial(Frame):
    """Open a stream for `pair` (sender hosted, target remote): Granted or DialFailed answers."""

    KIND: ClassVar[int] = 22
    pair: DomainPair


@dataclass(frozen=True, slots=True)
class VerifyKey(Frame):
    """Send db:verify for `pair` on your outbound connection to its sender, dialling if need be.

    Answer the acceptor `owner` with Verified. XEP-0288 §2.2: never on the connection that
    brought the key; outbound connections only.
    """

    KIND: ClassVar[int] = 23
    owner: str
    request: int
    pair: DomainPair
    stream_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AttachAnswer(Frame):
    """Answer to Attach: False is stream error conflict (XEP-0114)."""

    KIND: ClassVar[int] = 24
    request: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class Joined(Frame):
    """The worker knows membership `version`: announce to me, then send me my shards' runs.

    The first frame on every link, and sent again for each version. An acceptor sends nothing to a
    worker before it, for a ROUTER cannot reach a peer it has not heard of.
    """

    KIND: ClassVar[int] = 25
    version: int


@dataclass(frozen=True, slots=True)
class Retire(Frame):
    """Close this stream of yours in order: the peer's own connection serves `pair` as well.

    After a double dial. Its lanes come back to their owners by Returned once it is closed, and
    that is once the peer has read all of it.
    """

    KIND: ClassVar[int] = 26
    stream: int
    pair: DomainPair


@dataclass(frozen=True, slots=True)
class Release(Frame):
    """The pair goes by an express lane from now on (XEP-0247); your stream `stream` stays.

    It takes nothing more of the pair's lanes; each comes back to its owner by Returned once all of
    it that was taken is done, so that nothing is overtaken (RFC 6120 §10.1).
    """

    KIND: ClassVar[int] = 27
    SINCE: ClassVar[int] = 2
    stream: int
    pair: DomainPair


# --- acceptor → acceptor ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress(Frame):
    """Egress to owner, cumulative: of the lane's epoch all up to `took` are in the stream's write
    queue, all up to `done` have reached the hand-over level. `level` is "tcp" or "write".
    """

    KIND: ClassVar[int] = 30
    lane: int
    epoch: int
    stream: int
    took: int
    done: int
    level: str


@dataclass(frozen=True, slots=True)
class Returned(Frame):
    """Egress to owner: the lane's epoch ended here. From `first` on nothing reached its level.

    Stanzas `first` to `doubt` (inclusive; `first - 1` for none) may have reached the peer, the rest
    certainly did not. The owner bounces the doubtful and routes the rest anew, in a new epoch.

    From a worker it is said for an acceptor that died: what was forwarded to it is in doubt.
    """

    KIND: ClassVar[int] = 31
    lane: int
    epoch: int
    first: int
    doubt: int


@dataclass(frozen=True, slots=True)
class Verified(Frame):
    """Outcome of VerifyKey: "valid", "invalid", or a stanza error condition (XEP-0220 §2.5)."""

    KIND: ClassVar[int] = 32
    request: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Ended(Frame):
    """Owner to egress: the lane is over, this stream (0: whichever knows it) may forget it."""

    KIND: ClassVar[int] = 33
    SINCE: ClassVar[int] = 2
    ADDED: ClassVar[tuple[int, ...]] = (0,)
    lane: int
    stream: int


@dataclass(frozen=True, slots=True)
class Sync(Frame):
    """Owner to every acceptor: these shards have a new worker; what have you taken of mine?

    The receiver raises its fence first: of a shard, nothing older than its generation is taken any
    more. Then it answers with one Progress for each of the owner's lanes in these shards that any
    stream of it knows, and Synced.
    """

    KIND: ClassVar[int] = 34
    SINCE: ClassVar[int] = 2
    number: int
    shards: tuple[tuple[int, int], ...]
    """(shard, generation)"""


@dataclass(frozen=True, slots=True)
class Synced(Frame):
    """Answer to Sync `number`: the fence is up, and all that was taken has been reported."""

    KIND: ClassVar[int] = 35
    SINCE: ClassVar[int] = 2
    number: int


@dataclass(frozen=True, slots=True)
class Hold(Frame):
    """Egress to owner: send nothing more of this lane for now.

    `is_moving`: the peer reads, only slowly. If not, its kernel has acknowledged nothing for a
    while, and nobody is to be kept waiting on account of it.
    """

    KIND: ClassVar[int] = 36
    SINCE: ClassVar[int] = 2
    lane: int
    epoch: int
    is_moving: bool


@dataclass(frozen=True, slots=True)
class Again(Frame):
    """Egress to owner: I have this lane up to `took`; go on.

    `is_short`: what came behind that was dropped, so go on from there. If not, from what was sent
    last, for the rest is on its way. `octets` is how many more at most, in one run or several,
    until the next Again; 0 is no limit. The end of a Hold, and the answer to a gap.
    """

    KIND: ClassVar[int] = 37
    SINCE: ClassVar[int] = 2
    lane: int
    epoch: int
    took: int
    octets: int
    is_short: bool


@dataclass(frozen=True, slots=True)
class Resume(Frame):
    """A peer would go on with a stream that it lost at your side (XEP-0198 §5): what came on it?

    To every other acceptor; ResumeAnswer answers. `pair`, hosted domain and remote
    one, has been proved to the asking acceptor; `received` is the peer's h. The request number is
    that of the new stream.
    """

    KIND: ClassVar[int] = 38
    SINCE: ClassVar[int] = 2
    request: int
    sm_id: str
    pair: DomainPair
    received: int


@dataclass(frozen=True, slots=True)
class ResumeAnswer(Frame):
    """`stanzas` came on the lost stream, and its lanes have been given back; or it is not known."""

    KIND: ClassVar[int] = 39
    SINCE: ClassVar[int] = 2
    request: int
    is_known: bool
    stanzas: int
