"""The result of `causeway bench hostile` for people. Called by `command`."""

from rich.console import Console
from rich.table import Table

from bench.hostile.measure import MAX_P99_MS, Result


def show(result: Result, console: Console) -> None:
    """Three tables: the ordinary stanzas, the hostile connections, the processes."""
    rate = f"{result.stanzas_per_s:,}/s"
    ordinary = Table(title=f"Ordinary stanzas at {rate}, there and back")
    for column in ("", "p50 ms", "p99 ms", "p99.9 ms", "worst ms"):
        ordinary.add_column(column, justify="right" if column else "left")
    for name, latency in (("calm", result.calm), ("in the flood", result.flooded)):
        figures = (latency.p50_ms, latency.p99_ms, latency.p99_9_ms, latency.worst_ms)
        ordinary.add_row(name, *(f"{each:.2f}" for each in figures))
    console.print(ordinary)
    console.print(
        f"{result.sent:,} sent, {result.lost} lost, {result.duplicated} duplicated,"
        f" {result.reordered} reordered, {result.forged} forged ones delivered"
    )

    title = f"{result.made:,} hostile connections, {result.connections_per_minute:,} a minute"
    hostile = Table(title=title)
    for column in ("Kind", "Ended"):
        hostile.add_column(column)
    for kind, ends in result.connections.items():
        words = ", ".join(f"{number} {end}" for end, number in sorted(ends.items()))
        hostile.add_row(kind.replace("_", " "), words)
    console.print(hostile)

    processes = Table(title="CPU during the flood")
    processes.add_column("Process")
    processes.add_column("Of a core", justify="right")
    for name, share in result.cpu_share.items():
        processes.add_row(name, f"{share:.0%}")
    console.print(processes)
    console.print(
        f"Memory of the node: {result.rss_before_mib:.1f} MiB before, {result.rss_peak_mib:.1f} at"
        f" its peak, {result.rss_after_mib:.1f} after"
    )
    bound = f"nothing lost or smuggled in, p99 below {MAX_P99_MS:.0f} ms"
    console.print(f"{bound}: {'met' if result.is_good else 'NOT MET'}")
