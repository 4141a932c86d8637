"""What stands in the records of serverless messaging (XEP-0174 §3): names, texts, and back. Pure.

A record says what its owner likes to say; whom to believe is for `router.xmpp.link_local_stream`.
Called by the acceptor's part that speaks multicast DNS, and by the configuration.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from router.xmpp import jid

SERVICE: Final = "_presence._tcp.local."
MAX_TEXT_BYTES: Final = 1300
"""RFC 6763 §6.2: what fits into one packet. Longer ones are read no further."""
_MAX_LABEL_BYTES: Final = 63
_MAX_STRING_BYTES: Final = 255

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Presence:
    """Who says to be on the link. Nothing in it is proved, and all but the name may be missing."""

    name: str
    """`user@machine`: how streams address it."""
    jids: tuple[str, ...] = ()
    """The addresses that it claims elsewhere."""
    status: str = "avail"


def checked_name(text: str) -> str:
    """A name `user@machine`, normalised. Raises ValueError with what is wrong with it."""
    user, at, machine = text.rpartition("@")
    if not user or not at or "@" in user or "/" in text:
        raise ValueError("is not user@machine")
    if any(character < " " for character in user):
        raise ValueError("has characters in it that cannot be shown")
    name = f"{user}@{jid.domain(machine)}"
    if len(name.encode()) > _MAX_LABEL_BYTES:
        raise ValueError(f"is over {_MAX_LABEL_BYTES} octets long")
    return name


def default_name(hostname: str) -> str:
    """How a router calls itself on a machine of this name, of which the first part is taken."""
    machine = hostname.partition(".")[0]
    try:
        return checked_name(f"causeway@{machine}")
    except ValueError:
        return "causeway@router"


def service_name(name: str) -> str:
    """The name of its SRV and TXT records, and what its PTR record points to (LLP-01)."""
    return f"{name}.{SERVICE}"


def host_name(name: str) -> str:
    """The name of its address records."""
    return f"{name.rpartition('@')[2]}.local."


def name_of(service: str) -> str | None:
    """The name in that of a service, None where it is none of XMPP's."""
    instance, suffix = service[: -len(SERVICE) - 1], service[-len(SERVICE) - 1 :]
    if suffix.lower() != f".{SERVICE}":
        return None
    try:
        return checked_name(instance)
    except ValueError:
        return None


def varied(name: str, attempt: int, *, on_this_machine: bool) -> str:
    """What to be called where the name is taken: -1, -2, and so on (XEP-0174 §3.1).

    Behind the user when another program here has the name, else behind the machine.
    """
    user, _, machine = name.rpartition("@")
    own, other = (user, f"@{machine}") if on_this_machine else (name, "")
    suffix = f"-{attempt}"
    room = _MAX_LABEL_BYTES - len((suffix + other).encode())
    if room < 1:
        return varied(name, attempt, on_this_machine=False)
    kept = own.encode()[:room].decode(errors="ignore")
    return f"{kept}{suffix}{other}"


def text_record(jid: str, port: int) -> bytes:
    """The TXT record of a router (XEP-0174 §3.2): the version first, and each key once."""
    entries = ("txtvers=1", f"port.p2pj={port}", "status=avail", f"jid={jid}")
    # An address that does not fit is not said: certificates tell who it is all the same.
    strings = [entry.encode() for entry in entries if len(entry.encode()) <= _MAX_STRING_BYTES]
    return b"".join(bytes([len(string)]) + string for string in strings)


def entries(text: bytes) -> Mapping[str, str]:
    """The keys and values of a TXT record, which may be empty or no more than a zero octet.

    RFC 6763 §6.4: keys are compared in lower case, and the first of several counts. What is not
    text, or has no key, is passed over.
    """
    found: dict[str, str] = {}
    at = 0
    text = text[:MAX_TEXT_BYTES]
    while at < len(text):
        length = text[at]
        string, at = text[at + 1 : at + 1 + length], at + 1 + length
        key, _, value = string.partition(b"=")
        try:
            name, said = key.decode("ascii").lower(), value.decode()
        except UnicodeDecodeError:
            continue
        if name:
            found.setdefault(name, said)
    return found


def presence(service: str, text: bytes) -> Presence | None:
    """What the records of a service say; None where its name is none (LLP-02).

    The port in the text counts for nothing: that of the SRV record is asked for when it is needed.
    """
    name = name_of(service)
    if name is None:
        return None
    said = entries(text)
    return Presence(name, tuple(_addresses(said.get("jid", ""))), said.get("status") or "avail")


def _addresses(text: str) -> Iterable[str]:
    for each in text.split():
        try:
            yield jid.normal(each)
        except jid.JidError:
            continue


def is_on_link(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address that a record names is one of the link, and so may be dialled."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks if parsed.version == network.version)
