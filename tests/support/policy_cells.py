"""The policy matrix and its oracle: written from the rules alone, asking nothing of the program.

`require` is the proof wanted of the peer. A cell is one opening, one way of it, one certificate.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

Direction = Literal["in", "out"]
Tls = Literal["starttls", "none", "fails"]
Require = Literal["dialback", "certificate"]
Kind = Literal[
    "valid", "wrong name", "self-signed", "expired", "none", "serverAuth only", "untrusted CA"
]
KINDS: tuple[Kind, ...] = (
    "valid",
    "wrong name",
    "self-signed",
    "expired",
    "none",
    "serverAuth only",
    "untrusted CA",
)
PROVING = ("valid", "serverAuth only")
"""CRT-06: whatever the purpose, trusted and for the domain."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What the operator decided, what the peer does, and who opened the stream."""

    direction: Direction
    tls: Tls
    certificate: Kind
    tls_required: bool
    dialback: bool
    require: Require

    def __str__(self) -> str:
        words = [self.direction, self.tls, self.certificate, f"require {self.require}"]
        words += ["TLS required" if self.tls_required else "TLS optional"]
        return ", ".join([*words, "dialback" if self.dialback else "no dialback"])


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come of a cell.

    `mechanism` is "external", "dialback" or "" for no proof. `ends` says who refused and how:
    "" nobody; "tls" the handshake; "SE x" we, by stream error x; "DE x" we, by dialback error x,
    the stream living on; "peer" the peer, by not starting TLS; "no way" we, closing in order.
    `asks_bidi`: on a stream we open, whether we ask for bidi when it is on offer (BIDI-13).
    """

    mechanism: str = ""
    ends: str = ""
    asks_bidi: bool = False


def cells(direction: Direction) -> list[Cell]:
    """Every cell of this direction; without a handshake there is no certificate to vary."""
    every: tuple[Tls, ...] = ("starttls", "none", "fails")
    requires: tuple[Require, ...] = ("dialback", "certificate")
    return [
        Cell(direction, tls, kind, tls_required, dialback, require)
        for tls in every
        for kind in (KINDS if tls == "starttls" else ("none",))
        for tls_required, dialback in itertools.product((True, False), repeat=2)
        for require in requires
    ]


def expected(cell: Cell) -> Expected:
    """Design section 3 on `require`; FEA-02, TLS-05, TLS-07 to TLS-09, SAS-01, DBK-07, BIDI-13."""
    if cell.tls == "fails":
        return Expected(ends="tls")
    return _inbound(cell) if cell.direction == "in" else _outbound(cell)


def _inbound(cell: Cell) -> Expected:
    """The peer uses EXTERNAL where it is offered, else sends a key that its server confirms."""
    if cell.tls == "starttls":
        if cell.certificate in PROVING:
            return Expected("external")
        if cell.require == "certificate" or not cell.dialback:
            return Expected(ends="SE policy-violation")
        return Expected("dialback")
    if not cell.dialback:
        return Expected(ends="SE policy-violation")  # to its key: no db element in any role
    if cell.tls_required:
        return Expected(ends="DE policy-violation")
    if cell.require == "certificate":
        return Expected(ends="DE not-authorized")
    return Expected("dialback")


def _outbound(cell: Cell) -> Expected:
    """The peer offers EXTERNAL inside TLS, and dialback and bidi always."""
    proves = cell.tls == "starttls" and cell.certificate in PROVING
    if cell.tls == "none" and (cell.tls_required or cell.require == "certificate"):
        return Expected(ends="peer")
    if cell.require == "certificate" and not proves:
        return Expected(ends="SE policy-violation")
    asks_bidi = proves or cell.dialback
    if cell.tls == "starttls":
        return Expected("external", asks_bidi=asks_bidi)
    if not cell.dialback:
        return Expected(ends="no way")
    return Expected("dialback", asks_bidi=asks_bidi)
