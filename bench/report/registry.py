"""Which benchmarks there are, by the name in their documents, and the module that draws each."""

from importlib import import_module
from typing import Final, cast

from bench.report.model import Document, Page

TITLES: Final = {
    "bidi": "What connection reuse saves",
    "throughput": "Stanzas per second, CPU per stanza",
    "latency": "Latency under load",
    "idle": "Idle streams and what setting them up costs",
    "core": "The way of a stanza, stage by stage",
    "express": "An express lane past servers that throttle",
    "soak": "Mixed traffic for long",
    "faults": "Every stanza accounted for while the node is hurt",
    "hostile": "Ordinary stanzas in a flood of hostile connections",
}
"""Every benchmark and what its report is about; the module `bench.<name>.page` draws it."""


class UnknownBenchmark(ValueError):
    """The document is of no benchmark that this version has."""


def page_of(document: Document) -> Page:
    """The `page` module of the document's benchmark. Raises UnknownBenchmark."""
    name = document.get("benchmark")
    if name not in TITLES:
        raise UnknownBenchmark(f"there is no benchmark {name!r}; there are {', '.join(TITLES)}")
    return cast(Page, import_module(f"bench.{name}.page"))
