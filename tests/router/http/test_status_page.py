"""The status page: whole, without scripts, and with everything escaped."""

from dataclasses import dataclass
from xml.etree import ElementTree

from router.http.status_page import render


@dataclass(frozen=True)
class Shown:
    id: str = "w0.1"
    role: str = "worker"
    pid: int = 4711
    state: str = "ready"
    shards: int = 64
    age_s: float = 3725.0


def test_what_it_says() -> None:
    page = render((), [Shown()], {("in", "external", "true"): 2.0}, {"s2s": ["[::]:5269"]})
    for text in ("Causeway: ready", "w0.1", "4711", "64", "1 h 2 min", "the peer", "[::]:5269"):
        assert text in page
    assert "<script" not in page
    body = page[page.index("<body>") : page.index("</html>")]
    ElementTree.fromstring(body)


def test_streams_that_are_not_there_are_not_listed() -> None:
    page = render((), [], {("in", "external", "true"): 0.0}, {})
    assert "<td>none</td>" in page
    assert "the peer" not in page


def test_ages_below_an_hour_have_seconds() -> None:
    assert "1 min 1 s" in render((), [Shown(age_s=61.9)], {}, {})


def test_reasons_and_names_are_escaped() -> None:
    page = render(("<b>down</b>",), [Shown(state="<i>")], {}, {"<u>": ["<s>"]})
    for tag in ("<b>", "<i>", "<u>", "<s>"):
        assert tag not in page
