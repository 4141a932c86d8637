"""Every metric, declared once; the cheap counters of a process; the ledger that adds processes up.

Label values come from configuration or closed sets, never from a peer. Acceptors and workers keep
`Counters` and send `snapshot()` with each beat; the supervisor keeps the `Ledger`; `router.http`
renders it. Nothing here knows an exposition format.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

from router.xmpp.errors import STREAM_CONDITIONS, MisuseError

Row = tuple[str, tuple[str, ...], float]
"""Name, label values in the order declared, value."""

_DIRECTION: Final = ("in", "out")
_LEG: Final = ("s2s", "component", "server", "e2e")


@dataclass(frozen=True, slots=True)
class Metric:
    """One declaration. `labels` are (label name, its closed values); None: set from our side."""

    name: str
    type: Literal["counter", "gauge", "info"]
    help: str
    labels: tuple[tuple[str, tuple[str, ...] | None], ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.labels)

    def accepts(self, values: tuple[str, ...]) -> bool:
        """Whether these label values fit the declaration."""
        return len(values) == len(self.labels) and all(
            isinstance(value, str) and (closed is None or value in closed)
            for value, (_, closed) in zip(values, self.labels, strict=True)
        )

    def closed_values(self) -> Iterator[tuple[str, ...]]:
        """Every combination of label values; none when a label's values are not closed."""
        sets = [closed for _, closed in self.labels if closed is not None]
        if len(sets) == len(self.labels):
            yield from product(*sets)


