"""What RFC 7622 and RFC 6120 §8.1 make of an address, written without the router's own code."""

import ipaddress
import unicodedata
from functools import lru_cache

import idna

GOOD, BAD_PART, NOBODY = "good", "bad part", "nobody"
"""Deliverable; its domain is fine but another part is not; no domain."""

# RFC 7622 §3.3.1
NOT_IN_LOCAL = set("\"&'/:<>@")


@lru_cache(maxsize=65_536)
def judge(address: str) -> str:
    bare, slash, resource = address.partition("/")
    local, at, host = bare.partition("@")
    if not at:
        local, host = "", bare
    if not _is_domain(host):
        return NOBODY
    if at and (not 1 <= len(local.encode()) <= 1023 or any(map(_not_local, local))):
        return BAD_PART
    if slash and (not 1 <= len(resource.encode()) <= 1023 or any(map(_is_control, resource))):
        return BAD_PART
    return GOOD


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def _not_local(character: str) -> bool:
    return character in NOT_IN_LOCAL or character.isspace() or _is_control(character)


def _is_domain(host: str) -> bool:
    if len(host) > 1023:
        return False
    host = host.removesuffix(".").lower()
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:].removesuffix("]"))
        except ValueError:
            return False
        return host.endswith("]")
    if host.isascii() and "xn--" not in host:
        return len(host) <= 253 and all(map(_is_label, host.split(".")))
    try:
        idna.decode(idna.encode(host, uts46=True))
    except (idna.IDNAError, UnicodeError):
        return False
    return True


def _is_label(label: str) -> bool:
    plain = label.replace("-", "0")
    return plain.isalnum() and len(label) <= 63 and label[0] != "-" and label[-1] != "-"
