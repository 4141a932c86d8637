"""The rules of `[e2e]` that join several keys: what needs what, and whose pairs are whose.

Called by `router.config_file` while it reads an operator's file; types and ranges stand with the
fields in `router.config`.
"""

from collections.abc import Iterator
from importlib.util import find_spec

from router.config import Address, Config, Express
from router.config_plain import Key, Refuse
from router.xmpp import jid
from router.xmpp.pair import DomainPair


def check_e2e(config: Config, refuse: Refuse) -> None:
    """Tell `refuse` everything that is wrong with the table."""
    e2e = config.e2e
    if config.service in config.domains:
        refuse(("e2e", "jid"), "is the router's own address; it cannot be in [domains] as well")
    needing = ("accept", "socks5", "proxy", "lan", "server", "express")
    if e2e.jid is None and (named := [name for name in needing if getattr(e2e, name)]):
        refuse(("e2e", "jid"), f"is missing; {named[0]} is nothing without it")
    if e2e.server and not e2e.secret:
        refuse(("e2e", "secret"), "is missing; server wants it")
    if e2e.secret and not e2e.server:
        refuse(("e2e", "secret"), "goes with server only")
    if e2e.lan and find_spec("zeroconf") is None:
        refuse(("e2e", "lan"), 'needs a library: pip install "causeway[lan]"')
    if e2e.lan_name and not e2e.lan:
        refuse(("e2e", "lan_name"), "goes with lan only")
    for name in ("proxy", "socks5_public"):
        if getattr(e2e, name) and not e2e.socks5:
            refuse(("e2e", name), "needs addresses in socks5")
    _check_express(config, refuse)


def e2e_listeners(config: Config) -> Iterator[tuple[Key, Address]]:
    """The addresses of the table, each with its key, to be compared with all other listeners."""
    for index, address in enumerate(config.e2e.socks5):
        yield ("e2e", "socks5", str(index)), address
    if config.e2e.lan is not None:
        yield ("e2e", "lan"), config.e2e.lan


def _check_express(config: Config, refuse: Refuse) -> None:
    peers: set[str] = set()
    lanes: set[DomainPair] = set()
    for index, express in enumerate(config.e2e.express):
        key: Key = ("e2e", "express", str(index))
        if express.peer in peers or jid.domain_of(express.peer) in config.hosted:
            reason = "twice" if express.peer in peers else "hosted here"
            refuse((*key, "peer"), f"{express.peer} is {reason}")
        peers.add(express.peer)
        _check_pairs(express, key, config, refuse)
        for pair in lanes.intersection(express.pairs):
            refuse((*key, "pairs"), f"{pair} has another express lane already")
        lanes.update(express.pairs)


def _check_pairs(express: Express, key: Key, config: Config, refuse: Refuse) -> None:
    is_domain = not {"@", "/"} & set(express.peer)
    if is_domain and not express.pairs:
        refuse((*key, "pairs"), "which pairs? a list of [hosted domain, remote domain]")
    elif express.pairs and not is_domain:
        refuse((*key, "pairs"), "only a peer that is a domain carries pairs")
    for pair in express.pairs:
        if pair.sender not in config.domains or pair.target in config.hosted:
            refuse((*key, "pairs"), f"{pair}: the first is hosted here, the second is not")
