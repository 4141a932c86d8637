"""How many s2s streams are open, by direction, proof and bidi, kept as they change.

Asked every beat: to look at each of thousands of streams then would be most of what an idle
acceptor does. The acceptor tells of every step of a stream.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Final

from router.acceptor.connection import Connection
from router.xmpp.s2s import ServerStream

_ALL: Final = tuple(product(("in", "out"), ("none", "external", "dialback"), ("true", "false")))

Labels = tuple[str, str, str]


class StreamGauge:
    """The gauge `causeway_s2s_streams`; its labels are direction, auth and bidi."""

    def __init__(self) -> None:
        self._labels: dict[int, Labels] = {}
        self._open: Counter[Labels] = Counter(dict.fromkeys(_ALL, 0))

    def look(self, connection: Connection) -> None:
        """Something happened to the stream that may change where it counts."""
        labels = _labels(connection)
        before = self._labels.get(connection.number)
        if labels == before:
            return
        self.gone(connection)
        if labels is not None:
            self._labels[connection.number] = labels
            self._open[labels] += 1

    def gone(self, connection: Connection) -> None:
        """The stream counts no more."""
        if (before := self._labels.pop(connection.number, None)) is not None:
            self._open[before] -= 1

    def values(self) -> Iterator[tuple[Labels, int]]:
        """Every combination of labels, those of no stream too, and the streams that are open."""
        yield from self._open.items()


def _labels(connection: Connection) -> Labels | None:
    core = connection.core
    if not isinstance(core, ServerStream) or connection.end is not None:
        return None
    return connection.direction, core.mechanism or "none", "true" if core.is_bidi else "false"
