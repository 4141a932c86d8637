"""What waits in all streams of an acceptor together for peers to read, and its bound.

Half of the room is for peers that read: those that do not cannot take it from them. Called by
`egress`, which tells how much each stream has whenever it has looked.
"""


class OutputRoom:
    """`limit_bytes` bounds the sum; a stream in which nothing waits may always take one run."""

    __slots__ = ("_by_stream", "_limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._by_stream: dict[int, int] = {}
        self.used_bytes = 0

    def holds(self, stream: int, octets: int) -> None:
        """So much waits in this stream now; 0 also when it is gone."""
        before = self._by_stream.pop(stream, 0)
        if octets:
            self._by_stream[stream] = octets
        self.used_bytes += octets - before

    def takes(self, octets: int, *, is_read: bool) -> bool:
        """Whether so much more fits, for a peer that reads or for one that does not."""
        limit_bytes = self._limit_bytes if is_read else self._limit_bytes // 2
        return self.used_bytes + octets <= limit_bytes
