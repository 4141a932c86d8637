"""SASL EXTERNAL between servers (XEP-0178 §3, RFC 6120 §6): the authorization identity. Pure."""

import base64
import binascii

from router.xmpp import jid, names
from router.xmpp.writer import attributes

AUTH_TAG = f"{{{names.SASL}}}auth"
RESPONSE_TAG = f"{{{names.SASL}}}response"
ABORT_TAG = f"{{{names.SASL}}}abort"
CHALLENGE_TAG = f"{{{names.SASL}}}challenge"
SUCCESS_TAG = f"{{{names.SASL}}}success"
FAILURE_TAG = f"{{{names.SASL}}}failure"
MECHANISMS_TAG = f"{{{names.SASL}}}mechanisms"
MECHANISM_TAG = f"{{{names.SASL}}}mechanism"

SUCCESS = f"<success xmlns='{names.SASL}'/>".encode()
EMPTY_CHALLENGE = f"<challenge xmlns='{names.SASL}'/>".encode()

ATTEMPTS = 5  # RFC 6120 §6.4.5: between 2 and 5


def failure(condition: str) -> bytes:
    """`<failure/>` with a condition of RFC 6120 §6.5."""
    return f"<failure xmlns='{names.SASL}'><{condition}/></failure>".encode()


def auth(domain: str) -> bytes:
    """`<auth/>` that names us explicitly.

    COMPAT Prosody, MongooseIM all: an empty or "=" initial response is refused there.
    """
    given = attributes({"xmlns": names.SASL, "mechanism": "EXTERNAL"})
    return f"<auth{given}>{encoded(domain)}</auth>".encode()


def response(domain: str) -> bytes:
    """`<response/>` that names us, to a server that challenged."""
    return f"<response xmlns='{names.SASL}'>{encoded(domain)}</response>".encode()


def encoded(domain: str) -> str:
    """The domain as SASL carries it."""
    return base64.b64encode(domain.encode()).decode("ascii")


def refusal(data: str, stream_from: str) -> str | None:
    """The SASL failure condition this authorization identity earns, or None if it is the stream's.

    "=" and the empty string stand for the stream's own `from` (SAS-03). Base64 is strict (SAS-05).
    """
    if data in ("", "="):
        return None
    try:
        octets = base64.b64decode(data.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return "incorrect-encoding"
    try:
        return None if jid.domain(octets.decode()) == stream_from else "invalid-authzid"
    except (jid.JidError, UnicodeDecodeError):
        return "invalid-authzid"
