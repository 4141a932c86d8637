"""Stream limits (XEP-0478): what each side of an s2s stream is willing to take, and is told.

The receiving server says it in its features, the initiating one inside `<bidi/>`. The cores read
and write it here; holding a run against it is the acceptor's `egress`.
"""

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as etree

from router.xmpp import names

_TAG: Final = f"{{{names.LIMITS}}}limits"
_MAX_BYTES_TAG: Final = f"{{{names.LIMITS}}}max-bytes"
_MAX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What the peer takes. Its idle-seconds are not kept: a clean close costs us nothing."""

    max_bytes: int | None = None
    """Octets of one first-level element, or None for no limit that we know of."""


UNLIMITED: Final = StreamLimits()


def announcement(max_bytes: int) -> str:
    """`<limits/>` for our features or our `<bidi/>`. No idle-seconds: idle streams are kept."""
    return f"<limits xmlns='{names.LIMITS}'><max-bytes>{max_bytes}</max-bytes></limits>"


def are_announced(parent: etree.Element | None) -> bool:
    """Whether who said this speaks XEP-0478 at all."""
    return parent is not None and parent.find(_TAG) is not None


def announced(parent: etree.Element | None) -> StreamLimits:
    """What features or `<bidi/>` say; nothing, or no integer, is no limit (XEP-0478 §4)."""
    found = parent.find(f"{_TAG}/{_MAX_BYTES_TAG}") if parent is not None else None
    text = (found.text or "").strip() if found is not None else ""
    is_integer = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return StreamLimits(int(text)) if is_integer else UNLIMITED
