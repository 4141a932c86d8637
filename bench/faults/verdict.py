"""What an experiment comes to: each bound with what was found, and the word pass or fail. Pure.

`clean` is what all of them ask for unless they say otherwise. Called by the modules of experiments.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.faults.recorder import Findings

FDS_APART: Final = 2
MAX_GENERATOR_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Check:
    """One bound: what it is about, what was found, what is allowed."""

    name: str
    found: str
    bound: str
    good: bool


@dataclass(frozen=True, slots=True)
class Account:
    """What the node itself was like: see `watch`. `books` says what is wrong with them, if any."""

    peak_mib: float = 0.0
    budget_mib: float | None = None
    fds_before: int = 0
    fds_after: int = 0
    complaints: tuple[str, ...] = ()
    books: str = ""
    generator_share: float = 0.0
    generator_lag_ms: float = 0.0
    not_written: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One round of one experiment. `verdict` is "pass", "fail" or "not run" with `why`."""

    number: int
    title: str
    round: int
    seconds: float
    findings: Findings | None = None
    account: Account | None = None
    checks: tuple[Check, ...] = ()
    why: str = ""

    @property
    def verdict(self) -> str:
        """In a word."""
        if not self.checks:
            return "not run"
        return "pass" if all(check.good for check in self.checks) else "fail"


@dataclass(slots=True)
class Judge:
    """Gathers the checks of a round."""

    findings: Findings
    account: Account
    checks: list[Check] = field(default_factory=list)

    def at_most(self, name: str, found: float, limit: float, unit: str = "") -> None:
        """A figure and its upper bound."""
        gap = f" {unit}" if unit else ""
        check = Check(name, f"{_plain(found)}{gap}", f"<= {_plain(limit)}{gap}", found <= limit)
        self.checks.append(check)

    def at_least(self, name: str, found: float, limit: float, unit: str = "") -> None:
        """A figure and its lower bound."""
        gap = f" {unit}" if unit else ""
        check = Check(name, f"{_plain(found)}{gap}", f">= {_plain(limit)}{gap}", found >= limit)
        self.checks.append(check)

    def that(self, name: str, good: bool, found: str = "", bound: str = "") -> None:
        """A yes or no."""
        self.checks.append(Check(name, found or ("yes" if good else "no"), bound or "yes", good))

    def none(self, *names: str) -> None:
        """Of the findings these are 0."""
        for name in names:
            self.at_most(name.replace("_", " "), getattr(self.findings, name), 0)

    def clean(self) -> None:
        """Nothing lost, duplicated, reordered, both, strange; nothing bounced at all."""
        self.whole()
        self.none("bounced")

    def whole(self) -> None:
        """As `clean`, but bounces are allowed."""
        self.at_least("stanzas sent", self.findings.sent, 1)
        self.none("lost", "duplicated", "reordered", "both", "strange")

    def household(self, *, fds: bool = True, books: bool = True, written: bool = True) -> None:
        """Memory, descriptors, books, the log: what every experiment asserts of the node.

        `fds` and `books` are left out where the experiment itself takes them away; `written`:
        whether all of the schedule must have found a way.
        """
        account = self.account
        if account.budget_mib is not None:
            self.at_most("memory", account.peak_mib, account.budget_mib, "MiB")
        if fds:
            apart = abs(account.fds_after - account.fds_before)
            self.at_most("descriptors apart", apart, FDS_APART)
        if books:
            self.that("books", not account.books, account.books or "balance", "balance")
        if written:
            self.at_most("never taken by the node", account.not_written, 0)
        errors = ", ".join(account.complaints)
        self.that("errors in the log", not errors, errors or "none", "none")
        share = account.generator_share
        self.at_most("generator's share of a core", share, MAX_GENERATOR_SHARE)


def unexpected(findings: Findings, expected: Collection[str]) -> int:
    """Bounces for a reason that does not begin with one of these."""
    return sum(
        count
        for reason, count in findings.reasons.items()
        if not any(reason.startswith(each) for each in expected)
    )


def as_row(outcome: Outcome) -> dict[str, Any]:
    """Plain values for JSON."""
    return {**asdict(outcome), "verdict": outcome.verdict}


def all_pass(outcomes: Sequence[Outcome]) -> bool:
    """Whether no round failed."""
    return all(outcome.verdict != "fail" for outcome in outcomes)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
