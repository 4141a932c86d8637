"""One note of a pair's history in plain words. Called by `causeway explain`.

A kind of note that has no words here is shown with its details as they are.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from router.supervisor.explanation import proof

Note = Mapping[str, Any]

_OWN: Final = frozenset(
    {"part", "acceptor", "at", "last_at", "times", "what", "stream", "direction", "address"}
)


def sentence(note: Note) -> str:
    """What happened, from our point of view."""
    words = _WORDS.get(note["what"])
    return words(note) if words is not None else _as_it_is(note)


def _as_it_is(note: Note) -> str:
    shown = (f"{key}={value}" for key, value in note.items() if key not in _OWN)
    return " ".join([note["what"].replace("_", " "), *shown])


def _dns(note: Note) -> str:
    return f"DNS: {note['failed']}" if "failed" in note else f"to be found at {note['targets']}"


def _connect(note: Note) -> str:
    if "failed" in note:
        return f"no connection to {note['to']}: {note['failed']}"
    return f"connected to {note['to']} ({note['address']})"


def _chosen(note: Note) -> str:
    return f"our proof is asked for on stream {note['stream']}, which is open already"


def _tls(note: Note) -> str:
    if note["direction"] == "in":
        peer = f"they connected from {note['address']}, TLS"
    else:
        peer = f"TLS with {note['address']}"
    return f"{peer} failed: {note['failed']}" if "failed" in note else f"{peer}: {note['version']}"


def _certificate(note: Note) -> str:
    verdict = "is good" if note["valid"] else "does not count"
    return f"their certificate {verdict}: {note['reason']}"


def _authorised(note: Note) -> str:
    by = proof(note["mechanism"])
    if note["may"] == "receive":
        if note["direction"] == "out":
            return "they may send on it, too (bidi)"
        return f"they proved themselves by {by}: they may send"
    if note["direction"] == "in":
        return f"we may send on their connection (bidi, {by})"
    return f"they took our proof by {by}: we may send" + (", both ways" if note["bidi"] else "")


def _refused(note: Note) -> str:
    reason, answer = _reason(note), note.get("answer")
    said = f" ({answer})" if answer and answer not in reason else ""
    return f"they did not take our proof: {reason}{said}"


def _verified(note: Note) -> str:
    if note["verdict"] == "valid":
        return "their dialback key is valid"
    if note["verdict"] == "invalid":
        return "their dialback key is not valid, says the server of their domain"
    return f"their dialback key could not be verified: {note['verdict']}"


def _closed(note: Note) -> str:
    if note.get("by_operator"):
        return "an operator has the stream closed"
    if note["condition"] == "lost":
        return "connection lost"
    by = "they" if note["by_peer"] else "we"
    before = "" if note["proved"] else " before anything was proved"
    how = f": {_reason(note)}" if note["condition"] or note["text"] else ", in order"
    return f"{by} closed the stream{before}{how}"


def _downgraded(note: Note) -> str:
    before, now = proof(note["before"]), proof(note["now"])
    return f"DOWNGRADE: they used to prove themselves by {before}, now only by {now}"


def _features(note: Note) -> str:
    return f"they offered {note['offers']}"


def _dial_failed(note: Note) -> str:
    return f"attempt failed: {_reason(note)}"


def _reason(note: Note) -> str:
    text, condition = note.get("text"), note.get("condition")
    if text and condition and condition not in text:
        return f"{text} ({condition})"
    return str(text or condition or "no reason")


_WORDS: Final[dict[str, Callable[[Note], str]]] = {
    "dns": _dns,
    "connect": _connect,
    "chosen": _chosen,
    "backoff": lambda note: f"left alone for {note['seconds']} s more, after failures",
    "tls": _tls,
    "certificate": _certificate,
    "authorised": _authorised,
    "refused": _refused,
    "key": lambda note: f"dialback key received from {note['address']}",
    "verified": _verified,
    "closed": _closed,
    "downgraded": _downgraded,
    "features": _features,
    "dial_failed": _dial_failed,
}
