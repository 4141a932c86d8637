"""Tables on standard output: as wide as the terminal, or wide enough for a pipe."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_PIPE_WIDTH: Final = 200


def print_table(titles: Mapping[str, bool], rows: Iterable[Sequence[str]], none: str) -> None:
    """Title to whether the column holds numbers; `none` is said when there is no row.

    What a peer chose is to be made harmless before it comes here.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title, is_number in titles.items():
        table.add_column(title, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table if table.row_count else none)
