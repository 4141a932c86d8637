"""The one content of a session for an XML stream (XEP-0247 §2): recognised, read and written.

Pure functions over `element.Content`; `session` decides what follows.
"""

from typing import Final
from xml.sax.saxutils import quoteattr

from router.xmpp import names
from router.xmpp.jingle import element
from router.xmpp.jingle.element import Content, Jingle, namespace_of
from router.xmpp.jingle.transport import Transport, TransportFault, TransportMethods

# What we call the content when it is ours to name.
NAME: Final = "xmlstream"

_DESCRIPTION: Final = f"<description xmlns='{names.JINGLE_XMLSTREAM}'/>".encode()
_DESCRIPTION_TAG: Final = f"{{{names.JINGLE_XMLSTREAM}}}description"
_CREATOR: Final = "initiator"  # a session begins with its only content


def acceptable(jingle: Jingle, methods: TransportMethods) -> Content | str:
    """The first content that we can accept, else the reason why none is (XEP-0166 §6.7).

    Several contents may be alternatives of one another (§7.3), or of other applications: to accept
    one is to leave the others.
    """
    streams = [c for c in jingle.contents if _is_stream(c) and c.disposition == "session"]
    if not streams:
        return "unsupported-applications"
    usable = [c for c in streams if transport_namespace(c) in methods]
    if not usable:
        return "unsupported-transports"
    both_ways = [c for c in usable if c.senders == "both"]
    return both_ways[0] if both_ways else "incompatible-parameters"


def accepted(jingle: Jingle, name: str) -> Content | None:
    """The content that a session-accept accepts, if it is what we offered (JXS-04)."""
    content = find(jingle, name)
    if content is None or len(jingle.contents) != 1 or not _is_stream(content):
        return None
    return content


def find(jingle: Jingle, name: str) -> Content | None:
    """The session's content among those that the peer speaks of."""
    return next((c for c in jingle.contents if (c.creator, c.name) == (_CREATOR, name)), None)


def transport_namespace(content: Content) -> str:
    """The transport method and its version, "" without one."""
    return "" if content.transport is None else namespace_of(content.transport)


def transport_in(content: Content, methods: TransportMethods) -> Transport | TransportFault | None:
    """The transport in a content, None when there is none that we speak."""
    method = methods.get(transport_namespace(content))
    if method is None or content.transport is None:
        return None
    return method.parse(content.transport)


def write(name: str, parts: bytes, *, describes: bool = False) -> bytes:
    """The content with these parts; `describes` adds the application, as an offer has it."""
    return element.content(_CREATOR, name, (_DESCRIPTION if describes else b"") + parts)


def bare_transport(content: Content) -> bytes:
    """A `<transport/>` that names the method of this one and says no more."""
    return f"<transport xmlns={quoteattr(transport_namespace(content))}/>".encode()


def _is_stream(content: Content) -> bool:
    return content.description is not None and content.description.tag == _DESCRIPTION_TAG
