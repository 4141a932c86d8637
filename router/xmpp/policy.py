"""What the operator decided, in the form the stream cores ask for it. Values only."""

from collections.abc import Callable
from dataclasses import dataclass, field

from router.xmpp.perspective import Perspective
from router.xmpp.reader import Limits


@dataclass(frozen=True, slots=True)
class PeerRule:
    """What we want of one remote domain.

    `require_certificate`: only a certificate valid for the domain proves it, in both directions.
    """

    require_certificate: bool = False
    bidi: bool = True
    deny: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything an s2s stream must know that is not on the wire.

    `perspective` says who may be at which end; `default_domain` is a hosted one; `secret` is the
    dialback secret (XEP-0185) toward peers of this perspective; `rule` gives the rule of a
    remote domain ("" for one not yet known). Times in seconds; `before_proof` bounds what an
    unauthenticated peer may send; a stream that is lost may be resumed for `resume_s` (XEP-0198),
    0: never, and is lost when a peer that has everything says for `ack_timeout_s` nothing of how
    much it has handled.
    """

    perspective: Perspective
    default_domain: str
    secret: bytes = field(repr=False)
    rule: Callable[[str], PeerRule]
    limits: Limits
    before_proof: Limits
    before_proof_total_bytes: int = 65_536
    tls_required: bool = True
    dialback: bool = True
    stream_management: bool = False
    resume_s: float = 0.0
    ack_timeout_s: float = 120.0
    handshake_timeout_s: float = 60.0
    close_timeout_s: float = 5.0
    verification_timeout_s: float = 30.0
    pending_verifications: int = 16
