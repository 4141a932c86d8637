"""Whether the listen addresses are to be had, or are held by the running router of this file."""

from typing import Any

from router.cli.admin import NotRunning, get_json
from router.config import Address, Config
from router.supervisor.listeners import ListenError, open_exclusive


def listeners(config: Config) -> list[dict[str, Any]]:
    """Each address with its `state`: "free", "held" (by our router) or "refused", and why."""
    held = _held(config)
    listen = config.listen
    kinds = {
        "s2s": listen.s2s,
        "s2s_direct_tls": listen.s2s_direct_tls,
        "components": listen.components,
        "inside": listen.inside,
        "http": (listen.http,),
        # One acceptor has these, whichever: a running router does not say that it holds them.
        "socks5": () if held else config.e2e.socks5,
    }
    return [
        {"kind": kind, "address": str(address), **_state(kind, address, held)}
        for kind, addresses in kinds.items()
        for address in addresses
        if address.port  # port 0 is always to be had
    ]


def _state(kind: str, address: Address, held: set[tuple[str, int]]) -> dict[str, str]:
    if (kind, address.port) in held:
        return {"state": "held", "reason": ""}
    try:
        open_exclusive(kind, address).close()
    except ListenError as error:
        return {"state": "refused", "reason": str(error)}
    return {"state": "free", "reason": ""}


def _held(config: Config) -> set[tuple[str, int]]:
    """(kind, port) of every listener of the running router; nothing when none runs."""
    run_dir = config.processes.run_dir
    try:
        found = get_json(run_dir, "/api/listeners")
    except NotRunning:
        return set()
    return {(kind, Address.parse(each).port) for kind, texts in found.items() for each in texts}
