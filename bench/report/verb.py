"""The common tail of every `causeway bench …`: the document printed, kept, and drawn.

Called by the benchmarks' commands once they have measured.
"""

import json
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import result
from bench.report.model import Document
from bench.report.page import page
from bench.report.registry import page_of

Json = Annotated[bool, typer.Option("--json", help="Print the JSON document and nothing else.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write the JSON document to this file.")]


def _drawable(path: Path | None) -> Path | None:
    """Said before the measurement, not behind it."""
    if path is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter("matplotlib is missing: pip install 'causeway[bench]'")
    return path


Html = Annotated[
    Path | None,
    typer.Option("--html", help="Write the report to this file.", callback=_drawable),
]


def finish(
    name: str,
    settings: Mapping[str, object],
    rows: object,
    out: Path | None,
    html: Path | None,
    as_json: bool,
    console: Console,
    peers: Iterable[str] = (),
) -> bool:
    """Keep and draw what is asked for; True when JSON was printed, so that no table is wanted.

    `settings` are the options of the run, `rows` the results, raw samples included, both of plain
    values. `peers` are the other servers that took part ("prosody"); their versions are kept.
    `console` is told which files were written.
    """
    whole = result.document(name, rows, settings=settings, peers=peers)
    if out is not None:
        result.write(out, whole)
        console.print(f"the document is in {out}", soft_wrap=True)
    if html is not None:
        draw(html, json.loads(json.dumps(whole)))
        console.print(f"the report is in {html}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(whole, indent=1))
    return as_json


def draw(path: Path, document: Document) -> None:
    """Write the report of a document."""
    source = page_of(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(document, source.sections(document), source.figures(document)))
