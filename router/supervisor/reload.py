"""Going by an edited configuration without a restart: what changed, what of it waits, who has it.

Which keys take effect when is settled here: at once in every process, with a process's next start
(`causeway restart`), or with the router's. Called by the supervisor at SIGHUP.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from router.config import Config
from router.config_plain import written
from router.log import logger
from router.supervisor.processes import Child
from router.wire.control import SPOKEN, Reload, Reloaded

log = logger(__name__)

ANSWER_LIMIT_S: Final = 10.0

_WITH_THE_ROUTER: Final = (("listen",), ("processes",))
_WITH_A_PROCESS: Final = (
    ("dns",),
    ("e2e",),
    ("delivery",),
    ("dial", "backoff_max_s"),
    ("limits", "lane_window_bytes"),
    ("limits", "retention_bytes"),
    ("limits", "output_buffer_bytes"),
    ("limits", "output_total_bytes"),
    ("limits", "verified_domains_per_s"),
)
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two configurations, as keys are written in the file.

    `at_once` in all processes, `with_processes` when each of them is started anew, `with_router`
    when the router is.
    """

    at_once: tuple[str, ...]
    with_processes: tuple[str, ...]
    with_router: tuple[str, ...]


def change(old: Config, new: Config) -> Change:
    """Compare key by key; secrets are compared, and never shown."""
    found: tuple[list[str], list[str], list[str]] = [], [], []
    for key in _differences(old.to_plain(), new.to_plain()):
        place = 2 if _below(key, _WITH_THE_ROUTER) else 1 if _below(key, _WITH_A_PROCESS) else 0
        found[place].append(written(key))
    return Change(*map(tuple, found))


def log_what_waits(what: Change) -> None:
    """Name each key that does not take effect at once, and what it takes."""
    for needed, keys in (
        ("causeway restart", what.with_processes),
        ("a stop and a start", what.with_router),
    ):
        for key in keys:
            log.warning("reload.waits", key=key, needs=needed)


def possible(running: Config, wanted: Config) -> Config:
    """What is wanted, but for the keys that wait until the router is started anew."""
    return replace(wanted, listen=running.listen, processes=running.processes)


def _differences(old: Any, new: Any, key: Key = ()) -> Iterator[Key]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from _differences(old.get(name), new.get(name), (*key, name))
    elif old != new:
        yield key


def _below(key: Key, places: Collection[Key]) -> bool:
    return any(key[: len(place)] == place for place in places)


@dataclass(slots=True)
class _Round:
    open: set[str]
    problems: list[str] = field(default_factory=list)


class Reloads:
    """The rounds: everybody is told of a new snapshot, and answers. Death is an answer, too."""

    def __init__(self, news: Callable[[], None]) -> None:
        self._news = news
        self._number = 0
        self._rounds: dict[int, _Round] = {}

    def ask(self, children: Collection[Child]) -> int:
        """Tell them that there is a new snapshot; the number of the round."""
        self._number += 1
        knowing = {child.id for child in children if child.speaks >= SPOKEN}
        of = self._rounds[self._number] = _Round(knowing)
        of.problems += [f"{c.id}: its version cannot" for c in children if c.id not in knowing]
        for child in children:
            child.send(Reload(self._number))
        return self._number

    def tell(self, child: Child) -> None:
        """Tell one; nobody waits for its answer."""
        self._number += 1
        child.send(Reload(self._number))

    def is_over(self, number: int) -> bool:
        """Whether all have answered."""
        return not self._rounds[number].open

    def result(self, number: int) -> tuple[list[str], list[str]]:
        """Those who have not answered, and the problems of those who have. Ends the round."""
        ended = self._rounds.pop(number)
        return sorted(ended.open), ended.problems

    def answered(self, child_id: str, message: Reloaded) -> None:
        """A process goes by the new snapshot."""
        if (of := self._rounds.get(message.number)) is not None and child_id in of.open:
            of.open.discard(child_id)
            of.problems += [f"{child_id}: {problem}" for problem in message.problems]
            self._news()

    def gone(self, child_id: str) -> None:
        """A process has ended; the next one reads the new snapshot anyway."""
        for of in self._rounds.values():
            of.open.discard(child_id)
        self._news()
