"""The report of `bench core`, from its document."""

from statistics import median
from typing import Any

from bench.core.figures import added_percent, forgetful, name_of, whole_difference_percent
from bench.core.journey import STAGES
from bench.core.profile import Kind, Profile
from bench.remote import STANZA_BYTES
from bench.report import plots
from bench.report.amounts import number
from bench.report.model import Document, Figure, Section, Table

_BOUND = ("at most 15 %", 15.0)


def sections(document: Document) -> list[Section]:
    """The way of a stanza for each reader, what reliability adds, the parts alone."""
    profiles = _profiles(document)
    reliable = [profile for profile in profiles if profile.kind.is_reliable]
    return [
        *(
            section
            for reader in reversed(document["settings"]["readers"])
            for section in _way(reader, [each for each in reliable if each.kind.reader == reader])
        ),
        _reliability(reliable, profiles),
        _alone(document),
    ]


def figures(document: Document) -> list[Figure]:
    """First the way of an ordinary stanza, then its additions, other sizes, parts and stages."""
    profiles = _profiles(document)
    reliable = [profile for profile in profiles if profile.kind.is_reliable]
    reliable.sort(key=lambda each: (each.kind.reader, each.kind.size_bytes != STANZA_BYTES))
    whole = [
        _figure(f"{_full_name(each)}, the whole way", each.totals_us(), "µs") for each in reliable
    ]
    added = [
        _figure(
            f"{_full_name(each)}, reliability adds",
            added_percent(each, forgetful(each, profiles)),
            "%",
        )
        for each in reliable
    ]
    heads = [figure for pair in zip(whole, added, strict=True) for figure in pair]
    parts = [
        _figure(f"{each['name']}, alone", each["samples_us"], "µs") for each in _parts(document)
    ]
    stages = [
        _figure(f"{_full_name(each)}, {stage}", [one[stage] for one in each.samples], "µs")
        for each in reliable
        if each.kind.size_bytes == STANZA_BYTES
        for stage in STAGES
    ]
    return [*heads, *parts, *stages]


def _figure(name: str, samples: list[float], unit: str) -> Figure:
    return Figure(name, median(samples), unit, tuple(samples))


def _full_name(profile: Profile) -> str:
    return f"{name_of(profile)}, {profile.kind.reader} reader"


def _profiles(document: Document) -> list[Profile]:
    rows = [row["profile"] for row in document["results"] if "profile" in row]
    return [Profile(Kind(**row["kind"]), row["stanzas"], tuple(row["samples"])) for row in rows]


def _parts(document: Document) -> list[dict[str, Any]]:
    return [row["part"] for row in document["results"] if "part" in row]


def _way(reader: str, profiles: list[Profile]) -> list[Section]:
    """Small and large stanzas are apart: one scale would hide the small."""
    shares = {
        name_of(each): {
            stage: 100 * each.stage_us(stage) / sum(map(each.stage_us, STAGES)) for stage in STAGES
        }
        for each in profiles
    }
    columns = ("Stage, µs", *map(name_of, profiles))
    rows = [(stage, *(number(profile.stage_us(stage)) for profile in profiles)) for stage in STAGES]
    rows.append(("all", *(number(median(profile.totals_us())) for profile in profiles)))
    busy = {
        name_of(each): {stage: each.stage_us(stage) for stage in STAGES}
        for each in profiles
        if each.kind.size_bytes <= STANZA_BYTES and not each.kind.apart
    }
    return [
        Section(
            f"The way of a stanza, {reader} reader",
            "CPU of every step from the peer's TLS records to those of the next peer, in one"
            " process and without sockets, on a busy stream: many stanzas in each read.",
            plots.stacked("CPU per stanza by stage", busy, "µs") if busy else "",
        ),
        Section(
            f"Shares of the stages, {reader} reader",
            "“Alone” is a stanza in a read of its own, as on a quiet stream; its stages hold what"
            " is paid once for each read.",
            plots.stacked("Shares of the stages", shares, "%"),
            Table(columns, tuple(rows)),
        ),
    ]


def _reliability(reliable: list[Profile], profiles: list[Profile]) -> Section:
    rows = []
    groups: dict[str, dict[str, float]] = {}
    for each in reliable:
        other = forgetful(each, profiles)
        added = sorted(added_percent(each, other))
        groups.setdefault(name_of(each), {})[f"{each.kind.reader} reader"] = median(added)
        whole = whole_difference_percent(each, other)
        rows.append(
            (
                _full_name(each),
                f"{median(added):.1f} %",
                f"{added[0]:.1f} … {added[-1]:.1f} %",
                f"{whole:+.1f} %",
            )
        )
    return Section(
        "What reliability adds to fire and forget",
        "Keeping each run until its outcome is known and reporting how far it got, as a share of"
        " everything else in the same journey. The last column compares the best round of whole"
        " journeys with the best of those without; it has the noise of both.",
        plots.grouped_bars("Reliability over fire and forget", groups, "%", limit=_BOUND),
        Table(("Stanzas", "Added", "Rounds from … to", "Whole journeys, best"), tuple(rows)),
    )


def _alone(document: Document) -> Section:
    parts = _parts(document)
    rows = tuple(
        (
            each["name"],
            number(min(each["samples_us"])),
            number(median(each["samples_us"])),
            str(each["stanzas_per_call"]),
            each["what"],
        )
        for each in parts
    )
    return Section(
        "Parts alone",
        f"The same {STANZA_BYTES}-octet chat message over and over through one part.",
        plots.bars(
            "CPU per stanza by part",
            {each["name"]: median(each["samples_us"]) for each in parts},
            "µs",
            log=True,
            spread={
                each["name"]: (min(each["samples_us"]), max(each["samples_us"])) for each in parts
            },
        ),
        Table(("Part", "Best µs", "Median µs", "Stanzas a call", "What"), rows),
    )
