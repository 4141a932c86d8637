"""`<jingle/>` read from an iq and written into one (XEP-0166 §7), with nothing of any session.

`endpoint` reads, `session` writes. What is inside `<transport/>` is the transport method's.
"""

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as etree
from xml.sax.saxutils import escape, quoteattr

from router.xmpp import names
from router.xmpp.jingle.actions import ACTIONS, REASONS, Action
from router.xmpp.stanza import Stanza

# Neither comes from a standard: what is kept of a peer's `<jingle/>` is bounded by them.
MAX_CONTENTS: Final = 8
MAX_NAME_CHARS: Final = 256

NAMESPACES: Final = (names.JINGLE, names.JINGLE_0)
_TAGS: Final = {f"{{{namespace}}}jingle": namespace for namespace in NAMESPACES}
_CREATORS: Final = ("initiator", "responder")
_PARTS: Final = ("description", "transport", "security")
_NEEDS_TRANSPORTS: Final = frozenset(
    {
        Action.SESSION_ACCEPT,
        Action.SESSION_INITIATE,
        Action.TRANSPORT_ACCEPT,
        Action.TRANSPORT_INFO,
        Action.TRANSPORT_REPLACE,
    }
)
_NEEDS_DESCRIPTIONS: Final = frozenset({Action.SESSION_ACCEPT, Action.SESSION_INITIATE})


@dataclass(frozen=True, slots=True)
class Content:
    """A `<content/>`: who named it and how, and its parts, in namespaces of their own (§7.3)."""

    creator: str
    name: str
    senders: str = "both"
    disposition: str = "session"
    description: etree.Element | None = None
    transport: etree.Element | None = None
    security: etree.Element | None = None


@dataclass(frozen=True, slots=True)
class Jingle:
    """A well-formed `<jingle/>` (§7.1). `initiator` and `responder` are not read (JXS-11).

    `reason` is one of `REASONS` or ""; `has_payload` says that it carries an element of another
    namespace, which a session-info may.
    """

    namespace: str
    action: Action
    sid: str
    contents: tuple[Content, ...] = ()
    reason: str = ""
    text: str = ""
    has_payload: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """A `<jingle/>` that breaks XEP-0166: its sender gets bad-request with the detail."""

    detail: str


def namespace_of(element: etree.Element) -> str:
    """The namespace of an element, "" for none."""
    tag = element.tag
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""


def payload(stanza: Stanza) -> etree.Element | None:
    """The one child of a neutral iq; None when there is none, or more, or no tree can be built."""
    try:
        children = list(etree.fromstring(stanza.octets))
    except etree.ParseError:
        # a namespace with "}" in it, which no protocol that we speak has
        return None
    return children[0] if len(children) == 1 else None


def is_jingle(element: etree.Element) -> bool:
    """Whether this is a `<jingle/>` in a namespace that we speak."""
    return element.tag in _TAGS


def parse(element: etree.Element) -> Jingle | Malformed:
    """The `<jingle/>` in this element, for which `is_jingle` holds; never an exception."""
    namespace, sid = _TAGS[element.tag], element.get("sid", "")
    action = ACTIONS.get(element.get("action", ""))
    if action is None:
        return Malformed("no such action")
    if not 0 < len(sid) <= MAX_NAME_CHARS:
        return Malformed("no sid, or one of over 256 characters")
    found = [_content(child) for child in element if child.tag == f"{{{namespace}}}content"]
    contents = tuple(content for content in found if content is not None)
    if len(contents) != len(found) or len(contents) > MAX_CONTENTS:
        return Malformed(
            "a content without creator or name, or with a part twice; or too many of them"
        )
    if detail := _lacks(action, contents):
        return Malformed(detail)
    reason, text = _reason(element, namespace)
    has_payload = any(namespace_of(child) != namespace for child in element)
    return Jingle(namespace, action, sid, contents, reason, text, has_payload)


def _content(element: etree.Element) -> Content | None:
    creator, name = element.get("creator", "initiator"), element.get("name", "")
    if creator not in _CREATORS or not 0 < len(name) <= MAX_NAME_CHARS:
        return None
    given = [(child.tag.rpartition("}")[2], child) for child in element]
    known = [(part, child) for part, child in given if part in _PARTS]
    parts = dict(known)
    if len(parts) != len(known):
        return None
    return Content(
        creator,
        name,
        element.get("senders", "both"),
        element.get("disposition", "session"),
        parts.get("description"),
        parts.get("transport"),
        parts.get("security"),
    )


def _lacks(action: Action, contents: tuple[Content, ...]) -> str:
    """What the action must have and this one has not (§7.2, §7.3), or ""."""
    if action in _NEEDS_TRANSPORTS:
        if not contents:
            return "no content"
        if any(content.transport is None for content in contents):
            return "a content without transport"
    if action in _NEEDS_DESCRIPTIONS:
        if any(content.description is None for content in contents):
            return "a content without description"
        if all(content.disposition != "session" for content in contents):
            return "no content for the session"
    return ""


def _reason(element: etree.Element, namespace: str) -> tuple[str, str]:
    """The condition and the text of `<reason/>` (§7.4), each "" when missing or unknown."""
    inside = element.find(f"{{{namespace}}}reason")
    if inside is None:
        return "", ""
    given = [child.tag.removeprefix(f"{{{namespace}}}") for child in inside]
    condition = next((name for name in given if name in REASONS), "")
    return condition, inside.findtext(f"{{{namespace}}}text", "")[:MAX_NAME_CHARS]


def iq(kind: str, sender: str, target: str, iq_id: str, child: bytes) -> bytes:
    """A neutral iq of type `kind`, "get" or "set", around one element."""
    attributes = (
        f"from={quoteattr(sender)} to={quoteattr(target)} id={quoteattr(iq_id)} type='{kind}'"
    )
    return f"<iq {attributes}>".encode() + child + b"</iq>"


def jingle(namespace: str, action: Action, sid: str, inside: bytes = b"", **role: str) -> bytes:
    """`<jingle/>` around contents or a reason; `role` is `initiator` or `responder` (§7.1)."""
    roles = "".join(f" {name}={quoteattr(address)}" for name, address in role.items())
    head = f"<jingle xmlns='{namespace}' action='{action.value}' sid={quoteattr(sid)}{roles}>"
    return head.encode() + inside + b"</jingle>"


def content(creator: str, name: str, inside: bytes = b"") -> bytes:
    """`<content/>` around a description, a transport or both, in the namespace around it."""
    return f"<content creator='{creator}' name={quoteattr(name)}>".encode() + inside + b"</content>"


def reason(condition: str, text: str = "") -> bytes:
    """`<reason/>` (§7.4), in the namespace around it."""
    words = f"<text>{escape(text)}</text>" if text else ""
    return f"<reason><{condition}/>{words}</reason>".encode()
