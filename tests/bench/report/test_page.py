"""The page: everything in it is the document's and nothing comes from elsewhere."""

import re

from bench.report.model import Figure, Section, Table
from bench.report.page import page

DOCUMENT = {
    "benchmark": "throughput",
    "taken_at": "2026-03-04T05:06:07+00:00",
    "commit": "abc1234",
    "machine": {"cpu": "A <fast> one", "cores": 2, "kernel": "6.1"},
    "versions": {"causeway": "0.1.0", "prosody": "0.12.3"},
    "settings": {"rounds": 3, "against": ["prosody", "ejabberd"]},
    "results": [],
}


def test_machine_versions_commit_and_date_are_on_it() -> None:
    html = page(DOCUMENT, [])
    for words in ("abc1234", "2026-03-04 05:06 UTC", "A &lt;fast&gt; one, 2 cores", "0.12.3"):
        assert words in html
    assert "<dt>against</dt><dd>prosody, ejabberd</dd>" in html


def test_nothing_is_loaded_and_no_script_runs() -> None:
    html = page(DOCUMENT, [Section("One", svg="<svg/>")])
    assert not re.search(r"<script|<link|<img|@import|src=|https?:", html)
    assert "prefers-color-scheme:dark" in html
    assert "width=device-width" in html


def test_only_the_first_figures_are_tiles() -> None:
    figures = [Figure(f"figure {number}", 1234 * number, "µs") for number in range(1, 6)]
    html = page(DOCUMENT, [], figures)
    assert html.count('class="tile"') == 4
    assert "<b>1,234 <small>µs</small></b><span>figure 1</span>" in html
    assert "figure 5" not in html


def test_a_section_is_title_text_picture_and_table_in_this_order() -> None:
    table = Table(("Name", "µs", "Verdict"), (("1 & 2", "4.2 µs", "held"), ("in", "-", "")))
    html = page(DOCUMENT, [Section("A < B", "One.\n\nTwo.", "<svg></svg>", table)])
    body = html[html.index("<section>") : html.index("</section>")]
    order = ("A &lt; B", "<p>One.</p>", "<p>Two.</p>", "<svg>", "<th>Name</th>", "1 &amp; 2")
    assert [body.index(part) for part in order] == sorted(body.index(part) for part in order)


def test_columns_of_figures_stand_to_the_right() -> None:
    rows = (("8", "4.2 µs", "1.0 … 2.5 %", "182 left by us"), ("12", "-", "+3 %", "7 ok, 1 not"))
    html = page(DOCUMENT, [Section("S", table=Table(("Name", "CPU", "Range", "Ended"), rows))])
    assert re.findall(r"<th([^>]*)>", html) == ["", ' class="number"', ' class="number"', ""]
