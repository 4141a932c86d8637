"""What can go wrong, by whose fault.

The peer's fault is data: a `StreamError` never leaves `router.xmpp`, the core turns it into bytes
and a `StreamClosed` event. Our own fault is `MisuseError`, which does escape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

# RFC 6120 §4.9.3
STREAM_CONDITIONS: Final = frozenset(
    {
        "bad-format",
        "bad-namespace-prefix",
        "conflict",
        "connection-timeout",
        "host-gone",
        "host-unknown",
        "improper-addressing",
        "internal-server-error",
        "invalid-from",
        "invalid-namespace",
        "invalid-xml",
        "not-authorized",
        "not-well-formed",
        "policy-violation",
        "remote-connection-failed",
        "reset",
        "resource-constraint",
        "restricted-xml",
        "see-other-host",
        "system-shutdown",
        "undefined-condition",
        "unsupported-encoding",
        "unsupported-feature",
        "unsupported-stanza-type",
        "unsupported-version",
    }
)

# RFC 6120 §8.3.3, with the error type each carries by default
STANZA_CONDITIONS: Final = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-connection-failed": "wait",  # XEP-0220 §2.5, in dialback errors only
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}


class StreamError(Exception):
    """The peer broke the stream's contract; `condition` is of RFC 6120 §4.9.3.

    `application` names an application-specific condition as (namespace, element), §4.9.4, and
    `attributes` are that element's.
    """

    def __init__(
        self,
        condition: str,
        detail: str = "",
        application: tuple[str, str] | None = None,
        attributes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(condition, detail)
        assert condition in STREAM_CONDITIONS, condition
        self.condition = condition
        self.detail = detail
        self.application = application
        self.attributes = attributes


class MisuseError(Exception):
    """Our own code called a protocol core in a way its documentation forbids."""


@dataclass(frozen=True, slots=True)
class StanzaError:
    """Why one stanza comes back to its sender: condition and type of RFC 6120 §8.3.

    `application` names an application-specific condition as (namespace, element), §8.3.4. It is
    written where the error is made; frames between processes carry the rest alone.
    """

    condition: str
    type: str
    text: str = ""
    application: tuple[str, str] | None = None

    @classmethod
    def of(cls, condition: str, text: str = "") -> "StanzaError":
        """The error with the type RFC 6120 §8.3.3 gives its condition by default."""
        return cls(condition, STANZA_CONDITIONS[condition], text)
