"""Pure: what all processes know of the way between two domains, made one answer.

Whether stanzas get from the local domain to the remote one, whether the remote one gets in, and if
not, since when, why, and on whose side to look. Called by the supervisor; `router.cli.explain`
prints it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Row = Mapping[str, Any]
Side = Literal["", "ours", "theirs", "between"]
State = Literal[
    "not hosted", "inside", "denied", "up", "dialling", "back-off", "down", "closed", "never tried"
]

_BETWEEN: Final = "The network, a firewall, or their server is down."
_ADVICE: Final[dict[str, tuple[Side, str]]] = {
    "dns": ("between", "The DNS gives no answer: our resolvers, or the servers of their domain."),
    "no address": ("theirs", "The DNS has no server for their domain, or it does not know itself."),
    "connect": ("between", _BETWEEN),
    "tls": ("between", "Both sides must share a TLS version and a cipher; look at both logs."),
    "certificate": ("theirs", "Their certificate does not prove their domain."),
    "refused": (
        "ours",
        "They do not take our proof: look at our certificate, and whether they reach us for"
        " dialback at what the DNS says of our domain.",
    ),
    "closed by them": ("theirs", "Their server ended the stream; its log says why."),
    "closed by us": ("ours", "Our rules ended the stream; the reason is in the time line."),
    "key": (
        "theirs",
        "Their key could not be verified: who answers for their domain in the DNS must know it.",
    ),
}
_FAILURES: Final = frozenset({"dial_failed", "refused"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration alone says; `refuses` is `Config.refuses` of the remote domain.

    On the leg to a server behind us we speak for every local domain, and its own counts as remote.
    """

    hosts_local: bool
    hosts_remote: bool
    refuses: bool


