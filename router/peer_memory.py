"""What each remote domain is known to do and not to do: learned, kept for a while, overridable.

Pure: the clock and the way to other processes are handed in. Acceptors learn and recall; the
supervisor keeps what they learned for acceptors to come. What a fact changes is the dialer's
affair and the streams'.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from router.config import ANY_PEER, Config, Peer
from router.xmpp.errors import MisuseError

MAX_DOMAINS: Final = 4096
"""Of more than these, the domain goes that was not asked about for the longest time."""
MAX_OF_A_DOMAIN: Final = 64
"""Of more facts of one domain than these, the one goes that was learned the longest time ago."""
TELL_AFTER: Final = 0.1
"""The part of a lifetime after which others hear again of what has not changed."""

_HOUR_S: Final = 3600.0
_DAY_S: Final = 24 * _HOUR_S


class Fact(Enum):
    """What one may know of a peer; `LIFETIMES_S` has the values of each."""

    EXTERNAL = "external"
    """What became of our SASL EXTERNAL there (XEP-0178 §3), by the hosted domain that it was for:
    each has a certificate of its own, and a peer may refuse one and take another."""
    BIDI = "bidi"
    """Whether a stream outlives our asking for XEP-0288."""
    ERRORS = "errors"
    """Whether it advertises dialback errors (XEP-0220 §2.5)."""
    REVERSE_DIALBACK = "reverse_dialback"
    """What a bidi stream it opened suffers when we prove a domain on it (XEP-0288 §2.2)."""
    MULTIPLEX = "multiplex"
    """What it makes of several pairs on a stream that we opened (XEP-0220 §2.6)."""
    PROOF = "proof"
    """How it proved itself to us when it connected."""


LIFETIMES_S: Final[dict[Fact, dict[str, float]]] = {
    Fact.EXTERNAL: {"accepted": 7 * _DAY_S, "refused": _HOUR_S},
    Fact.BIDI: {"works": 7 * _DAY_S, "kills": _DAY_S},
    Fact.ERRORS: {"yes": _DAY_S, "no": _DAY_S},
    Fact.REVERSE_DIALBACK: {"survives": 7 * _DAY_S, "kills": 7 * _DAY_S, "ignores": 7 * _DAY_S},
    Fact.MULTIPLEX: {
        "works": 7 * _DAY_S,
        "untried": _DAY_S,
        "refused": _DAY_S,
        "misroutes": 7 * _DAY_S,
    },
    Fact.PROOF: {"external": 30 * _DAY_S, "dialback": 30 * _DAY_S},
}
"""For each fact its values, and how long each is believed, in seconds. A value that costs us a
way to connect is believed for less long, so that a peer that was mended is soon tried again."""

_CONFIGURED: Final[dict[Fact, Callable[[Peer], str | None]]] = {
    Fact.EXTERNAL: lambda peer: _either(peer.external, "accepted", "refused"),
    Fact.MULTIPLEX: lambda peer: _either(peer.multiplex, "works", "refused"),
    Fact.REVERSE_DIALBACK: lambda peer: _either(peer.reverse_dialback, "survives", "kills"),
}


@dataclass(frozen=True, slots=True)
class Learned:
    """That `domain`, normalised, showed `value` at `at`, in seconds since the epoch.

    Where that depends on the hosted domain we came as, `local` is that.
    """

    domain: str
    fact: Fact
    value: str
    at: float
    local: str = ""

    @property
    def expires_at(self) -> float:
        """When it is believed no longer."""
        return self.at + LIFETIMES_S[self.fact][self.value]

    def to_plain(self) -> tuple[str, str, str, float]:
        """For a message to another process."""
        fact = f"{self.fact.value}:{self.local}" if self.local else self.fact.value
        return self.domain, fact, self.value, self.at

    @classmethod
    def from_plain(cls, plain: tuple[str, str, str, float]) -> "Learned":
        """The inverse of `to_plain`. Raises ValueError for an unknown fact or value."""
        domain, text, value, at = plain
        name, _, local = text.partition(":")
        fact = Fact(name)
        if value not in LIFETIMES_S[fact]:
            raise ValueError(f"{name} is never {value!r}")
        return cls(domain, fact, value, at, local)


_Key = tuple[Fact, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    learned: Learned
    told_at: float


class PeerMemory:
    """All of it, of one process. `wall` gives seconds since the epoch; `tell` has what is news."""

    def __init__(
        self, config: Config, wall: Callable[[], float], tell: Callable[[Learned], None]
    ) -> None:
        self.config = config
        """To be replaced when there is another one."""
        self._wall = wall
        self._tell = tell
        self._domains: OrderedDict[str, OrderedDict[_Key, _Entry]] = OrderedDict()

    def learn(self, domain: str, fact: Fact, value: str, local: str = "") -> str | None:
        """Keep it, from now; returns what was learned before, unless that has expired.

        `tell` is called when the value is new, or was told long ago: a busy peer is no flood.
        Raises MisuseError for a value that is none of the fact's.
        """
        if value not in LIFETIMES_S[fact]:
            raise MisuseError(f"{fact.value} is never {value!r}")
        now = self._wall()
        before = self._known(domain, fact, now, local)
        learned = Learned(domain, fact, value, now, local)
        is_news = (
            before is None
            or before.learned.value != value
            or now - before.told_at >= TELL_AFTER * LIFETIMES_S[fact][value]
        )
        self._keep(_Entry(learned, now if before is None or is_news else before.told_at))
        if is_news:
            self._tell(learned)
        return before.learned.value if before is not None else None

    def recall(self, domain: str, fact: Fact, local: str = "") -> str | None:
        """What to go by: the operator's word, else what was learned, unless it has expired."""
        configured = self._configured(domain, fact)
        if configured is not None:
            return configured
        entry = self._known(domain, fact, self._wall(), local)
        if entry is None:
            return None
        self._domains.move_to_end(domain)
        return entry.learned.value

    def take_all(self, facts: Iterable[tuple[str, str, str, float]]) -> None:
        """What another process has learned; what only its version knows of is passed over."""
        for plain in facts:
            with suppress(ValueError):
                self.take(Learned.from_plain(plain))

    def take(self, learned: Learned) -> None:
        """Another process learned it; the later of two words on one fact stands."""
        now = self._wall()
        learned = replace(learned, at=min(learned.at, now))
        before = self._known(learned.domain, learned.fact, now, learned.local)
        if learned.expires_at > now and (before is None or before.learned.at <= learned.at):
            self._keep(_Entry(learned, learned.at))

    def everything(self) -> Iterator[Learned]:
        """All that was learned and has not expired."""
        now = self._wall()
        for facts in self._domains.values():
            for entry in facts.values():
                if entry.learned.expires_at > now:
                    yield entry.learned

    def rows(self, domain: str | None = None, local: str | None = None) -> list[dict[str, object]]:
        """To show: of one domain or of all; the operator's word stands before what was learned.

        `local`: nothing that is so for other hosted domains alone. `learned_at` and `expires_at`
        are seconds since the epoch, None for what is configured.
        """
        if domain is not None:
            rows = self._rows(domain)
            return [row for row in rows if local is None or row["local"] in ("", local)]
        named = [name for name in self.config.peers if not name.startswith(ANY_PEER)]
        return [row for each in sorted({*self._domains, *named}) for row in self._rows(each)]

    def _rows(self, domain: str) -> list[dict[str, object]]:
        now = self._wall()
        rows: list[dict[str, object]] = []
        for fact in Fact:
            configured = self._configured(domain, fact)
            if configured is not None:
                rows.append(_row(domain, fact, configured, None))
            for of, entry in self._domains.get(domain, OrderedDict()).items():
                if of[0] is fact and entry.learned.expires_at > now:
                    rows.append(_row(domain, fact, entry.learned.value, entry.learned))
        return rows

    def _configured(self, domain: str, fact: Fact) -> str | None:
        word = _CONFIGURED.get(fact)
        return word(self.config.peer(domain)) if word is not None else None

    def _known(self, domain: str, fact: Fact, now: float, local: str = "") -> _Entry | None:
        facts = self._domains.get(domain)
        entry = facts.get((fact, local)) if facts is not None else None
        return entry if entry is not None and entry.learned.expires_at > now else None

    def _keep(self, entry: _Entry) -> None:
        domain, key = entry.learned.domain, (entry.learned.fact, entry.learned.local)
        facts = self._domains.setdefault(domain, OrderedDict())
        facts[key] = entry
        facts.move_to_end(key)
        if len(facts) > MAX_OF_A_DOMAIN:
            facts.popitem(last=False)
        self._domains.move_to_end(domain)
        if len(self._domains) > MAX_DOMAINS:
            self._domains.popitem(last=False)


def _either(override: bool | None, yes: str, no: str) -> str | None:
    if override is None:
        return None
    return yes if override else no


def _row(domain: str, fact: Fact, value: str, learned: Learned | None) -> dict[str, object]:
    return {
        "domain": domain,
        "fact": fact.value,
        "local": learned.local if learned is not None else "",
        "value": value,
        "learned_at": learned.at if learned is not None else None,
        "expires_at": learned.expires_at if learned is not None else None,
        "source": "learned" if learned is not None else "configured",
    }
