"""How fast a peer may talk, as token buckets; pure, the clock is the caller's.

Going over it costs nothing but time: `Connection` reads on later (D5). Made by the acceptor, for
streams of peers to whom a rate applies.
"""

from router.config import Config

_BURST_S = 2.0
"""After a silence, so many seconds' worth comes at full speed."""


class Bucket:
    """`rate` tokens a second, filled up to `burst`. It goes below 0: what was read, was read."""

    __slots__ = ("_burst", "_filled_at", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._filled_at = now

    def take(self, amount: float, now: float) -> float:
        """Take so many; seconds until the bucket is out of debt, 0 when it is not in debt."""
        elapsed_s, self._filled_at = now - self._filled_at, now
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate) - amount
        return max(0.0, -self._tokens / self._rate)

    def take_if_there(self, now: float) -> bool:
        """Take one, or nothing where that would be a debt; whether it was there."""
        self.take(0, now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Throttle:
    """One stream's rates, of octets and of stanzas a second; 0 is none."""

    __slots__ = ("_octets", "_stanzas", "_stanzas_before")

    def __init__(self, bytes_per_s: int, stanzas_per_s: int, stanzas: int, now: float) -> None:
        self._octets = _bucket(bytes_per_s, now)
        self._stanzas = _bucket(stanzas_per_s, now)
        self._stanzas_before = stanzas

    def took(self, octets: int, stanzas: int, now: float) -> float:
        """So many octets were read, so many stanzas in all until now; how long to read no more."""
        came, self._stanzas_before = stanzas - self._stanzas_before, stanzas
        return max(
            self._octets.take(octets, now) if self._octets is not None else 0.0,
            self._stanzas.take(came, now) if self._stanzas is not None else 0.0,
        )


def _bucket(rate: int, now: float) -> Bucket | None:
    return Bucket(rate, rate * _BURST_S, now) if rate else None


def throttle(config: Config, remote: str, stanzas: int, now: float) -> Throttle | None:
    """What holds for streams of this remote domain, on which so many stanzas have come."""
    peer, limits = config.peer(remote), config.limits
    bytes_per_s, stanzas_per_s = peer.bytes_per_s, peer.stanzas_per_s
    if bytes_per_s is None:
        bytes_per_s = limits.stream_bytes_per_s
    if stanzas_per_s is None:
        stanzas_per_s = limits.stream_stanzas_per_s
    if not (bytes_per_s or stanzas_per_s):
        return None
    return Throttle(bytes_per_s, stanzas_per_s, stanzas, now)
