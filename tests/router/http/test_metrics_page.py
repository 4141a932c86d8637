"""/metrics as Prometheus parses it, in both formats."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text

from router.http.metrics_page import MetricsPage
from router.metrics import METRICS, Counters, Ledger

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def page() -> MetricsPage:
    ledger, counters = Ledger(), Counters()
    counters.set("causeway_build_info", "0.1", "3.11", "OpenSSL 3", value=1)
    counters.add("causeway_stanzas_total", "message", "s2s", "in", by=3)
    counters.add("causeway_stanzas_in_flight", by=2)
    ledger.beat("a0.1", counters.snapshot())
    return MetricsPage(ledger.totals)


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [("", "text/plain", text), (OPENMETRICS, "application/openmetrics-text", open_metrics)],
)
def test_every_metric_is_there_with_its_value(accept: str, content_type: str, parse: type) -> None:
    octets, sent_type = page().render(accept)
    assert sent_type.startswith(content_type)
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(octets.decode())
        for sample in family.samples
    }
    assert {name for name, _ in samples} == METRICS.keys()

    def value(name: str, **labels: str) -> float:
        return samples[name, frozenset(labels.items())]

    assert value("causeway_stanzas_total", kind="message", leg="s2s", direction="in") == 3
    assert value("causeway_stanzas_total", kind="iq", leg="e2e", direction="out") == 0
    assert value("causeway_stanzas_in_flight") == 2
    build = {"version": "0.1", "python": "3.11", "openssl": "OpenSSL 3"}
    assert value("causeway_build_info", **build) == 1


def test_types() -> None:
    octets, _ = page().render(OPENMETRICS)
    families = {family.name: family for family in open_metrics(octets.decode())}
    assert families["causeway_stanzas"].type == "counter"
    assert families["causeway_stanzas_in_flight"].type == "gauge"
    assert families["causeway_build"].type == "info"
