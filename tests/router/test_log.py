"""What peers sent is harmless in every line, however it got there."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from router.log import MAX_TEXT_CHARS, configure, escape, logger


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=logging.WARNING, force=True)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("montague.example", "montague.example"),
        ("a\nb\x1b[31m", "a\\u000ab\\u001b[31m"),
        ("\u202eelpmaxe", "\\u202eelpmaxe"),
        ("x\u2028y\u2029z\u200d", "x\\u2028y\\u2029z\\u200d"),
        ("\ud800", "\\ud800"),
        ("bücher 例え", "bücher 例え"),
    ],
)
def test_escaping(text: str, safe: str) -> None:
    assert escape(text) == safe


@given(st.text())
def test_what_is_escaped_is_printable_and_bounded(text: str) -> None:
    safe = escape(text * 20)
    assert safe.isprintable()
    assert len(safe) <= MAX_TEXT_CHARS


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("a0.3")
    logger("here").info("s2s.opened", remote="e\nvil" + "x" * 999, nested=[{"k": "\x1b"}], n=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    event = json.loads(line)
    assert event["event"] == "s2s.opened"
    assert (event["role"], event["module"], event["level"]) == ("a0.3", "here", "info")
    assert event["timestamp"].endswith("Z")
    assert event["remote"].startswith("e\\u000avil") and len(event["remote"]) == MAX_TEXT_CHARS
    assert event["nested"] == [{"k": "\\u001b"}]
    assert event["n"] == 1


def test_large_collections_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    configure("w0.1")
    logger("here").info("many", items=list(range(10_000)), by_key=dict.fromkeys(range(10_000)))
    assert len(capsys.readouterr().err) < 1000


def test_library_logs_and_tracebacks_come_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure("supervisor")
    try:
        raise ValueError("bad\x1b thing")
    except ValueError:
        logging.getLogger("asyncio").exception("never %s", "retrieved\u2028")
    event = json.loads(capsys.readouterr().err)
    assert event["module"] == "asyncio"
    assert event["level"] == "error"
    assert event["event"] == "never retrieved\\u2028"
    assert "ValueError: bad\\u001b thing" in event["exception"]


def test_below_info_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    configure("a0.1")
    logger("here").debug("chatter")
    logging.getLogger("aiohttp").info("chatter")
    assert capsys.readouterr().err == ""


def test_losing_stderr_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def isatty(self) -> bool:
            return False

        def write(self, _text: str) -> None:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    configure("a0.1")
    logger("here").info("unheard")


def test_a_line_and_its_end_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes share standard error: what is written in two pieces may be torn apart."""
    written: list[str] = []

    class Stderr:
        write = staticmethod(written.append)
        flush = staticmethod(lambda: None)
        isatty = staticmethod(lambda: False)

    monkeypatch.setattr("sys.stderr", Stderr)
    configure("a0.1")
    logger("test").info("one")
    (line,) = written
    assert line.endswith("}\n")
