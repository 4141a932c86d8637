"""What an in-band bytestream reports to whoever runs it. Values only."""

from dataclasses import dataclass
from enum import Enum


class CloseReason(Enum):
    """Why a bytestream is over."""

    LOCAL = "closed here"
    PEER = "closed by the peer"
    REFUSED = "the peer did not open it"
    REJECTED = "the peer refused a block"
    PEER_FAULT = "the peer broke XEP-0047"
    UNDELIVERED = "the peer cannot be reached"


@dataclass(frozen=True, slots=True)
class IbbEvent:
    """Base of all events of a bytestream."""


@dataclass(frozen=True, slots=True)
class Opened(IbbEvent):
    """Both sides may send; what was written before is on its way."""


@dataclass(frozen=True, slots=True)
class DataReceived(IbbEvent):
    """The next octets of the peer. Where a block ends means nothing (XEP-0047 §2.2)."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Drained(IbbEvent):
    """The bytestream had been full and is no longer: write on."""


@dataclass(frozen=True, slots=True)
class Closed(IbbEvent):
    """The end, after all data. `unsent_bytes` of what was written are not known to have come."""

    reason: CloseReason
    detail: str = ""
    unsent_bytes: int = 0

    def is_clean(self) -> bool:
        """Whether one side closed in order and everything written here had been taken."""
        return self.reason in (CloseReason.LOCAL, CloseReason.PEER) and not self.unsent_bytes
