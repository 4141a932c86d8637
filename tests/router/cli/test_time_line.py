"""Notes in words."""

from typing import Any

import pytest

from router.cli.time_line import sentence

ADDRESS = "192.0.2.1:5269"


def note(what: str, direction: str = "out", **detail: Any) -> dict[str, Any]:
    place = {"stream": 1, "direction": direction, "address": ADDRESS, "acceptor": "a0.1"}
    return {"what": what, "at": 1.0, "last_at": 1.0, "times": 1, **place, **detail}


def closed(**detail: Any) -> dict[str, Any]:
    return note("closed", **{"condition": "", "by_peer": False, "text": "", **detail})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (note("dns", targets="a:5269"), "to be found at a:5269"),
        (note("dns", failed="no such name"), "DNS: no such name"),
        (note("connect", to="a port 1"), f"connected to a port 1 ({ADDRESS})"),
        (note("connect", to="a port 1", failed="refused"), "no connection to a port 1: refused"),
        (note("backoff", seconds=3.2), "left alone for 3.2 s more, after failures"),
        (note("chosen"), "our proof is asked for on stream 1, which is open already"),
        (note("tls", version="TLSv1.3"), f"TLS with {ADDRESS}: TLSv1.3"),
        (note("tls", "in", version="TLSv1.3"), f"they connected from {ADDRESS}, TLS: TLSv1.3"),
        (note("tls", failed="no cipher"), f"TLS with {ADDRESS} failed: no cipher"),
        (
            note("certificate", valid=False, reason="expired"),
            "their certificate does not count: expired",
        ),
        (
            note("authorised", "in", may="receive", mechanism="external"),
            "they proved themselves by certificate: they may send",
        ),
        # Here the mechanism is that of our own proof: it says nothing about them.
        (
            note("authorised", may="receive", mechanism="external"),
            "they may send on it, too (bidi)",
        ),
        (
            note("authorised", "in", may="send", mechanism="external"),
            "we may send on their connection (bidi, certificate)",
        ),
        (
            note("authorised", may="send", mechanism="dialback", bidi=True),
            "they took our proof by dialback: we may send, both ways",
        ),
        (
            note("refused", condition="remote-server-timeout", text="no", answer="invalid"),
            "they did not take our proof: no (remote-server-timeout) (invalid)",
        ),
        (
            note("refused", condition="x", text="dialback answered x", answer="x"),
            "they did not take our proof: dialback answered x",
        ),
        (note("key", "in"), f"dialback key received from {ADDRESS}"),
        (note("verified", verdict="valid"), "their dialback key is valid"),
        (
            note("verified", verdict="invalid"),
            "their dialback key is not valid, says the server of their domain",
        ),
        (
            note("verified", verdict="remote-connection-failed"),
            "their dialback key could not be verified: remote-connection-failed",
        ),
        (closed(proved=True), "we closed the stream, in order"),
        (
            closed(by_peer=True, condition="reset", text="bye", proved=False),
            "they closed the stream before anything was proved: bye (reset)",
        ),
        (closed(condition="lost", proved=True), "connection lost"),
        (note("closed", by_operator=True), "an operator has the stream closed"),
        (
            note("downgraded", before="external", now="dialback"),
            "DOWNGRADE: they used to prove themselves by certificate, now only by dialback",
        ),
        (note("features", offers="bidi"), "they offered bidi"),
        (note("dial_failed", condition="x", text=""), "attempt failed: x"),
        (note("new_kind", why="full", stanzas=3), "new kind why=full stanzas=3"),
    ],
    ids=lambda value: value["what"] if isinstance(value, dict) else "",
)
def test_sentences(given: dict[str, Any], said: str) -> None:
    assert sentence(given) == said
