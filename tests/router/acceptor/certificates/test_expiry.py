"""A certificate that ends takes the streams with it that it has proved, and no other."""

import asyncio
import time

import pytest

from router.acceptor.certificates.expiry import Expiries
from router.acceptor.connection import Connection
from router.xmpp.certificate import Verdict
from tests.support.acceptors import Hub, Transport, wired
from tests.support.pump import CAPULET, MONTAGUE, authenticated, policy


class Expiring:
    """Evidence whose certificate ends at `not_after`, since the epoch; good when first asked."""

    def __init__(
        self, not_after: float | None, *, is_renewed: bool = False, was_good: bool = True
    ) -> None:
        self.not_after = not_after
        self.is_renewed = is_renewed
        self.was_good = was_good

    def proves(self, domain: str) -> Verdict:
        is_good = self.was_good or self.is_renewed or (self.not_after or 0) >= time.time()
        self.was_good = False
        return Verdict(is_good, covers=True, reason="", not_after=self.not_after)


def stream(not_after: float | None, **more: bool) -> tuple[Connection, Transport, Hub]:
    hub = Hub()
    core = authenticated(policy(MONTAGUE, close_timeout_s=1e9))
    core.evidence = Expiring(not_after, **more)
    connection, transport = wired(core, hub)
    return connection, transport, hub


@pytest.mark.clause("CRT-07")
async def test_the_stream_is_reset_when_the_certificate_ends() -> None:
    expiries = Expiries(asyncio.get_running_loop())
    connection, transport, hub = stream(time.time() - 0.9)
    expiries.proved(connection, CAPULET)
    assert connection.end is None
    await hub.until(lambda: connection.end is not None)
    assert connection.end is not None
    assert connection.end.condition == "reset"
    assert "<stream:error><reset " in await transport.said()
    expiries.close()


@pytest.mark.clause("CRT-07")
async def test_each_ends_in_its_turn_and_those_gone_are_forgotten() -> None:
    expiries = Expiries(asyncio.get_running_loop())
    later, _, hub = stream(time.time() - 0.7)
    sooner, _, _ = stream(time.time() - 0.9)
    gone, _, _ = stream(time.time() - 0.95)
    lasting, _, _ = stream(time.time() + 1000)
    undated, _, _ = stream(None)
    for each in (later, sooner, gone, lasting, undated):
        expiries.proved(each, CAPULET)
    expiries.gone(gone)
    await hub.until(lambda: later.end is not None)
    assert sooner.end is not None
    assert gone.end is lasting.end is undated.end is None
    expiries.close()


async def test_the_certificate_is_judged_again_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.acceptor.certificates.expiry._AGAIN_S", 0.1)
    expiries = Expiries(asyncio.get_running_loop())
    connection, _, hub = stream(time.time() - 1.0, is_renewed=True)
    evidence = connection.core.evidence
    assert isinstance(evidence, Expiring)
    expiries.proved(connection, CAPULET)
    other, _, theirs = stream(time.time() - 0.9)
    expiries.proved(other, CAPULET)
    await theirs.until(lambda: other.end is not None)
    assert connection.end is None
    evidence.is_renewed = False
    await hub.until(lambda: connection.end is not None)
    expiries.close()


async def test_a_clock_that_is_set_is_noticed_within_the_hour() -> None:
    delays: list[float] = []

    class Loop:
        def call_later(self, delay_s: float, then: object) -> asyncio.TimerHandle:
            delays.append(delay_s)
            return asyncio.get_running_loop().call_later(1e6, lambda: None)

    expiries = Expiries(Loop())  # type: ignore[arg-type]
    connection, _, _ = stream(time.time() + 90 * 86_400)
    expiries.proved(connection, CAPULET)
    assert delays == [3600.0]
    expiries.close()


async def test_a_certificate_that_proves_nothing_takes_nothing_along() -> None:
    """A peer that DNS alone proves may show one that has expired long ago."""
    expiries = Expiries(asyncio.get_running_loop())
    worthless, _, _ = stream(time.time() - 1000, was_good=False)
    ending, _, hub = stream(time.time() - 0.9)
    for each in (worthless, ending):
        expiries.proved(each, CAPULET)
    await hub.until(lambda: ending.end is not None)
    assert worthless.end is None
    expiries.close()
