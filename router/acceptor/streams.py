"""A stream as people see it: its names in a log line, its row in `causeway streams`, and what it
means for one domain pair."""

from collections.abc import Iterable
from typing import Final

from router.acceptor.connection import Connection
from router.xmpp.component import ComponentStream
from router.xmpp.e2e import EndToEndStream
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream
from router.xmpp.states import Phase
from router.xmpp.xmlstream import XmlStream

SERVICE_LEG: Final = "service"
"""Of the stream that stands for the router's own address: in no metric, and not shown."""


def names(connection: Connection) -> dict[str, object]:
    """What a log line says about a stream."""
    core = connection.core
    domains: dict[str, object] = {}
    if isinstance(core, ComponentStream):
        domains = {"domain": core.domain}
    elif isinstance(core, ServerStream | EndToEndStream):
        local, remote = _ends(core)
        domains = {"local": local, "remote": remote}
    return {"stream": connection.number, "direction": connection.direction, **domains}


def rows(connections: Iterable[Connection], acceptor: str, now: float) -> list[dict[str, object]]:
    """What an operator wants to know of each stream. `pairs` are those in use, "a to b"."""
    shown = (connection for connection in connections if connection.leg != SERVICE_LEG)
    return [_row(connection, acceptor, now) for connection in shown]


def carries(connection: Connection, pair: DomainPair) -> bool:
    """Whether the stream may carry the pair, one way or the other."""
    core = connection.core
    return isinstance(core, ServerStream | EndToEndStream) and (
        pair in core.grants.send or pair.inverse() in core.grants.receive
    )


def rows_for_pair(
    connections: Iterable[Connection], acceptor: str, now: float, pair: DomainPair
) -> list[dict[str, object]]:
    """The streams that carry the pair, a local and a remote domain, and those begun for it.

    `sends` and `receives` say by which proof, None: not on this stream; `certificate` what is
    thought of the peer's for the remote domain, None without TLS.
    """
    found = []
    for connection in connections:
        core = connection.core
        if not isinstance(core, ServerStream | EndToEndStream) or connection.end is not None:
            continue
        if carries(connection, pair) or _ends(core) == pair:
            verdict = core.evidence.proves(pair.target) if connection.session is not None else None
            shown = _row(connection, acceptor, now)
            del shown["pairs"]  # there may be hundreds
            found.append(
                {
                    **shown,
                    "sends": core.grants.send.get(pair),
                    "receives": core.grants.receive.get(pair.inverse()),
                    "certificate": verdict.reason if verdict is not None else None,
                    "certificate_valid": verdict.valid if verdict is not None else None,
                    "certificate_not_after": verdict.not_after if verdict is not None else None,
                }
            )
    return found


def _row(connection: Connection, acceptor: str, now: float) -> dict[str, object]:
    core = connection.core
    session = connection.session
    local = remote = ""
    pairs: list[str] = []
    if isinstance(core, ServerStream | EndToEndStream):
        local, remote = _ends(core)
        pairs = sorted(str(pair) for pair in core.grants.send | core.grants.receive)
    elif isinstance(core, ComponentStream):
        local = core.domain
    return {
        "acceptor": acceptor,
        "number": connection.number,
        "direction": connection.direction,
        "leg": connection.leg,
        "local": local,
        "remote": remote,
        "state": _state(core),
        "auth": core.mechanism or "none",
        "bidi": core.is_bidi,
        "pairs": pairs,
        "tls": session.version if session is not None else "",
        "address": connection.address,
        "stanzas_in": connection.stanzas_in,
        "stanzas_out": connection.stanzas_out,
        "age_s": round(now - connection.opened_at, 3),
    }


def _ends(core: ServerStream | EndToEndStream) -> tuple[str, str]:
    """Between whom the stream is: us first."""
    if isinstance(core, EndToEndStream):
        return core.ends.local, core.ends.peer
    return core.local, core.remote


def _state(core: XmlStream) -> str:
    """The phase; a stream proved by dialback is open, though it never restarts as SASL's does."""
    is_proved = core.mechanism != "" and core.phase in (Phase.PLAIN, Phase.SECURE)
    return (Phase.OPEN if is_proved else core.phase).value