@dataclass(frozen=True, slots=True)
class Way:
    """One direction: its state, a sentence that says it, whose side to look at, and what to do."""

    state: State
    sentence: str
    side: Side = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer. Rows are plain: of the worker, of acceptors, of `PeerMemory`, of `History`."""

    local: str
    remote: str
    now: float
    outgoing: Way
    incoming: Way
    waiting: Sequence[Row]
    streams: Sequence[Row]
    peer: Sequence[Row]
    history: Sequence[Row]
    inside: "Explanation | None" = None


def explanation(
    local: str,
    remote: str,
    rules: Rules,
    rows: Iterable[Row],
    peer: Sequence[Row],
    now: float,
) -> Explanation:
    """`rows` as the processes answered "explain", in any order; `now`: seconds since the epoch."""
    rows = list(rows)
    streams = _part(rows, "stream")
    notes = sorted(_part(rows, "note"), key=lambda row: row["at"])
    waiting = [row for row in rows if "part" not in row]
    incoming = _incoming(remote, streams, notes, now)
    if not rules.hosts_local:
        sentence = f"{local} is not hosted here, so nothing is sent for it."
        outgoing = Way("not hosted", f"{sentence} The local domain comes first.", "ours")
    elif rules.hosts_remote:
        sentence = f"{remote} is hosted here, too: between the two no stanza leaves the router."
        outgoing = incoming = Way("inside", sentence)
    elif rules.refuses:
        advice = "Its table in [peers] says deny, or it is an IP address without a table."
        outgoing = Way("denied", f"Denied: nothing is sent to {remote}.", "ours", advice)
        if incoming.state == "never tried":
            incoming = Way("denied", f"Denied: {remote} is not let in.", "ours", advice)
    else:
        outgoing = _outgoing(local, remote, streams, waiting, notes, now)
    return Explanation(local, remote, now, outgoing, incoming, waiting, streams, peer, notes)


def _part(rows: Iterable[Row], part: str) -> list[Row]:
    return [
        {key: value for key, value in row.items() if key != "part"}
        for row in rows
        if row.get("part") == part
    ]


# --- from here to there --------------------------------------------------------------------------


def _outgoing(
    local: str,
    remote: str,
    streams: Sequence[Row],
    waiting: Sequence[Row],
    notes: Sequence[Row],
    now: float,
) -> Way:
    here = [row for row in waiting if (row["local"], row["remote"]) == (local, remote)]
    attempts = [note for note in notes if note.get("direction") != "in"]
    failure = _last_failure(notes)
    failed = f" The last attempt failed {ago(now - failure['last_at'])} ago." if failure else ""
    in_use = {row["stream"] for row in here}
    sending = sorted(
        (row for row in streams if row["sends"]), key=lambda row: _name(row) not in in_use
    )
    if sending:
        return Way("up", f"Up: {local} reaches {remote} {_on(sending[0])}.")
    queued = sum(row["backlog_stanzas"] for row in here)
    waits = f", {stanzas(queued)} waiting" if queued else ""
    # The peer may keep a connection on which it refused us; nothing comes of it.
    asked = {_where(note): note["what"] for note in notes if note["what"] in ("chosen", "refused")}
    begun = [
        row
        for row in streams
        if row["direction"] == "out"
        and not row["receives"]
        and asked.get((row["acceptor"], row["number"])) != "refused"
    ]
    if begun:
        where = f"{begun[0]['address'] or 'no address yet'}, {begun[0]['state']}"
        since = ago(begun[0]["age_s"])
        return Way("dialling", f"Dialling for {since} ({where}){waits}.{failed}", *_look(attempts))
    if any(row["dialling"] for row in here):
        return Way("dialling", f"Dialling: no connection yet{waits}.{failed}", *_look(attempts))
    left_s = _backoff_s(attempts, now)
    if left_s > 0:
        sentence = f"In back-off: not tried again for {left_s:.0f} s{waits}."
        return Way("back-off", f"{sentence} {_why(failure)}".strip(), *_look(attempts))
    if failure is not None:
        sentence = f"Down: the last attempt failed {ago(now - failure['last_at'])} ago{waits}."
        return Way("down", f"{sentence} {_why(failure)}".strip(), *_look(attempts))
    # One that the peer opened and proved nothing on never was to carry anything.
    ended = _last_end([note for note in notes if note.get("proved") or note.get("by_operator")])
    if ended is not None:
        how = _end(ended)
        sentence = f"No stream: the last one was {how} {ago(now - ended['last_at'])} ago{waits}."
        return Way("closed", f"{sentence} The next stanza opens one.")
    return Way("never tried", f"Never tried: no attempt to reach {remote} is remembered.")


def _last_failure(notes: Sequence[Row]) -> Row | None:
    """The end of the last attempt, unless one has succeeded since."""
    for note in reversed(notes):
        if note["what"] == "authorised" and note.get("may") == "send":
            return None
        if note.get("direction") == "in":
            continue
        if note["what"] in _FAILURES or (note["what"] == "closed" and not _was_orderly(note)):
            return note
    return None


def _last_end(notes: Sequence[Row], direction: str = "") -> Row | None:
    """How the last stream ended; an operator's wish is noted before the end that comes of it."""
    ends = [note for note in notes if note["what"] == "closed"]
    ended = next((e for e in reversed(ends) if direction in ("", e.get("direction"))), None)
    if ended is None:
        return None
    wished = (each for each in ends if each.get("by_operator"))
    if any(_where(each) == _where(ended) for each in wished) and _was_orderly(ended):
        return {**ended, "by_operator": True}
    return ended


def _where(note: Row) -> tuple[str, int | None]:
    return note["acceptor"], note.get("stream")


def _was_orderly(note: Row) -> bool:
    return bool(note.get("by_operator") or (note.get("proved") and not note.get("condition")))


def _backoff_s(notes: Sequence[Row], now: float) -> float:
    """How much longer nothing is tried, by the last note that says so."""
    last = next((note for note in reversed(notes) if note["what"] == "backoff"), None)
    return float(last["last_at"] + last["seconds"] - now) if last is not None else 0.0


def _why(failure: Row | None) -> str:
    """The failure in the words that came with it."""
    if failure is None:
        return ""
    words = [str(failure[key]) for key in ("text", "answer", "condition") if failure.get(key)]
    reason = words[0] if words else ""
    more = [word for word in dict.fromkeys(words[1:]) if word not in reason]
    reason += f" ({', '.join(more)})" if more else ""
    if failure["what"] == "closed":
        by = "They" if failure.get("by_peer") else "We"
        return f"{by} closed the stream" + (f": {reason}." if reason else ".")
    return f"Reason: {reason}." if reason else ""


