"""The life of a session for one XML stream, as a table (XEP-0166 §5.1): a missing cell refuses.

The overall PENDING is `OFFERING` or `ASKED` by role; ACTIVE has two more states while a transport
is being replaced. Only `step` moves a session.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a session is, seen from our side."""

    __hash__ = object.__hash__

    DISCOVERING = "we ask what the peer supports"
    OFFERING = "our session-initiate awaits its answer"
    ASKED = "the peer's session-initiate awaits ours"
    ACTIVE = "accepted"
    REPLACING = "our transport-replace awaits its answer"
    REPLACED = "the peer's transport-replace awaits ours"
    ENDED = "ended"


class Input(Enum):
    """What can happen to a session: what is received, and what we send."""

    __hash__ = object.__hash__

    SUPPORTED = "the peer supports it"
    ACCEPTED = "session-accept received"
    ACCEPT = "session-accept sent"
    REPLACE = "transport-replace sent"
    REPLACED = "transport-replace received"
    ANSWERED = "transport-accept or transport-reject received"
    ANSWER = "transport-accept or transport-reject sent"
    END = "session-terminate, either way, or the end without one"


Table = dict[tuple[State, Input], State]

_COMMON: Final[Table] = {
    (State.ACTIVE, Input.REPLACED): State.REPLACED,  # XEP-0166 §7.2.15
    (State.REPLACED, Input.ANSWER): State.ACTIVE,
    **{(state, Input.END): State.ENDED for state in State if state is not State.ENDED},  # §6.7
}

INITIATOR: Final[Table] = {
    (State.DISCOVERING, Input.SUPPORTED): State.OFFERING,  # XEP-0166 §11
    (State.OFFERING, Input.ACCEPTED): State.ACTIVE,  # §6.5
    (State.ACTIVE, Input.REPLACE): State.REPLACING,  # XEP-0260 §3: it is for the initiator to do
    (State.REPLACING, Input.ANSWERED): State.ACTIVE,
    **_COMMON,
}

RESPONDER: Final[Table] = {
    (State.ASKED, Input.ACCEPT): State.ACTIVE,  # XEP-0166 §6.5
    **_COMMON,
}


def step(table: Table, state: State, happened: Input) -> State | None:
    """The next state, or None when this may not happen now."""
    return table.get((state, happened))
