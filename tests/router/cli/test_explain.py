"""`causeway explain`: a page that can be read at night."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from router.cli.app import app
from router.cli.explain import lines
from tests.router.cli.conftest import Pretend

M, C = "montague.example", "capulet.example"
NOW = 1_792_836_060.0  # 2026-10-24 10:01:00 UTC
PATH = f"/api/explain?local={M}&remote={C}"
NEVER = {"state": "never tried", "sentence": "Never tried.", "side": "", "advice": ""}
DOWN = {"state": "down", "sentence": "Down: it is.", "side": "theirs", "advice": "Their DNS."}
STREAM = {
    "acceptor": "a0.1",
    "number": 3,
    "direction": "out",
    "address": "192.0.2.1:5269",
    "state": "open",
    "tls": "TLSv1.3",
    "bidi": True,
    "sends": "external",
    "receives": "dialback",
    "certificate": "expired",
    "certificate_valid": False,
    "stanzas_in": 1,
    "stanzas_out": 2,
    "age_s": 61.0,
}
WAITING = {
    "local": M,
    "remote": C,
    "dialling": ["a0.1"],
    "backlog_stanzas": 2,
    "backlog_bytes": 300,
}
LEARNED = {
    "fact": "external",
    "value": "refused",
    "source": "learned",
    "learned_at": NOW - 60,
    "expires_at": NOW + 3_540,
}
CONFIGURED = {"fact": "multiplex", "value": "works", "source": "configured"}


def note(at: float, **detail: Any) -> dict[str, Any]:
    what = {"what": "dns", "failed": "no answer", "acceptor": "a0.1"}
    return {**what, "at": at, "last_at": at, "times": 1, **detail}


def answer(**changes: Any) -> dict[str, Any]:
    ends = {"local": M, "remote": C, "now": NOW}
    rows: dict[str, Any] = {"waiting": [], "streams": [], "peer": [], "history": []}
    return {**ends, "outgoing": NEVER, "incoming": NEVER, **rows, **changes}


def explain(config: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["explain", M, C, "--config", str(config), *options])
    return result.exit_code, result.output


def test_the_state_comes_first_and_empty_sections_not_at_all() -> None:
    assert list(lines(answer(outgoing=DOWN))) == [
        "Down: it is.",
        "  Look on their side. Their DNS.",
        "Never tried.",
    ]


def test_the_leg_to_a_server_behind_us_comes_last() -> None:
    inside = {**answer(outgoing=DOWN), "local": C, "remote": M}
    assert list(lines(answer(inside=inside)))[2:] == [
        "",
        f"Inside, between {C} and the server of {M}:",
        "  Down: it is.",
        "    Look on their side. Their DNS.",
        "  Never tried.",
    ]
    assert list(lines(answer(inside=None))) == list(lines(answer()))


def test_what_waits() -> None:
    idle = {**WAITING, "dialling": [], "backlog_stanzas": 0}
    assert list(lines(answer(waiting=[idle, WAITING])))[3:] == [
        "Waiting:",
        f"  {M} to {C}: 2 stanzas (300 bytes); a stream is being opened",
    ]


def test_streams() -> None:
    bare = {**STREAM, "direction": "in", "tls": "", "bidi": False, "certificate": None}
    bare |= {"sends": None, "receives": None}
    assert list(lines(answer(streams=[STREAM, bare])))[3:] == [
        "Streams:",
        "  a0.1/3  192.0.2.1:5269, opened by us, both ways",
        "      open for 1 min 1 s, TLSv1.3",
        "      we may send, by certificate; they may send, by the address alone",
        "      their certificate does not count: expired",
        "      1 in, 2 out, of all its domain pairs",
        "  a0.1/3  192.0.2.1:5269, opened by them",
        "      open for 1 min 1 s, no TLS",
        "      nothing is proved yet",
        "      1 in, 2 out, of all its domain pairs",
    ]


def test_what_is_known_of_the_peer() -> None:
    assert list(lines(answer(peer=[LEARNED, CONFIGURED])))[3:] == [
        f"What is known of {C}:",
        "  refuses our certificate (SASL EXTERNAL): dialback is used"
        " (seen 1 min 0 s ago, believed for 59 min 0 s more)",
        "  takes several domain pairs on one connection (configured)",
    ]


def test_the_time_line() -> None:
    history = [
        note(NOW - 86_400),
        note(NOW, stream=7, what="dial_failed", condition="", text="x", times=3, last_at=NOW + 5),
    ]
    assert list(lines(answer(history=history)))[3:] == [
        "What happened:",
        "  2026-10-23 (UTC)",
        "  10:01:00  a0.1      DNS: no answer",
        "  2026-10-24 (UTC)",
        "  10:01:00  a0.1/7    attempt failed: x (3 times, last 10:01:05)",
    ]


def test_in_print_what_a_peer_said_is_harmless(good_config: Path, pretend_router: Pretend) -> None:
    history = [note(NOW, failed="\x1b[2J" + "x" * 2000)]
    pretend_router(PATH, 200, json.dumps(answer(history=history)).encode())
    code, output = explain(good_config)
    assert code == 0
    assert "\x1b" not in output
    assert max(map(len, output.splitlines())) <= 600


def test_json_is_what_the_router_said(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router(PATH, 200, json.dumps(answer()).encode())
    code, output = explain(good_config, "--json")
    assert (code, json.loads(output)) == (0, answer())


def test_bad_domains_and_not_running(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router(PATH, 400, b"remote is missing\n")
    assert explain(good_config) == (1, "remote is missing\n")
    pretend_router(PATH, 500, b"")
    code, output = explain(good_config)
    assert (code, "500" in output) == (1, True)
