"""/metrics: the node's totals in the text format or in OpenMetrics, as the client asks."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from router.metrics import METRICS

Totals = Callable[[], Mapping[str, Mapping[tuple[str, ...], float]]]


class TotalsCollector(Collector):
    """Turns `Ledger.totals` into the families declared in `router.metrics`."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        for name, values in self._totals().items():
            declared = METRICS[name]
            labels = declared.label_names
            if declared.type == "info":
                info = InfoMetricFamily(name.removesuffix("_info"), declared.help)
                for row in values:
                    info.add_metric((), dict(zip(labels, row, strict=True)))
                yield info
                continue
            family = CounterMetricFamily if declared.type == "counter" else GaugeMetricFamily
            samples = family(name, declared.help, labels=labels)
            for row, value in values.items():
                samples.add_metric(row, value)
            yield samples


class MetricsPage:
    """Renders on demand; keeps nothing."""

    def __init__(self, totals: Totals) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(TotalsCollector(totals))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, for this Accept header."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
