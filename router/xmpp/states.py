"""The life of a stream, as tables: (phase, what happened) → phase. A missing cell is a refusal.

Only `step` moves a stream from phase to phase. What a refusal costs is the caller's business, for
it differs by element: a stream error, a SASL failure, a dialback error, or nothing.
"""

from enum import Enum
from typing import Final


class Phase(Enum):
    """Where a stream is. PLAIN is before TLS, SECURE after it, OPEN after SASL and its restart."""

    __hash__ = object.__hash__  # members are looked up in tables all the time: not by their name

    DIRECT_TLS = "direct TLS handshake"
    PLAIN_HEADER = "waiting for the header"
    PLAIN_FEATURES = "waiting for features"
    PLAIN = "negotiating in plaintext"
    STARTTLS = "waiting for proceed"
    TLS = "TLS handshake"
    SECURE_HEADER = "waiting for the header inside TLS"
    SECURE_FEATURES = "waiting for features inside TLS"
    SECURE = "negotiating inside TLS"
    SASL = "authenticating by SASL"
    RESTART_HEADER = "waiting for the header after SASL"
    RESTART_FEATURES = "waiting for features after SASL"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Input(Enum):
    """What can happen to a stream's phase."""

    __hash__ = object.__hash__

    HEADER = "stream header"
    FEATURES = "stream features"
    STARTTLS = "starttls"
    PROCEED = "proceed"
    TLS_UP = "TLS established"
    AUTH = "SASL auth"
    SUCCESS = "SASL success"
    FAILURE = "SASL failure"
    CLOSE = "our closing tag"
    END = "the end"


_ENDS: Final[dict[tuple[Phase, Input], Phase]] = {
    (phase, what): after
    for phase in Phase
    if phase is not Phase.CLOSED
    for what, after in ((Input.CLOSE, Phase.CLOSING), (Input.END, Phase.CLOSED))
    if not (phase is Phase.CLOSING and what is Input.CLOSE)
}

# The receiving server: the peer opened the connection.
RECEIVING: Final[dict[tuple[Phase, Input], Phase]] = {
    (Phase.PLAIN_HEADER, Input.HEADER): Phase.PLAIN,  # RFC 6120 §4.2
    (Phase.PLAIN, Input.STARTTLS): Phase.TLS,  # §5.4.2
    (Phase.TLS, Input.TLS_UP): Phase.SECURE_HEADER,  # §5.4.3.3: a new stream begins
    (Phase.DIRECT_TLS, Input.TLS_UP): Phase.SECURE_HEADER,  # XEP-0368 §3
    (Phase.SECURE_HEADER, Input.HEADER): Phase.SECURE,
    (Phase.SECURE, Input.AUTH): Phase.SASL,  # §6.4.2
    (Phase.SASL, Input.FAILURE): Phase.SECURE,  # §6.4.5
    (Phase.SASL, Input.SUCCESS): Phase.RESTART_HEADER,  # §6.4.6
    (Phase.RESTART_HEADER, Input.HEADER): Phase.OPEN,
    **_ENDS,
}

# The initiating server: we opened the connection.
INITIATING: Final[dict[tuple[Phase, Input], Phase]] = {
    (Phase.PLAIN_HEADER, Input.HEADER): Phase.PLAIN_FEATURES,
    (Phase.PLAIN_FEATURES, Input.FEATURES): Phase.PLAIN,  # §4.3.2
    (Phase.PLAIN, Input.STARTTLS): Phase.STARTTLS,
    (Phase.STARTTLS, Input.PROCEED): Phase.TLS,  # §5.4.2.3
    (Phase.TLS, Input.TLS_UP): Phase.SECURE_HEADER,
    (Phase.DIRECT_TLS, Input.TLS_UP): Phase.SECURE_HEADER,
    (Phase.SECURE_HEADER, Input.HEADER): Phase.SECURE_FEATURES,
    (Phase.SECURE_FEATURES, Input.FEATURES): Phase.SECURE,
    (Phase.SECURE, Input.AUTH): Phase.SASL,
    (Phase.SASL, Input.FAILURE): Phase.SECURE,
    (Phase.SASL, Input.SUCCESS): Phase.RESTART_HEADER,
    (Phase.RESTART_HEADER, Input.HEADER): Phase.RESTART_FEATURES,
    (Phase.RESTART_FEATURES, Input.FEATURES): Phase.OPEN,
    **_ENDS,
}

# An end-to-end stream (XEP-0246): the outer path has proved the peer, so none has SASL. It is open
# inside TLS; where TLS is not required, also in plaintext, once there is no TLS to come.
E2E_RECIPIENT: Final[dict[tuple[Phase, Input], Phase]] = {
    (Phase.PLAIN_HEADER, Input.HEADER): Phase.PLAIN,
    (Phase.PLAIN, Input.STARTTLS): Phase.TLS,
    (Phase.PLAIN, Input.SUCCESS): Phase.OPEN,
    (Phase.TLS, Input.TLS_UP): Phase.SECURE_HEADER,
    (Phase.DIRECT_TLS, Input.TLS_UP): Phase.SECURE_HEADER,
    (Phase.SECURE_HEADER, Input.HEADER): Phase.SECURE,
    (Phase.SECURE, Input.SUCCESS): Phase.OPEN,
    **_ENDS,
}
E2E_INITIATOR: Final[dict[tuple[Phase, Input], Phase]] = {
    (Phase.PLAIN_HEADER, Input.HEADER): Phase.PLAIN_FEATURES,
    (Phase.PLAIN_FEATURES, Input.FEATURES): Phase.PLAIN,
    (Phase.PLAIN, Input.STARTTLS): Phase.STARTTLS,
    (Phase.PLAIN, Input.SUCCESS): Phase.OPEN,
    (Phase.STARTTLS, Input.PROCEED): Phase.TLS,
    (Phase.TLS, Input.TLS_UP): Phase.SECURE_HEADER,
    (Phase.DIRECT_TLS, Input.TLS_UP): Phase.SECURE_HEADER,
    (Phase.SECURE_HEADER, Input.HEADER): Phase.SECURE_FEATURES,
    (Phase.SECURE_FEATURES, Input.FEATURES): Phase.SECURE,
    (Phase.SECURE, Input.SUCCESS): Phase.OPEN,
    **_ENDS,
}

# A component's stream (XEP-0114), either end: the handshake stands where s2s has SASL.
COMPONENT: Final[dict[tuple[Phase, Input], Phase]] = {
    (Phase.PLAIN_HEADER, Input.HEADER): Phase.PLAIN,
    (Phase.PLAIN, Input.AUTH): Phase.SASL,
    (Phase.SASL, Input.SUCCESS): Phase.OPEN,
    **_ENDS,
}

Table = dict[tuple[Phase, Input], Phase]


def step(table: Table, phase: Phase, happened: Input) -> Phase | None:
    """The next phase, or None when this may not happen now."""
    return table.get((phase, happened))
