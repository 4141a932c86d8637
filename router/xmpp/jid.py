"""Addresses (RFC 7622): the domainpart, which routes, and the split of a full address.

Local and resource parts stay as they came: a router compares domains only.
"""

import ipaddress
import re
from functools import lru_cache

import idna

_LDH = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII)
_IPV6 = re.compile(r"\[[0-9a-f:.]{2,45}\]", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_MAX_PART_BYTES = 1023


class JidError(ValueError):
    """The text is not a valid address or domainpart."""


@lru_cache(maxsize=4096)
def domain(text: str) -> str:
    """The domainpart in the one form the program compares: U-labels, lower case, no final dot.

    RFC 7622 §3.2. Raises JidError when the text is no domain name or IP literal.
    """
    if len(text) > _MAX_PART_BYTES:
        raise JidError("domainpart over 1023 octets")
    lowered = text.removesuffix(".").lower()
    if _LDH.fullmatch(lowered) and "xn--" not in lowered:
        if len(lowered) > 253:
            raise JidError("domain name over 253 octets")
        return lowered
    if _IPV6.fullmatch(lowered):
        return _ip_literal(lowered[1:-1])
    try:
        return str(idna.decode(idna.encode(lowered, uts46=True)))
    except (idna.IDNAError, UnicodeError) as error:
        raise JidError(f"not a domain name: {error}") from None


def ascii_domain(text: str) -> str:
    """The domainpart as A-labels, for DNS and for certificates (RFC 6125 §6.4)."""
    normal = domain(text)
    return normal if normal.isascii() else idna.encode(normal, uts46=True).decode("ascii")


def is_address(text: str) -> bool:
    """Whether a normalised domainpart is an IP address, in whatever notation, and no name.

    A name never ends in a number (RFC 3696 §2), but some resolvers take "127.1" for an address.
    """
    return text.startswith("[") or _NUMBER.fullmatch(text.rpartition(".")[2]) is not None


def domain_of(address: str) -> str:
    """The normalised domainpart of a full, bare or domain address.

    RFC 7622 §3.1: split at the first '/', then at the first '@', before any mapping.
    Raises JidError when a part is empty or the domain is invalid.
    """
    bare, slash, resource = address.partition("/")
    local, at, host = bare.partition("@")
    if not at:
        host = local
    elif not local:
        raise JidError("empty localpart")
    if slash and not resource:
        raise JidError("empty resourcepart")
    return domain(host)


def normal(address: str) -> str:
    """The address with its domainpart normalised and the other parts as they stand.

    JidError as `domain_of`. RFC 7622 §3.1.
    """
    bare_part, slash, resource = address.partition("/")
    local, at, _ = bare_part.partition("@")
    return f"{local if at else ''}{at}{domain_of(address)}{slash}{resource}"


def bare(address: str) -> str:
    """The address without its resourcepart."""
    return address.partition("/")[0]


def _ip_literal(text: str) -> str:
    # RFC 5952 §4: an address has many spellings and one form
    try:
        return f"[{ipaddress.IPv6Address(text).compressed}]"
    except ValueError as error:
        raise JidError(f"not an address: {error}") from None
