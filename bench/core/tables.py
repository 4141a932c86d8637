"""The result of `bench core` for people. Called by `command`."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.core.alone import Part
from bench.core.figures import added_percent, forgetful, name_of, whole_difference_percent
from bench.core.journey import STAGES
from bench.core.profile import Profile
from bench.remote import STANZA_BYTES
from bench.report.amounts import number


def show(parts: Sequence[Part], profiles: Sequence[Profile], console: Console) -> None:
    """A table of the parts alone, and for each reader one of the stages and one of reliability."""
    console.print(_parts(parts))
    for reader in dict.fromkeys(profile.kind.reader for profile in profiles):
        ours = [each for each in profiles if each.kind.reader == reader and each.kind.is_reliable]
        console.print(_stages(reader, ours))
        console.print(_reliability(reader, ours, profiles))


def _parts(parts: Sequence[Part]) -> Table:
    table = Table(title=f"Parts alone: CPU per {STANZA_BYTES}-octet chat message")
    for column in ("Part", "Best µs", "Median µs", "Stanzas a call", "What"):
        table.add_column(column, justify="left" if column in ("Part", "What") else "right")
    for part in parts:
        table.add_row(
            part.name,
            number(part.best_us),
            number(part.median_us),
            str(part.stanzas_per_call),
            part.what,
        )
    return table


def _stages(reader: str, profiles: Sequence[Profile]) -> Table:
    table = Table(title=f"The way of a stanza, {reader} reader: µs of CPU, medians")
    table.add_column("Stage")
    for profile in profiles:
        table.add_column(name_of(profile), justify="right")
    for stage in STAGES:
        table.add_row(stage, *(number(profile.stage_us(stage)) for profile in profiles))
    table.add_section()
    for name, pick in (("all, median", lambda us: sorted(us)[len(us) // 2]), ("all, best", min)):
        table.add_row(name, *(number(pick(profile.totals_us())) for profile in profiles))
    return table


def _reliability(reader: str, ours: Sequence[Profile], profiles: Sequence[Profile]) -> Table:
    table = Table(title=f"What reliability adds to fire and forget, {reader} reader")
    for column in ("Stanzas", "By its stages", "Rounds from … to", "Whole journeys, best"):
        table.add_column(column, justify="left" if column == "Stanzas" else "right")
    for profile in ours:
        other = forgetful(profile, profiles)
        added = sorted(added_percent(profile, other))
        whole = whole_difference_percent(profile, other)
        table.add_row(
            name_of(profile),
            f"{added[len(added) // 2]:.1f} %",
            f"{added[0]:.1f} … {added[-1]:.1f} %",
            f"{whole:+.1f} %",
        )
    return table
