"""The words of XMPP between servers, as a fake says and recognises them. Text only.

Kept apart from `router.xmpp` on purpose: a mistake there must not be made here as well.
"""

import base64
import hashlib
import hmac
from typing import Final
from xml.sax.saxutils import escape, quoteattr

STREAMS: Final = "http://etherx.jabber.org/streams"
SERVER: Final = "jabber:server"
DIALBACK: Final = "jabber:server:dialback"
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
STREAM_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
BIDI: Final = "urn:xmpp:bidi"
BIDI_FEATURE: Final = "urn:xmpp:features:bidi"
LIMITS: Final = "urn:xmpp:stream-limits:0"
PING: Final = "urn:xmpp:ping"

END: Final = "</stream:stream>"
STARTTLS: Final = f"<starttls xmlns='{TLS}'/>"
PROCEED: Final = f"<proceed xmlns='{TLS}'/>"
SUCCESS: Final = f"<success xmlns='{SASL}'/>"
EXTERNAL: Final = f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
CHALLENGE: Final = f"<challenge xmlns='{SASL}'/>"
STANZAS: Final = ("message", "presence", "iq")


def attributes(**values: str | None) -> str:
    """Attributes with a space before each; those that are None are left out, `_` is cut off."""
    given = ((name.strip("_"), value) for name, value in values.items())
    return "".join(f" {name}={quoteattr(value)}" for name, value in given if value is not None)


def escaped(text: str) -> str:
    """Text as it goes between tags."""
    return escape(text)


def header(sender: str, target: str, stream_id: str | None = None) -> str:
    """A stream header."""
    given = attributes(from_=sender, to=target, id=stream_id, version="1.0")
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{SERVER}' xmlns:db='{DIALBACK}'"
        f" xmlns:stream='{STREAMS}' xml:lang='en'{given}>"
    )


def stream_error(condition: str) -> str:
    """A stream error, without any closing tag."""
    return f"<stream:error><{condition} xmlns='{STREAM_ERRORS}'/></stream:error>"


def sasl_failure(condition: str) -> str:
    """A SASL failure."""
    return f"<failure xmlns='{SASL}'><{condition}/></failure>"


def auth(data: str) -> str:
    """SASL EXTERNAL with this initial response, as it is."""
    return f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{data}</auth>"


def encoded(identity: str) -> str:
    """An identity in the base64 of SASL."""
    return base64.b64encode(identity.encode()).decode()


def stanza_error(condition: str) -> str:
    """The error in a stanza, or in a dialback element."""
    return f"<error type='cancel'><{condition} xmlns='{STANZA_ERRORS}'/></error>"


def dialback(name: str, sender: str, target: str, *, content: str = "", **more: str | None) -> str:
    """A db:result or db:verify."""
    given = attributes(from_=sender, to=target, **more)
    return f"<db:{name}{given}>{content}</db:{name}>" if content else f"<db:{name}{given}/>"


def dialback_key(secret: str, receiving: str, originating: str, stream_id: str) -> str:
    """A dialback key by the recipe of XEP-0185 §2."""
    text = f"{receiving} {originating} {stream_id}".encode()
    secret_hex = hashlib.sha256(secret.encode()).hexdigest().encode()
    return hmac.new(secret_hex, text, hashlib.sha256).hexdigest()
