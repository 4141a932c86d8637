"""What the demo shows: steps as they are done, the streams of each act, and what bidi saved.

On a terminal with live progress, elsewhere in plain lines. Owns no process and measures nothing.
Called by `bench.demo`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from bench.traffic import Exchange

NEEDED_WITHOUT_BIDI: Final = 2  # one each way, for the one pair of domains
BIDI, NO_BIDI, DIALBACK = (True, True), (True, False), (False, True)  # trusted, bidi
LINE_INTERVAL_S: Final = 1.0
STEP_WIDTH: Final = 62
PROOFS: Final = {"external": "SASL EXTERNAL", "dialback": "dialback"}


@dataclass(frozen=True, slots=True)
class Act:
    """One setting of both servers, and how many messages and pings go each way."""

    name: str
    title: str
    amount: int
    trusted: bool = True
    bidi: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act came to: Causeway's s2s streams at its end, and all connections opened."""

    act: Act
    exchange: Exchange
    streams: Sequence[Mapping[str, Any]]
    connections: int


class Screen:
    """Writes to one console, in the order the methods are called."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._mark = "✓" if console.encoding.startswith("utf") else "*"

    def opening(self, ours: str, theirs: str, peer: str, is_foreign: bool) -> None:
        """Who plays."""
        who = Table.grid(padding=(0, 2))
        who.add_row(Text(ours, "bold"), "Causeway, with a slixmpp component attached")
        who.add_row(Text(theirs, "bold"), f"{peer}, with a slixmpp component attached")
        hint = (
            "" if is_foreign else "Prosody is not installed here; with it, it would play Capulet."
        )
        parts: list[RenderableType] = [who]
        if hint:
            parts.append(Text(hint, "dim"))
        self._console.print(
            Panel(
                Group(*parts), title="Causeway demo", title_align="left", box=ROUNDED, expand=False
            )
        )

    def act(self, number: int, act: Act) -> None:
        """The headline of an act."""
        self._console.print(Text(f"\n{number}. {act.title}", "bold"))

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Something short is under way; a line says when it is done, and how long it took."""
        began_s = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(text):
                yield
        else:
            yield
        self._done(text, time.monotonic() - began_s)

    @contextmanager
    def traffic(self, act: Act) -> Iterator[Callable[[int], None]]:
        """The exchange is under way; call what it yields with the number settled so far."""
        text = f"{act.amount:,} messages and {act.amount:,} pings each way"
        total = 4 * act.amount
        began_s = time.monotonic()
        if self._console.is_terminal:
            with Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                console=self._console,
                transient=True,
            ) as bar:
                task = bar.add_task(text, total=total)
                yield lambda settled: bar.update(task, completed=settled)
        else:
            yield self._line_by_line(total)
        self._done(text, time.monotonic() - began_s)

    def streams(self, outcome: Outcome) -> None:
        """The streams as they stood at the end of the act."""
        table = _table(
            left=("Stream opened by", "Proved by", "Bidi", "TLS"),
            right=("Stanzas in", "Stanzas out"),
        )
        for row in outcome.streams:
            opener = row["local"] if row["direction"] == "out" else row["remote"]
            table.add_row(
                opener,
                PROOFS.get(row["auth"], "not proved yet"),
                "yes" if row["bidi"] else "no",
                row["tls"],
                f"{row['stanzas_in']:,}",
                f"{row['stanzas_out']:,}",
            )
        self._show(table)

    def summary(self, outcomes: Sequence[Outcome]) -> None:
        """All acts side by side, and the verdict: what bidi saved, or what is missing."""
        self._console.print(Text("\nSide by side", "bold"))
        table = _table(
            left=("",),
            right=("Connections", "Without bidi", "Stanzas", "Missing", "Stanzas/s"),
        )
        for number, outcome in enumerate(outcomes, 1):
            exchange = outcome.exchange
            table.add_row(
                f"{number}. {outcome.act.name}",
                str(outcome.connections),
                str(NEEDED_WITHOUT_BIDI),
                f"{exchange.stanzas:,}",
                f"{exchange.findings.missing:,}",
                f"{exchange.stanzas_per_s:,.0f}",
            )
        self._show(table)
        faults = [line for outcome in outcomes for line in faults_of(outcome)]
        style = "red" if faults else "green"
        text = Text("\n".join(faults or _savings(outcomes)))
        self._console.print(Panel(text, border_style=style, box=ROUNDED, expand=False))

    def failure(self, reason: str) -> None:
        """Why the demo ends early."""
        self._console.print(Text(reason, "red"))

    def _line_by_line(self, total: int) -> Callable[[int], None]:
        shown_s = time.monotonic()

        def show(settled: int) -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s >= LINE_INTERVAL_S:
                shown_s = time.monotonic()
                self._console.print(f"    {settled:,} of {total:,}", highlight=False)

        return show

    def _show(self, table: Table) -> None:
        self._console.print(Padding(table, (1, 0, 1, 2), expand=False))

    def _done(self, text: str, elapsed_s: float) -> None:
        line = Text.assemble("  ", (self._mark, "green"), f" {text:<{STEP_WIDTH}}")
        elapsed = f"{elapsed_s:.1f} s" if elapsed_s >= 1 else f"{elapsed_s * 1000:.0f} ms"
        self._console.print(line.append(f"{elapsed:>8}", "dim"))


def _table(*, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in left:
        table.add_column(title, no_wrap=True)
    for title in right:
        table.add_column(title, justify="right")
    return table


def faults_of(outcome: Outcome) -> list[str]:
    """A line for each thing that went wrong in the act; none when every stanza arrived."""
    found = outcome.exchange.findings
    counts = {
        "messages lost": found.lost,
        "pings not answered": found.unanswered,
        "stanzas never sent": found.unsent,
        "messages twice": found.duplicated,
        "messages out of order": found.reordered,
        "messages nobody sent": found.unexpected,
        "errors received": found.refused,
    }
    lines = [f"{outcome.act.name}: {count:,} {what}" for what, count in counts.items() if count]
    return lines + [f"  {reason}" for reason in found.errors]


def _savings(outcomes: Sequence[Outcome]) -> list[str]:
    total = sum(outcome.exchange.stanzas for outcome in outcomes)
    lines = [f"{total:,} stanzas: none missing, none twice, none out of order."]
    opened = {(outcome.act.trusted, outcome.act.bidi): outcome.connections for outcome in outcomes}
    both, each_way, by_dialback = (opened.get(key) for key in (BIDI, NO_BIDI, DIALBACK))
    if both and each_way:
        what = "1 connection" if both == 1 else f"{both} connections"
        lines.append(f"{what} carried both directions; without bidi it took {each_way}.")
    if both and by_dialback and by_dialback > both:
        lines.append(f"Dialback took {by_dialback}: a key is checked over a second connection.")
    return lines
