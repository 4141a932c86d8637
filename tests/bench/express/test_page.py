"""The report tells the same as the run."""

import json

from bench.express import page
from bench.express.measure import LeftOut
from tests.bench.express.test_tables import THREE_ROUNDS, document, sample


def test_the_gain_over_socks5_heads_the_figures() -> None:
    rounds = json.loads(json.dumps(THREE_ROUNDS))
    rounds["results"]["samples"] += document(sample("in-band", 50, 2))["results"]["samples"]
    found = page.figures(rounds)
    assert found[0].name == "socks5, limits: default, of the ordinary way"
    assert (found[0].value, found[0].samples) == (10, (10, 20, 5))
    assert not found[0].lower_is_better
    rates = {figure.name: figure.value for figure in found if figure.unit == "messages/s"}
    assert rates == {
        "ordinary, limits: default, rate": 100,
        "in-band, limits: default, rate": 50,
        "socks5, limits: default, rate": 1000,
    }
    assert len({figure.name for figure in found}) == len(found)


def test_the_report_says_what_is_missing_only_when_something_is() -> None:
    whole = page.sections(THREE_ROUNDS)
    assert [section.title for section in whole] == [
        "Messages per second",
        "CPU per message",
        "All figures",
    ]
    assert all("<svg" in section.svg for section in whole[:2])
    assert "10x (5..20), held." in whole[0].text
    part = document(sample("ordinary", 100), left_out=(LeftOut("socks5", "default", 1, "gone"),))
    assert page.sections(part)[-1].title == "Left out"
