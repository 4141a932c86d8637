"""The few things a stream writes besides stanzas: headers, features, errors, tags. Pure text.

Prefixes are `stream` and `db`, declared on every header: some servers compare them literally.
"""

import re
from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from router.xmpp import names
from router.xmpp.errors import StreamError

_PLAIN: Final = re.compile(r"[\w.:/+-]*")  # domains, ids: nothing to escape in them
LANG: Final = "en"
CLOSING_TAG: Final = b"</stream:stream>"

STARTTLS: Final = f"<starttls xmlns='{names.TLS}'/>".encode()
PROCEED: Final = f"<proceed xmlns='{names.TLS}'/>".encode()
TLS_FAILURE: Final = f"<failure xmlns='{names.TLS}'/>".encode() + CLOSING_TAG

STARTTLS_REQUIRED_FEATURE: Final = f"<starttls xmlns='{names.TLS}'><required/></starttls>"
STARTTLS_FEATURE: Final = f"<starttls xmlns='{names.TLS}'/>"
BIDI_FEATURE: Final = f"<bidi xmlns='{names.BIDI_FEATURE}'/>"
STREAM_MANAGEMENT_FEATURE: Final = f"<sm xmlns='{names.STREAM_MANAGEMENT}'/>"
DIALBACK_FEATURE: Final = f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>"
EXTERNAL_FEATURE: Final = (
    f"<mechanisms xmlns='{names.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
)


def attributes(values: Mapping[str, str | None]) -> str:
    """The attributes that have a value, each with a space before it, escaped."""
    return "".join(
        [f" {name}={_quoted(value)}" for name, value in values.items() if value is not None]
    )


def _quoted(value: str) -> str:
    return f'"{value}"' if _PLAIN.fullmatch(value) else quoteattr(value)


def server_header(
    *, sender: str | None, target: str | None, stream_id: str | None, version: str | None = "1.0"
) -> bytes:
    """An s2s stream header (RFC 6120 §4.7; XEP-0220 §2.4.1). Only the responder gives an id."""
    given = attributes(
        {"from": sender, "to": target, "id": stream_id, "version": version, "xml:lang": LANG}
    )
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{names.SERVER}'"
        f" xmlns:db='{names.DIALBACK}' xmlns:stream='{names.STREAMS}'{given}>"
    ).encode()


def client_header(
    *, sender: str, target: str | None, stream_id: str | None, version: str | None = "1.0"
) -> bytes:
    """The header of an end-to-end stream, whose ends are clients to each other (XEP-0246 §2)."""
    return _header(
        names.CLIENT,
        {"from": sender, "to": target, "id": stream_id, "version": version, "xml:lang": LANG},
    )


def component_header(
    *, sender: str | None = None, target: str | None = None, stream_id: str | None = None
) -> bytes:
    """A component's header, with `target`, or the answer (XEP-0114 §3): no version, no features."""
    return _header(names.COMPONENT, {"from": sender, "to": target, "id": stream_id})


def _header(content: str, given: Mapping[str, str | None]) -> bytes:
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{content}'"
        f" xmlns:stream='{names.STREAMS}'{attributes(given)}>"
    ).encode()


def features(*children: str) -> bytes:
    """`<stream:features>`, empty when nothing is on offer (RFC 6120 §4.3.2)."""
    return f"<stream:features>{''.join(children)}</stream:features>".encode()


def bidi_request(limits: str) -> bytes:
    """What asks for both directions (XEP-0288 §2.2), maybe with our limits (XEP-0478 §3.2)."""
    inside = f">{limits}</bidi>" if limits else "/>"
    return f"<bidi xmlns='{names.BIDI}'{inside}".encode()


def stream_error(error: StreamError) -> bytes:
    """The stream error and the closing tag: the last octets of a stream (RFC 6120 §4.9.1.1)."""
    text = (
        f"<text xmlns='{names.STREAM_ERRORS}' xml:lang='{LANG}'>{escape(error.detail)}</text>"
        if error.detail
        else ""
    )
    application = ""
    if error.application is not None:
        namespace, element = error.application
        application = f"<{element} xmlns='{namespace}'{attributes(error.attributes)}/>"
    return (
        f"<stream:error><{error.condition} xmlns='{names.STREAM_ERRORS}'/>{text}{application}"
        f"</stream:error>"
    ).encode() + CLOSING_TAG
