"""What becomes of a message each way between two servers, for every kind of certificate.

A subject faces a counterpart; each has a domain for every kind of certificate and for who dials.
Called by the interop tests, which compare one subject with another.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

from bench.authority import Authority
from bench.peers.ejabberd import Ejabberd
from bench.peers.prosody import Prosody
from tests.support.component import Component, settled
from tests.support.scripted_peer import message

KINDS = ("valid", "wrong-name", "self-signed", "expired")
DELIVERED = "delivered"
SILENCE = "silence"
PATIENCE_S = 60.0
_number = count()


class Cell(NamedTuple):
    """Whose certificate is how, and who speaks first and so makes the connection."""

    subject: str
    counterpart: str
    dials: str


class Fate(NamedTuple):
    """Of a message each way: DELIVERED, or the condition of the error that came back.

    The second is sent once the first is settled.
    """

    forth: str
    back: str


# One certificate of the two is bad at a time.
CELLS = [
    Cell(subject, counterpart, dials)
    for subject in KINDS
    for counterpart in KINDS
    for dials in ("subject", "counterpart")
    if "valid" in (subject, counterpart)
]


def domain(kind: str, dials: str, server: str) -> str:
    """The domain of this server that has this kind of certificate, for cells of this dialler."""
    return f"{kind}.{dials}-dials.{server}.example"


def domains(server: str) -> list[str]:
    """All of them."""
    return [domain(kind, dials, server) for kind in KINDS for dials in ("subject", "counterpart")]


def issue_all(authority: Authority, server: str) -> None:
    """A certificate for each of the server's domains, most of them bad."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for name in domains(server):
        match name.split(".")[0]:
            case "valid":
                authority.issue(name, eku="both")
            case "wrong-name":
                authority.issue(name, eku="both", dns=["elsewhere.example"])
            case "self-signed":
                authority.issue(name, eku="both", self_signed=True)
            case "expired":
                authority.issue(name, eku="both", not_after=yesterday)


async def fates(subject: str, ends: Mapping[str, Component]) -> dict[Cell, Fate]:
    """Play all the cells at once. `ends` has every component by its domain, of both sides."""

    async def play(cell: Cell) -> tuple[Cell, Fate]:
        here, there = (ends[name] for name in pair(cell, subject))
        first, second = (here, there) if cell.dials == "subject" else (there, here)
        return cell, Fate(await fate(first, second), await fate(second, first))

    return dict(await asyncio.gather(*map(play, CELLS)))


def proofs(subject: str, counterpart: Prosody | Ejabberd) -> dict[Cell, list[str]]:
    """How each stream of the cell was proved, as the counterpart logged it; ask once it is stopped.

    Its log may lag behind what it does.
    """
    seen = counterpart.proofs()
    return {
        cell: sorted(how for _, *ends, how in seen if {*ends} == {*pair(cell, subject)})
        for cell in CELLS
    }


def pair(cell: Cell, subject: str) -> tuple[str, str]:
    """The subject's domain and the counterpart's."""
    return (
        domain(cell.subject, cell.dials, subject),
        domain(cell.counterpart, cell.dials, "counterpart"),
    )


async def fate(sender: Component, target: Component) -> str:
    """Send a message: DELIVERED, the condition of the error that came back, or SILENCE."""
    number = next(_number)
    identity = f"n{number}"
    sender.write(message(f"a@{sender.domain}", f"b@{target.domain}", identity))

    def came() -> Iterable[str]:
        if number in target.numbers:
            yield DELIVERED
        for got in sender.others:
            if got.kind == "error" and got.attributes["id"] == identity:
                yield got.inside[1]

    async def is_settled() -> bool:
        return any(came())

    try:
        await settled(is_settled, PATIENCE_S)
    except TimeoutError:
        return SILENCE
    [only] = came()
    return only
