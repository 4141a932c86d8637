"""`causeway explain`: why a domain pair is up or down, on whose side to look, and what happened."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import typer

from router.cli.admin import NotRunning, Refused, get_json
from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LocalArgument,
    RemoteArgument,
    load_or_exit,
    print_json,
)
from router.cli.time_line import sentence
from router.log import escape
from router.supervisor.explanation import ago, proof, proof_of_peer, stanzas

Row = Mapping[str, Any]

_MAX_LINE: Final = 600
_SIDES: Final = {
    "ours": "Look on our side.",
    "theirs": "Look on their side.",
    "between": "Look at what is between us.",
}
_KNOWN: Final = {
    ("external", "accepted"): "takes our certificate (SASL EXTERNAL)",
    ("external", "refused"): "refuses our certificate (SASL EXTERNAL): dialback is used",
    ("bidi", "works"): "takes both directions on one connection",
    ("bidi", "kills"): "ended a stream when asked for both directions: it is not asked",
    ("errors", "yes"): "answers dialback with errors",
    ("errors", "no"): "does not answer dialback with errors",
    ("reverse_dialback", "survives"): "takes further domains of ours on connections it opened",
    ("reverse_dialback", "kills"): "ends a connection it opened when we prove a domain on it",
    ("reverse_dialback", "ignores"): "ignores proofs of ours on connections it opened",
    ("multiplex", "works"): "takes several domain pairs on one connection",
    ("multiplex", "refused"): "refuses several domain pairs on one connection",
    ("multiplex", "misroutes"): "mixes up several domain pairs on one connection",
    ("proof", "external"): "proves itself by certificate when it connects",
    ("proof", "dialback"): "proves itself by dialback when it connects",
}


def explain(
    local: LocalArgument,
    remote: RemoteArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say whether LOCAL and REMOTE reach each other, and if not, why and on whose side to look.

    Times are UTC.
    """
    loaded = load_or_exit(config, as_json=as_json, create_secret=False)
    query = urlencode({"local": local, "remote": remote})
    try:
        answer = get_json(loaded.processes.run_dir, f"/api/explain?{query}")
    except (NotRunning, Refused) as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json(answer)
        return
    for line in lines(answer):
        typer.echo(escape(line, _MAX_LINE))


def lines(answer: Row) -> Iterator[str]:
    """The whole answer, before it is made harmless."""
    yield from _way(answer["outgoing"])
    yield from _way(answer["incoming"])
    waiting = (row for row in answer["waiting"] if row["backlog_stanzas"] or row["dialling"])
    yield from _section("Waiting", map(_waiting, waiting))
    yield from _section("Streams", (line for row in answer["streams"] for line in _stream(row)))
    known = (_fact(row, answer["now"]) for row in answer["peer"])
    yield from _section(f"What is known of {answer['remote']}", known)
    yield from _section("What happened", _time_line(answer["history"]))
    if (inside := answer.get("inside")) is not None:
        title = f"Inside, between {inside['local']} and the server of {inside['remote']}"
        yield from _section(title, lines(inside))


def _way(way: Row) -> Iterator[str]:
    yield way["sentence"]
    if way["side"]:
        yield f"  {_SIDES[way['side']]} {way['advice']}".rstrip()


def _section(title: str, rows: Iterator[str]) -> Iterator[str]:
    found = list(rows)
    if found:
        yield ""
        yield f"{title}:"
        yield from (f"  {row}" for row in found)


def _waiting(row: Row) -> str:
    dialling = "; a stream is being opened" if row["dialling"] else ""
    waits = f"{stanzas(row['backlog_stanzas'])} ({row['backlog_bytes']} bytes)"
    return f"{row['local']} to {row['remote']}: {waits}{dialling}"


def _stream(row: Row) -> Iterator[str]:
    opener = "us" if row["direction"] == "out" else "them"
    bidi = ", both ways" if row["bidi"] else ""
    rights = [
        f"we may send, by {proof(row['sends'])}" if row["sends"] else "",
        f"they may send, by {proof_of_peer(row)}" if row["receives"] else "",
    ]
    yield f"{row['acceptor']}/{row['number']}  {row['address']}, opened by {opener}{bidi}"
    yield f"    {row['state']} for {ago(row['age_s'])}, {row['tls'] or 'no TLS'}"
    yield f"    {'; '.join(filter(None, rights)) or 'nothing is proved yet'}"
    if row["certificate"] is not None:
        yield f"    {_certificate(row)}"
    yield f"    {row['stanzas_in']} in, {row['stanzas_out']} out, of all its domain pairs"


def _certificate(row: Row) -> str:
    verdict = "is good" if row["certificate_valid"] else "does not count"
    return f"their certificate {verdict}: {row['certificate']}"


def _fact(row: Row, now: float) -> str:
    words = _KNOWN.get((row["fact"], row["value"]), f"{row['fact']}: {row['value']}")
    if row["source"] == "configured":
        return f"{words} (configured)"
    since, left = ago(now - row["learned_at"]), ago(row["expires_at"] - now)
    return f"{words} (seen {since} ago, believed for {left} more)"


def _time_line(notes: Sequence[Row]) -> Iterator[str]:
    day = ""
    for note in notes:
        moment = datetime.fromtimestamp(note["at"], UTC)
        if moment.strftime("%Y-%m-%d") != day:
            day = moment.strftime("%Y-%m-%d")
            yield f"{day} (UTC)"
        last = datetime.fromtimestamp(note["last_at"], UTC)
        times = f" ({note['times']} times, last {last:%H:%M:%S})" if note["times"] > 1 else ""
        stream = f"{note['acceptor']}/{note['stream']}" if note.get("stream") else note["acceptor"]
        yield f"{moment:%H:%M:%S}  {stream:<8}  {sentence(note)}{times}"
