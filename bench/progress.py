"""Progress of a benchmark on stderr: a bar of steps, and what goes on now.

Where stderr is no terminal each step is a plain line. Used by every benchmark's command.
"""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class Steps:
    """So many steps of a run, as a context manager.

    `next` says what the step is that begins; or, apart, `now` what goes on from here and `done`
    that so many steps are over. `say` leaves a line behind. `still` draws only then, for
    measurements of times in this very process, which a clock on the screen would hold up.
    """

    def __init__(
        self, what: str, total: int, console: Console | None = None, *, still: bool = False
    ) -> None:
        self.console = console or Console(stderr=True)
        self._what = what
        self._total = total
        self._done = 0
        self._begun = False
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[what]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
            auto_refresh=not still,
        )
        self._task: TaskID = self._bar.add_task("", total=total, what=what)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def now(self, words: str) -> None:
        """What the step is that begins."""
        self._bar.update(self._task, description=words, refresh=True)
        if not self.console.is_terminal:
            at = min(self._done + 1, self._total)
            self._plain(f"{self._what} {at}/{self._total}: {words}")

    def done(self, count: int = 1) -> None:
        """So many steps are over."""
        self._done += count
        self._bar.update(self._task, completed=self._done, refresh=True)

    def next(self, words: str) -> None:
        """The step before is over, if there was one; now the next begins."""
        if self._begun:
            self.done()
        self._begun = True
        self.now(words)

    def say(self, words: str) -> None:
        """A line that stays."""
        self._plain(words)

    def _plain(self, words: str) -> None:
        self.console.print(words, markup=False, highlight=False, soft_wrap=True)
