"""Results and the plan for people, on the console. Called by `command`."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from bench.faults.experiment import Experiment
from bench.faults.verdict import Outcome

FIGURES = ("sent", "bounced", "lost", "duplicated", "reordered", "both")


def show_plan(experiments: Iterable[Experiment], console: Console) -> None:
    """Every experiment with its fault and bound, or why it is not run."""
    table = Table(title="Fault experiments")
    for column in ("", "Experiment", "Fault", "Passes", "Not run, because"):
        table.add_column(column)
    for each in experiments:
        table.add_row(str(each.number), each.title, each.fault, each.passes, each.cannot())
    console.print(table)


def show(outcomes: Iterable[Outcome], console: Console) -> None:
    """A row a round; then every bound that was broken, and what was not run."""
    table = Table(title="Fault experiments")
    table.add_column("")
    table.add_column("Experiment")
    for column in (*FIGURES, "p99 ms", "worst ms"):
        table.add_column(column, justify="right")
    table.add_column("")
    every = list(outcomes)
    for each in every:
        table.add_row(str(each.number), each.title, *_figures(each), each.verdict)
    console.print(table)
    for each in every:
        for check in each.checks:
            if not check.good:
                words = f"{each.number} round {each.round}: {check.name} is {check.found}"
                console.print(f"{words}, allowed is {check.bound}", soft_wrap=True)
        if each.why:
            console.print(f"{each.number} not run: {each.why}", soft_wrap=True)


def _figures(outcome: Outcome) -> list[str]:
    found = outcome.findings
    if found is None:
        return [""] * (len(FIGURES) + 2)
    counts = [f"{getattr(found, name):,}" for name in FIGURES]
    return [*counts, f"{found.p99_ms:,.1f}", f"{found.worst_ms:,.1f}"]
