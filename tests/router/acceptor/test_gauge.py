"""How many streams are open, told step by step."""

from types import SimpleNamespace

from router.acceptor.gauge import StreamGauge
from router.xmpp.component import ComponentStream
from router.xmpp.xmlstream import XmlStream
from tests.support.pump import MONTAGUE, Proves, authenticated, inbound, policy

US = policy(MONTAGUE)


def stream(core: XmlStream, number: int = 1) -> SimpleNamespace:
    return SimpleNamespace(core=core, number=number, direction="in", end=None)


def counted(gauge: StreamGauge) -> dict[tuple[str, str, str], int]:
    return {labels: amount for labels, amount in gauge.values() if amount}


def test_all_labels_are_there_from_the_start() -> None:
    values = dict(StreamGauge().values())
    assert len(values) == 12
    assert set(values.values()) == {0}


def test_a_stream_counts_once_where_it_is_now() -> None:
    gauge = StreamGauge()
    connection = stream(inbound(US, Proves()))
    gauge.look(connection)  # type: ignore[arg-type]
    gauge.look(connection)  # type: ignore[arg-type]
    assert counted(gauge) == {("in", "none", "false"): 1}
    connection.core = authenticated(US, bidi=True)
    gauge.look(connection)  # type: ignore[arg-type]
    gauge.look(stream(authenticated(US, bidi=True), 2))  # type: ignore[arg-type]
    assert counted(gauge) == {("in", "external", "true"): 2}


def test_one_that_is_over_does_not_count() -> None:
    gauge = StreamGauge()
    one, two = stream(inbound(US, Proves())), stream(inbound(US, Proves()), 2)
    for connection in (one, two):
        gauge.look(connection)  # type: ignore[arg-type]
    one.end = "closed"
    gauge.look(one)  # type: ignore[arg-type]
    gauge.gone(one)  # type: ignore[arg-type]
    assert counted(gauge) == {("in", "none", "false"): 1}
    gauge.gone(two)  # type: ignore[arg-type]
    assert counted(gauge) == {}


def test_components_are_no_s2s_streams() -> None:
    gauge = StreamGauge()
    gauge.look(stream(ComponentStream(US, lambda: "id", {}, 0.0)))  # type: ignore[arg-type]
    assert counted(gauge) == {}