def _look(notes: Sequence[Row]) -> tuple[Side, str]:
    """Where to look: the earliest thing that went wrong in the last attempt tells most."""
    attempt: list[Row] = []
    for note in reversed(notes):
        if note["what"] == "authorised" or (attempt and note["what"] == "dial_failed"):
            break
        if note["what"] != "backoff":
            attempt.insert(0, note)
    condition = attempt[-1].get("condition") if attempt else None
    is_not_found = condition == "remote-server-not-found"
    for note in attempt:
        what = note["what"]
        if what in ("dns", "connect", "tls") and note.get("failed"):
            return _ADVICE["no address" if what == "dns" and is_not_found else what]
        if what == "certificate" and not note["valid"] and _we_minded(attempt):
            return _ADVICE[what]
        if what == "verified" and note["verdict"] != "valid":
            return _ADVICE["key"]
        if what == "refused":
            return _ADVICE[what]
        if what == "closed" and not _was_orderly(note):
            return _ADVICE["closed by them" if note.get("by_peer") else "closed by us"]
    return _ADVICE["no address"] if is_not_found else ("", "")


def _we_minded(attempt: Sequence[Row]) -> bool:
    """Whether it was we who ended the stream: else the certificate did not matter."""
    return any(note["what"] == "closed" and not note.get("by_peer") for note in attempt)


# --- from there to here --------------------------------------------------------------------------


def _incoming(remote: str, streams: Sequence[Row], notes: Sequence[Row], now: float) -> Way:
    receiving = [row for row in streams if row["receives"]]
    if receiving:
        row = receiving[0]
        proved = f"proved by {proof_of_peer(row)}"
        return Way("up", f"Up: {remote} sends on stream {_name(row)}, {proved}.")
    attempts = [note for note in notes if note.get("direction") == "in"]
    begun = [row for row in streams if row["direction"] == "in"]
    if begun:
        row = begun[0]
        since = ago(row["age_s"])
        sentence = f"{remote} connected from {row['address']} {since} ago and is not proved yet"
        return Way("dialling", f"{sentence} ({row['state']}).", *_look(attempts))
    last = _last_end(notes, "in")
    if last is None:
        return Way("never tried", f"{remote} is not remembered to have connected.")
    when = ago(now - last["last_at"])
    if last.get("proved"):
        return Way(
            "closed", f"No stream: the last one that {remote} opened was {_end(last)} {when} ago."
        )
    sentence = f"Down: {remote} connected and was not let in, {when} ago."
    return Way("down", f"{sentence} {_why(last)}".strip(), *_look(attempts))


# --- words ---------------------------------------------------------------------------------------


def ago(seconds: float) -> str:
    """A span of time in its two largest units."""
    whole_s = max(0, round(seconds))
    minutes, left_s = divmod(whole_s, 60)
    hours, left_minutes = divmod(minutes, 60)
    days, left_hours = divmod(hours, 24)
    if days:
        return f"{days} d {left_hours} h"
    if hours:
        return f"{hours} h {left_minutes} min"
    return f"{minutes} min {left_s} s" if minutes else f"{left_s} s"


def stanzas(count: int) -> str:
    """So many of them."""
    return "1 stanza" if count == 1 else f"{count} stanzas"


def proof(mechanism: str) -> str:
    """A mechanism as people call it."""
    said = {"external": "certificate", "e2e": "the session of an express lane"}
    return said.get(mechanism, mechanism)


def proof_of_peer(row: Row) -> str:
    """What lets the peer send here. Where we dialled, the mechanism is that of our own proof."""
    if row["direction"] == "out":
        return "certificate" if row["certificate_valid"] else "the address alone"
    return proof(row["receives"])


def _name(row: Row) -> str:
    return f"{row['acceptor']}/{row['number']}"


def _on(row: Row) -> str:
    opened = "we" if row["direction"] == "out" else "they"
    who = "we proved ourselves" if row["direction"] == "out" else "bidi; they proved themselves"
    how = f"{who} by {proof(row['sends'])}"
    return f"on stream {_name(row)}, which {opened} opened {ago(row['age_s'])} ago ({how})"


def _end(note: Row) -> str:
    if note.get("by_operator"):
        return "closed by an operator"
    condition = note.get("condition")
    by = "them" if note.get("by_peer") else "us"
    if condition == "lost":
        return "lost without a word"
    return f"ended by {by} with {condition}" if condition else f"closed in order by {by}"
