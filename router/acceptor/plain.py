"""The layer without encryption: components, and s2s before STARTTLS. `Connection` makes it."""

from router.acceptor.layer import RECEIVE_BUFFER, Layer


class PlainLayer(Layer):
    """Octets as they are. Its upper may put a `TlsLayer` in its place while taking a chunk.

    One chunk is all that was read, so what followed `<starttls/>` is in that chunk or still in the
    kernel, never in between (RFC 6120 §5.4.3.3).
    """

    __slots__ = ()

    def buffer_updated(self, nbytes: int) -> None:
        """The shared buffer holds so many octets for us."""
        if self._is_open:
            self._upper.data_received(bytes(RECEIVE_BUFFER[:nbytes]))
