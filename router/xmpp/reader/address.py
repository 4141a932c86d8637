"""The addresses of a stanza as the router needs them: two valid domains (RFC 7622 §3).

Caches by the raw attribute, per process and bounded: most stanzas cost two look-ups. Called by
`split` for the root of every stanza.
"""

import re
from typing import Final

from router.xmpp import jid
from router.xmpp.errors import StanzaError

_MAX_ENTRIES: Final = 16_384
_MAX_CACHED_CHARS: Final = 192
_MAX_PART_BYTES: Final = 1023
# RFC 7622 §3.3.1; white space and controls are outside its IdentifierClass altogether.
_NOT_LOCAL: Final = re.compile(r"""["&'/:<>@\s\x00-\x1f\x7f-\x9f]""")
_NOT_RESOURCE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

senders: Final[dict[str, str]] = {}
"""Raw `from` to normalised domain, of addresses that passed `sender` before."""
targets: Final[dict[str, str]] = {}
"""Raw `to` to normalised domain, of addresses that passed `target` without an error."""


def sender(address: str) -> str:
    """The normalised domain of a `from`. Raises JidError when any part is invalid (RTE-01)."""
    host, fault = _split(address)
    if fault:
        raise jid.JidError(fault)
    return _remember(senders, address, jid.domain(host))


def target(address: str) -> tuple[str, StanzaError | None]:
    """The normalised domain of a `to`, and what is wrong with its other parts (RTE-06).

    Raises JidError when the domain is invalid: then nobody can be asked (RTE-01).
    """
    host, fault = _split(address)
    domain = jid.domain(host)
    if fault:
        return domain, StanzaError.of("jid-malformed", fault)
    return _remember(targets, address, domain), None


def _split(address: str) -> tuple[str, str]:
    # RFC 7622 §3.1: at the first '/', then at the first '@', before any mapping
    bare, slash, resource = address.partition("/")
    local, at, host = bare.partition("@")
    if not at:
        local, host = "", bare
    if at and (not local or _NOT_LOCAL.search(local) or _too_long(local)):
        return host, "localpart"
    if slash and (not resource or _NOT_RESOURCE.search(resource) or _too_long(resource)):
        return host, "resourcepart"
    return host, ""


def _too_long(part: str) -> bool:
    return len(part.encode()) > _MAX_PART_BYTES


def _remember(cache: dict[str, str], address: str, domain: str) -> str:
    if len(address) <= _MAX_CACHED_CHARS:
        if len(cache) >= _MAX_ENTRIES:
            cache.clear()
        cache[address] = domain
    return domain
