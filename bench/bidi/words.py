"""What the cells are called in reports and tables. Called by `tables` and `page`."""

from typing import Final

from bench.bidi.cell import Cell

AUTHS: Final = {"external": "SASL EXTERNAL", "dialback": "dialback"}

_SERVERS: Final = {"causeway": "Causeway", "prosody": "Prosody"}


def between(cell: Cell) -> str:
    """The two servers, who dials first in front."""
    first, second = (_SERVERS.get(name, name) for name in cell.servers)
    return f"{first} to {second}"


def shared(cell: Cell) -> str:
    """Behind a name: what it shows, where that is not a certificate for each domain."""
    return ", one certificate a node" if cell.certificates == "node" else ""


def proof(cell: Cell) -> str:
    """How domains are proved."""
    return AUTHS[cell.auth] + shared(cell)


def count(pairs: int) -> str:
    """So many pairs."""
    return f"{pairs} pair" if pairs == 1 else f"{pairs} pairs"


def where(cell: Cell) -> str:
    """All of it but whether bidi is on."""
    parts = (between(cell), proof(cell), cell.mix, count(cell.pairs), f"{cell.rtt_ms} ms")
    return ", ".join(parts)
