"""What peers sent is harmless in every line, however it got there."""

import hashlib
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


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_chosen(
    capsys: pytest.CaptureFixture[str], level: str, heard: list[str]
) -> None:
    configure("a0.1", level)
    for each in ("debug", "info", "warning", "error"):
        getattr(logger("here"), each)("said")
    logging.getLogger("aiohttp").info("never below warning")
    assert [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()] == heard


def test_libraries_follow_a_higher_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure("a0.1", "error")
    logging.getLogger("asyncio").warning("slow callback")
    assert capsys.readouterr().err == ""


KEY = hashlib.sha256(b"a dialback key").hexdigest()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it said wherefore to us", "it said [redacted] to us"),
        ("wherefore" * 99, ("[redacted]" * 26)[:255] + "…"),
        (f"<db:result>{KEY}</db:result>", "<db:result>[redacted]</db:result>"),
        (KEY.upper()[:40], "[redacted]"),
        (KEY[:39], KEY[:39]),
        (b"art\xffthou wherefore", "b'art\\xffthou [redacted]'"),
        (["x", {"wherefore": ("art thou",)}], ["x", {"[redacted]": ["[redacted]"]}]),
        ("where\nfore", "where\\u000afore"),
    ],
)
def test_a_secret_said_back_to_us_is_redacted(
    capsys: pytest.CaptureFixture[str], said: object, shown: object
) -> None:
    configure("a0.1", secrets=["wherefore", "art thou", "x"])
    logger("here").warning("remote.text", text=said)
    assert json.loads(capsys.readouterr().err)["text"] == shown


def test_a_secret_is_redacted_before_the_text_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    configure("a0.1", secrets=["wherefore"])
    logger("here").warning("remote.text", text="y" * (MAX_TEXT_CHARS - 5) + "wherefore")
    assert "wher" not in capsys.readouterr().err


def test_a_secret_in_a_traceback_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    configure("a0.1", secrets=["wherefore"])
    try:
        raise ValueError(f"wherefore {KEY}")
    except ValueError:
        logger("here").exception("failed")
    assert "ValueError: [redacted] [redacted]" in json.loads(capsys.readouterr().err)["exception"]


HOSTILE = {
    "newline": "\nevent=forged",
    "escape": "\x1b]0;title\x07",
    "bidi": "\u202e\u2066txet",
    "invisible": "a\u200b\u00adb",
    "long": "é" * 100_000,
    "json": '","event":"forged","x":"',
    "surrogate": "\udcff",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_one_bounded_printable_value(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    configure("a0.1", "debug")
    logger("here").debug("remote.text", text=text, **{text: text}, many=[text, {text: text}])
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found["event"] == "remote.text"
    escaped = [found["text"], *found, found["many"][0], *found["many"][1]]
    assert all(each.isprintable() and len(each) <= MAX_TEXT_CHARS for each in escaped)
    assert not any(c in line for c in "\x1b\x07\u202e\u2066\u200b")
