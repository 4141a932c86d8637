"""What an acceptor answers the operator, who asks through the supervisor (`control.Ask`).

Rows of plain values; `part` says what a row of "explain" is about. Called by the process.
"""

from collections.abc import Sequence

import structlog

from router.acceptor.acceptor import Acceptor
from router.acceptor.streams import carries, names, rows, rows_for_pair
from router.wire.control import Ask
from router.xmpp.pair import DomainPair

log = structlog.get_logger()

Rows = Sequence[dict[str, object]]


def answer(ask: Ask, acceptor: Acceptor, own_id: str, now: float) -> Rows:
    """The rows; none for a question that others answer. "close" is done here, too."""
    connections = acceptor.connections()
    match ask.what, ask.arguments:
        case "streams", ():
            return rows(connections, own_id, now)
        case "explain", (local, remote):
            streams = rows_for_pair(connections, own_id, now, DomainPair(local, remote))
            notes = acceptor.history.rows(local, remote)
            return [
                *({"part": "stream", **row} for row in streams),
                *({"part": "note", "acceptor": own_id, **row} for row in notes),
            ]
        case "e2e", ():
            return [{"acceptor": own_id, **row} for row in acceptor.end_to_end.rows()]
        case "e2e open", (peer,) if acceptor.end_to_end.is_here():
            log.info("e2e.open_asked", peer=peer)
            return [{"acceptor": own_id, "peer": peer, "sid": acceptor.end_to_end.open(peer)}]
        case "close", (local, remote):
            return _close(acceptor, DomainPair(local, remote), own_id, now)
    return ()


def _close(acceptor: Acceptor, pair: DomainPair, own_id: str, now: float) -> Rows:
    """Close in order what carries the pair: what is on its way arrives first (RFC 6120 §4.4)."""
    closed = [connection for connection in acceptor.connections() if carries(connection, pair)]
    shown = rows_for_pair(closed, own_id, now, pair)
    for connection in closed:
        if connection.end is None:
            log.info("stream.close_asked", **names(connection), pair=str(pair))
            acceptor.history.note(*pair, "closed", stream=connection.number, by_operator=True)
            connection.close()
    return shown
