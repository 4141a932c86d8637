"""What the router says for itself at its own JID (XEP-0030, XEP-0199): stanza in, answer out.

Pure. `router.acceptor.ingress` asks, counts and sends; stanzas for hosted domains never come here.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from router.xmpp import names
from router.xmpp.errors import StanzaError
from router.xmpp.stanza import Stanza, bounce, may_bounce, result

# In the registry of service discovery identities: what "handles core routing logic".
IDENTITY: Final = ("component", "router", "Causeway")
FEATURES: Final = (names.DISCO_INFO, names.DISCO_ITEMS, names.PING)


@dataclass(frozen=True, slots=True)
class Profile:
    """What one asker may discover here (XEP-0030): identities, features, and addresses as items.

    An identity is (category, type, name).
    """

    identities: tuple[tuple[str, str, str], ...] = (IDENTITY,)
    features: tuple[str, ...] = FEATURES
    items: tuple[str, ...] = ()


ROUTER: Final = Profile()

_NOT_ONE_PAYLOAD: Final = StanzaError.of("bad-request", "a request has exactly one payload")
_NOBODY_HERE: Final = StanzaError.of("service-unavailable")
_NO_SUCH_NODE: Final = StanzaError.of("item-not-found", "no such node")


@dataclass(frozen=True, slots=True)
class Answer:
    """The octets to send back, None for silence, and whether they refuse what was asked."""

    octets: bytes | None = None
    is_refusal: bool = False


class Payload(NamedTuple):
    """A child of a stanza: its namespace and name, and what of its attributes matters here."""

    name: str
    node: str


def answer_to(stanza: Stanza, profile: Profile = ROUTER) -> Answer:
    """What the router answers to one neutral stanza that is addressed to its own domain.

    The caller decides what of it the sender may discover: that is `profile`.
    Errors and results are never answered (RFC 6120 §8.3.1). Nor is presence: as for an account
    that does not exist, subscriptions are dropped without a word (RFC 6121 §8.5.1).
    """
    if stanza.kind == "presence" or not may_bounce(stanza):
        return Answer()
    if stanza.kind == "message":
        return _refusal(stanza, _NOBODY_HERE)
    return _answer_request(stanza, profile)


def _answer_request(stanza: Stanza, profile: Profile) -> Answer:
    payloads = _payloads(stanza.octets)
    if len(payloads) != 1:
        return _refusal(stanza, _NOT_ONE_PAYLOAD)
    (name, node), given = payloads[0], stanza.attributes
    if given.get("type") != "get" or "@" in given["to"].partition("/")[0]:
        return _refusal(stanza, _NOBODY_HERE)
    if name == f"{names.PING} ping":
        return Answer(result(stanza))
    if name == f"{names.DISCO_INFO} query":
        return _refusal(stanza, _NO_SUCH_NODE) if node else Answer(result(stanza, _info(profile)))
    if name == f"{names.DISCO_ITEMS} query":
        return Answer(result(stanza, _items(profile, node)))
    return _refusal(stanza, _NOBODY_HERE)


def _payloads(octets: bytes) -> list[Payload]:
    """The children of a stanza, which the strict reader has validated before."""
    parser = expat.ParserCreate("UTF-8", " ")
    found: list[Payload] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth == 2:
            found.append(Payload(name, attributes.get("node", "")))

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.Parse(octets, True)
    return found


def _info(profile: Profile) -> str:
    identities = "".join(
        f"<identity category='{category}' type='{kind}' name={quoteattr(name)}/>"
        for category, kind, name in profile.identities
    )
    features = "".join(f"<feature var='{feature}'/>" for feature in profile.features)
    return f"<query xmlns='{names.DISCO_INFO}'>{identities}{features}</query>"


def _items(profile: Profile, node: str) -> str:
    mirrored = f" node={quoteattr(node)}" if node else ""
    # items belong to the address; a node of ours has none
    addresses = () if node else profile.items
    items = "".join(f"<item jid={quoteattr(address)}/>" for address in addresses)
    return f"<query xmlns='{names.DISCO_ITEMS}'{mirrored}>{items}</query>"


def _refusal(stanza: Stanza, error: StanzaError) -> Answer:
    return Answer(bounce(stanza, error), is_refusal=True)
