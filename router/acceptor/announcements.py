"""What a worker must know of an acceptor's streams before it routes its shards.

Called by the acceptor for each worker that has won shards; dials and verifications tell of
themselves. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping

from router.acceptor.connection import Connection
from router.wire.frames import Attach, Attached, Frame, Granted
from router.wire.shard import shard_of
from router.xmpp.component import ComponentStream
from router.xmpp.e2e import EndToEndStream
from router.xmpp.s2s import ServerStream


def of_streams(
    shards: frozenset[int], attached: Mapping[str, Connection], connections: Iterable[Connection]
) -> Iterator[Frame]:
    """Where hosted domains are served, what may be sent where, and who would attach."""
    for domain, connection in attached.items():
        yield Attached(domain, connection.number)
    for connection in connections:
        core = connection.core
        if isinstance(core, ServerStream | EndToEndStream):
            is_ours = connection.direction == "out"
            for pair, mechanism in core.grants.send.items():
                if shard_of(*pair) in shards and connection.may_send(pair):
                    yield Granted(connection.number, pair, is_ours, mechanism)
        elif (
            isinstance(core, ComponentStream)
            and core.is_attaching()
            and shard_of(core.domain, core.domain) in shards
        ):
            yield Attach(connection.number, core.domain, connection.number)
