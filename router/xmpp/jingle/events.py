"""Everything a Jingle endpoint reports or asks. A question names the methods that answer it."""

from dataclasses import dataclass

from router.xmpp.jingle.security import Security
from router.xmpp.jingle.transport import Transport, TransportInfo


@dataclass(frozen=True, slots=True)
class SessionKey:
    """One session of one endpoint: the peer's address, its domain normalised, and the sid."""

    peer: str
    sid: str


@dataclass(frozen=True, slots=True)
class JingleEvent:
    """Base of all events of a session."""

    session: SessionKey


@dataclass(frozen=True, slots=True)
class Offered(JingleEvent):
    """The peer offers an XML stream over `transport`. A question: `Session.accept`, `decline`."""

    transport: Transport


@dataclass(frozen=True, slots=True)
class TransportAgreed(JingleEvent):
    """Both sides have said how: now the bytestream is to be opened, by its own rules.

    `is_offerer` says whether `theirs` answers `ours` or the other way round. The second such event
    of a session replaces the transport of the first. With `security`, the peer's, TLS comes first
    on the bytestream, before any XML: the session's initiator is the TLS client, both show
    certificates, and the peer's must match (Jingle XTLS).
    """

    ours: Transport
    theirs: Transport
    is_offerer: bool
    security: Security | None = None


@dataclass(frozen=True, slots=True)
class TransportOffered(JingleEvent):
    """The peer would replace the transport by `transport`.

    A question: `Session.accept_transport`, `reject_transport`.
    """

    transport: Transport


@dataclass(frozen=True, slots=True)
class InfoReceived(JingleEvent):
    """The peer says `info` of the transport on the table."""

    info: TransportInfo


@dataclass(frozen=True, slots=True)
class SessionEnded(JingleEvent):
    """The session is over and forgotten; its bytestream is to be closed.

    `reason` is of XEP-0166 §7.4, "" when the peer gave none; `condition` is that of the stanza
    error that ended it (RFC 6120 §8.3.3), else "". `by_peer`: not by a wish or deadline of ours.
    """

    reason: str
    condition: str = ""
    text: str = ""
    by_peer: bool = False
