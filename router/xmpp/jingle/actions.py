"""The closed vocabularies of Jingle: actions, reasons, and the errors of its own (XEP-0166)."""

from enum import Enum
from typing import Final

from router.xmpp import names
from router.xmpp.errors import StanzaError


class Action(Enum):
    """What a `<jingle/>` asks for or reports (XEP-0166 §7.2)."""

    __hash__ = object.__hash__

    CONTENT_ACCEPT = "content-accept"
    CONTENT_ADD = "content-add"
    CONTENT_MODIFY = "content-modify"
    CONTENT_REJECT = "content-reject"
    CONTENT_REMOVE = "content-remove"
    DESCRIPTION_INFO = "description-info"
    SECURITY_INFO = "security-info"
    SESSION_ACCEPT = "session-accept"
    SESSION_INFO = "session-info"
    SESSION_INITIATE = "session-initiate"
    SESSION_TERMINATE = "session-terminate"
    TRANSPORT_ACCEPT = "transport-accept"
    TRANSPORT_INFO = "transport-info"
    TRANSPORT_REJECT = "transport-reject"
    TRANSPORT_REPLACE = "transport-replace"


ACTIONS: Final = {action.value: action for action in Action}

# XEP-0166 §7.4
REASONS: Final = frozenset(
    {
        "alternative-session",
        "busy",
        "cancel",
        "connectivity-error",
        "decline",
        "expired",
        "failed-application",
        "failed-transport",
        "general-error",
        "gone",
        "incompatible-parameters",
        "media-error",
        "security-error",
        "success",
        "timeout",
        "unsupported-applications",
        "unsupported-transports",
    }
)


def _own(condition: str, type_of: str, element: str, text: str = "") -> StanzaError:
    return StanzaError(condition, type_of, text, (names.JINGLE_ERRORS, element))


# XEP-0166 §10, with the types of its examples
UNKNOWN_SESSION: Final = _own("item-not-found", "cancel", "unknown-session")
OUT_OF_ORDER: Final = _own("unexpected-request", "wait", "out-of-order")
UNSUPPORTED_INFO: Final = _own("feature-not-implemented", "modify", "unsupported-info")
TIE_BREAK: Final = _own("conflict", "cancel", "tie-break")
