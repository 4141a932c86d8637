"""What the demo shows where there is no terminal, and how it names what went wrong."""

import io

import pytest
from rich.console import Console

from bench import demo_screen
from bench.demo_screen import Act, Outcome, Screen, faults_of
from bench.traffic import Exchange, Findings, Record

ACT = Act("EXTERNAL, bidi", "Certificates that both trust", 10)
FLAWLESS = Record(0, 0).findings()


def screen(encoding: str = "utf-8") -> tuple[Screen, io.StringIO]:
    class File(io.StringIO):
        @property
        def encoding(self) -> str:  # type: ignore[override]
            return encoding

    shown = File()
    return Screen(Console(file=shown, width=80)), shown


def outcome(
    connections: int, *, trusted: bool = True, bidi: bool = True, found: Findings = FLAWLESS
) -> Outcome:
    act = Act("an act", "An act", 10, trusted=trusted, bidi=bidi)
    return Outcome(act, Exchange(found, 1.0), (), connections)


@pytest.mark.parametrize("encoding, mark", [("utf-8", "✓"), ("iso-8859-1", "*")])
def test_a_step_is_a_line_once_it_is_done(encoding: str, mark: str) -> None:
    here, shown = screen(encoding)
    with here.step("start Prosody"):
        assert shown.getvalue() == ""
    assert f"  {mark} start Prosody " in shown.getvalue()


def test_a_step_that_failed_is_not_called_done() -> None:
    here, shown = screen()
    with pytest.raises(RuntimeError), here.step("start Prosody"):
        raise RuntimeError
    assert shown.getvalue() == ""


def test_traffic_is_told_of_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_screen, "LINE_INTERVAL_S", 0)
    here, shown = screen()
    with here.traffic(Act("", "", 1000)) as progress:
        progress(1250)
    first, second = shown.getvalue().splitlines()
    assert first == "    1,250 of 4,000"
    assert "1,000 messages and 1,000 pings each way" in second


def test_a_stream_is_shown_with_who_opened_it_its_proof_and_bidi() -> None:
    here, shown = screen()
    row = {"local": "montague.lit", "remote": "capulet.lit", "tls": "TLSv1.3"}
    row |= {"stanzas_in": 1234, "stanzas_out": 0}
    rows = (
        {**row, "direction": "out", "auth": "external", "bidi": True},
        {**row, "direction": "in", "auth": "dialback", "bidi": False},
    )
    here.streams(Outcome(ACT, Exchange(FLAWLESS, 1.0), rows, 2))
    lines = shown.getvalue().splitlines()
    ours = next(line for line in lines if "montague.lit" in line)
    theirs = next(line for line in lines if "capulet.lit" in line)
    assert ours.split() == ["montague.lit", "SASL", "EXTERNAL", "yes", "TLSv1.3", "1,234", "0"]
    assert theirs.split() == ["capulet.lit", "dialback", "no", "TLSv1.3", "1,234", "0"]


def test_the_summary_says_what_bidi_saved_and_what_dialback_cost() -> None:
    here, shown = screen()
    here.summary([outcome(1), outcome(2, bidi=False), outcome(2, trusted=False)])
    assert "1 connection carried both directions; without bidi it took 2." in shown.getvalue()
    assert "Dialback took 2" in shown.getvalue()
    assert "none missing" in shown.getvalue()


def test_the_summary_claims_no_saving_that_was_not_measured() -> None:
    here, shown = screen()
    here.summary([outcome(2), outcome(2, bidi=False), outcome(2, trusted=False)])
    assert "2 connections carried both directions; without bidi it took 2." in shown.getvalue()
    assert "Dialback took" not in shown.getvalue()


def test_a_summary_with_a_stanza_missing_says_which_act_and_praises_nothing() -> None:
    record = Record(2, 0)
    record.note("nothing came for 10 s")
    here, shown = screen()
    here.summary([outcome(1), outcome(2, bidi=False, found=record.findings())])
    assert "an act: 2 stanzas never sent" in shown.getvalue()
    assert "nothing came for 10 s" in shown.getvalue()
    assert "none missing" not in shown.getvalue()


def test_every_kind_of_fault_has_its_line() -> None:
    found = Findings(9, 9, 1, 2, 3, 4, 5, 6, 7, ("remote-server-timeout",))
    lines = faults_of(outcome(1, found=found))
    assert len(lines) == 8
    assert "an act: 1 messages lost" in lines
    assert "an act: 5 pings not answered" in lines
    assert lines[-1].strip() == "remote-server-timeout"
    assert faults_of(outcome(1)) == []
