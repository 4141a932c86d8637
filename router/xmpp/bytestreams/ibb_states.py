"""The life of an in-band bytestream, as a table: (state, what happened) → state (XEP-0047 §2).

A missing cell is a refusal. Only `step` moves a bytestream.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a bytestream is, seen from our side."""

    __hash__ = object.__hash__

    EXPECTING = "the peer is to open it"
    OPENING = "our <open/> awaits its answer"
    OPEN = "both may send"
    FLUSHING = "we close once everything of ours has been taken"
    CLOSING = "our <close/> awaits its answer; the peer may still send"
    ANSWERING = "the peer's <close/> is answered once everything of ours has been taken"
    CLOSED = "closed"


class Input(Enum):
    """What can happen to a bytestream."""

    __hash__ = object.__hash__

    OPENED = "<open/> and its result"
    CLOSE = "we want to close"
    FLUSHED = "everything of ours has been taken"
    PEER_CLOSE = "<close/> received"
    END = "the end"


TABLE: Final[dict[tuple[State, Input], State]] = {
    (State.EXPECTING, Input.OPENED): State.OPEN,  # XEP-0047 §2.1
    (State.OPENING, Input.OPENED): State.OPEN,
    (State.EXPECTING, Input.CLOSE): State.CLOSED,  # nothing has been opened
    (State.OPENING, Input.CLOSE): State.CLOSING,
    (State.OPEN, Input.CLOSE): State.FLUSHING,
    (State.FLUSHING, Input.FLUSHED): State.CLOSING,  # §2.3
    (State.OPEN, Input.PEER_CLOSE): State.ANSWERING,
    (State.FLUSHING, Input.PEER_CLOSE): State.ANSWERING,
    (State.CLOSING, Input.PEER_CLOSE): State.CLOSING,  # both at once: each answers the other
    **{(state, Input.END): State.CLOSED for state in State if state is not State.CLOSED},
}


def step(state: State, happened: Input) -> State | None:
    """The next state, or None when this may not happen now."""
    return TABLE.get((state, happened))