def _declare(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: Final = _declare(
    Metric(
        "causeway_s2s_streams",
        "gauge",
        "Open streams with remote servers, by who opened them and how the peer was proved.",
        (
            ("direction", _DIRECTION),
            ("auth", ("none", "external", "dialback")),
            ("bidi", ("true", "false")),
        ),
    ),
    Metric(
        "causeway_s2s_authenticated_total",
        "counter",
        "Successful proofs of identity.",
        (
            ("direction", _DIRECTION),
            ("mechanism", ("external", "dialback", "component")),
        ),
    ),
    Metric(
        "causeway_s2s_closed_total",
        "counter",
        "Streams closed, by stream error; none: orderly; lost: connection gone without a word.",
        (
            ("direction", _DIRECTION),
            ("condition", ("none", "lost", *sorted(STREAM_CONDITIONS))),
        ),
    ),
    Metric(
        "causeway_tls_handshakes_total",
        "counter",
        "TLS handshakes by our role; version none: failed before one was agreed.",
        (
            ("role", ("client", "server")),
            ("version", ("TLSv1.2", "TLSv1.3", "none")),
            ("result", ("ok", "failed")),
        ),
    ),
    Metric(
        "causeway_tcp_connections_total",
        "counter",
        "TCP connections accepted (in) and opened (out).",
        (("direction", _DIRECTION),),
    ),
    Metric(
        "causeway_bidi_reuse_total",
        "counter",
        "Stanzas sent on a connection that the peer opened (XEP-0288).",
    ),
    Metric(
        "causeway_stanzas_total",
        "counter",
        "Stanzas accepted on an authorised pair (in) and written (out).",
        (("kind", ("message", "presence", "iq")), ("leg", _LEG), ("direction", _DIRECTION)),
    ),
    Metric(
        "causeway_bytes_total",
        "counter",
        "Octets of XML received and sent, before TLS.",
        (("leg", _LEG), ("direction", _DIRECTION)),
    ),
    Metric(
        "causeway_stanza_outcomes_total",
        "counter",
        "What became of the stanzas accepted.",
        (("outcome", ("handed", "bounced", "filtered", "unbounceable", "answered")),),
    ),
    Metric("causeway_stanzas_in_flight", "gauge", "Stanzas accepted whose outcome is open."),
    Metric(
        "causeway_queue_bytes",
        "gauge",
        "Octets of stanzas kept until their outcome is known.",
    ),
    Metric(
        "causeway_backlog_bytes",
        "gauge",
        "Of these, octets that wait in workers for a stream to be opened.",
    ),
    Metric(
        "causeway_memory_budget_bytes",
        "gauge",
        "What all processes together may come to need, by the configuration.",
    ),
    Metric(
        "causeway_overloaded_acceptors",
        "gauge",
        "Acceptors whose queues are over 70 % (full), 85 % (pressed) or 95 % (critical) of "
        "their bounds, or that have no room for more connections (crowded) or are late (busy).",
        (("how", ("full", "pressed", "critical", "crowded", "busy")),),
    ),
    Metric(
        "causeway_shard_owner_changes_total",
        "counter",
        "Shards that moved from one worker to another.",
    ),
    Metric(
        "causeway_process_restarts_total",
        "counter",
        "Processes started in place of one that died.",
        (("role", ("acceptor", "worker")),),
    ),
    Metric(
        "causeway_config_reloads_total",
        "counter",
        "Reloads asked for by SIGHUP; refused: the new configuration was wrong, the old one stays.",
        (("result", ("ok", "refused")),),
    ),
    Metric(
        "causeway_peer_downgrades_total",
        "counter",
        "Peers that used to prove themselves by certificate and came with dialback alone.",
    ),
    Metric(
        "causeway_claims_refused_total",
        "counter",
        "Claims to a domain that is no peer's on that leg, or whose own server denies the key.",
        (("leg", ("s2s", "server")),),
    ),
    Metric(
        "causeway_build_info",
        "info",
        "Versions of the program and of what it is built on.",
        (("version", None), ("python", None), ("openssl", None)),
    ),
)


def fits(name: str, labels: tuple[str, ...], *types: str) -> bool:
    """Whether the name is declared, with one of these types, and accepts these label values."""
    metric = METRICS.get(name)
    return metric is not None and metric.type in types and metric.accepts(labels)


class Counters:
    """What one process counts. Each key is checked against the declarations once, at first use."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[tuple[str, tuple[str, ...]], float] = {}

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter, or to a gauge (there `by` may be negative).

        Raises MisuseError for a name or label value that is not declared.
        """
        key = (name, labels)
        try:
            self._values[key] += by
        except KeyError:
            if not fits(name, labels, "counter", "gauge"):
                raise MisuseError(f"no such metric: {name}{labels}") from None
            self._values[key] = by

    def set(self, name: str, *labels: str, value: float) -> None:
        """Set a gauge, or mark an info with 1. Raises MisuseError as `add` does."""
        key = (name, labels)
        if key not in self._values and not fits(name, labels, "gauge", "info"):
            raise MisuseError(f"no such gauge: {name}{labels}")
        self._values[key] = value

    def snapshot(self) -> tuple[Row, ...]:
        """All rows, as `Beat.counters` carries them."""
        return tuple((name, labels, value) for (name, labels), value in self._values.items())


class Ledger:
    """Adds up all processes. Totals of the dead are kept, so no counter ever goes backwards."""

    __slots__ = ("_last", "_retained")

    def __init__(self) -> None:
        self._last: dict[str, tuple[Row, ...]] = {}
        self._retained: dict[tuple[str, tuple[str, ...]], float] = {}

    def beat(self, process: str, rows: Iterable[Row]) -> None:
        """Replace what the process counted so far; rows nobody declared are left out."""
        self._last[process] = tuple(
            (name, labels, value)
            for name, labels, value in rows
            if fits(name, labels, "counter", "gauge", "info")
        )

    def gone(self, process: str) -> None:
        """The process is dead: its counters are kept, its gauges vanish."""
        for name, labels, value in self._last.pop(process, ()):
            if METRICS[name].type == "counter":
                key = (name, labels)
                self._retained[key] = self._retained.get(key, 0) + value

    def totals(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Each metric's value by label values; closed sets are there in full from the start."""
        sums: dict[str, dict[tuple[str, ...], float]] = {
            metric.name: dict.fromkeys(metric.closed_values(), 0.0) if metric.type != "info" else {}
            for metric in METRICS.values()
        }
        for (name, labels), value in self._retained.items():
            sums[name][labels] = sums[name].get(labels, 0) + value
        for rows in self._last.values():
            for name, labels, value in rows:
                sums[name][labels] = sums[name].get(labels, 0) + value
        return sums
