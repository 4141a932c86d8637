"""The page at /: one self-contained document about the node, without scripts."""

import html
from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Final, Protocol

REFRESH_S: Final = 5


class ProcessView(Protocol):
    """What is shown of one process."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def shards(self) -> int: ...
    @property
    def age_s(self) -> float: ...


_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="$refresh">
<title>Causeway: $state</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 46rem; padding: 0 1rem;
       color: #1c2530; background: #fff; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #d8dee6; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { body { color: #dfe6ee; background: #151a20; }
       th, td { border-color: #333d48; } a { color: #8ab8ff; } }
</style>
</head>
<body>
<h1>Causeway: $state</h1>
<h2>Processes</h2>
<table>
<tr><th>Process</th><th>Role</th><th class="n">PID</th><th>State</th><th class="n">Shards</th>
<th class="n">Age</th></tr>
$processes
</table>
<h2>Streams with other servers</h2>
<table>
<tr><th>Opened by</th><th>Proved by</th><th>Both ways</th><th class="n">Open</th></tr>
$streams
</table>
<h2>Listening</h2>
<table>
$listeners
</table>
<p><a href="/metrics">metrics</a> · <a href="/api/streams">streams</a> ·
<a href="/api/pairs">pairs</a></p>
</body>
</html>
""")


def render(
    not_ready: Sequence[str],
    processes: Iterable[ProcessView],
    streams: Mapping[tuple[str, ...], float],
    listeners: Mapping[str, Sequence[str]],
) -> str:
    """The document; `streams` counts them by the labels of `causeway_s2s_streams`."""
    return _PAGE.substitute(
        refresh=REFRESH_S,
        state=html.escape("; ".join(not_ready)) or "ready",
        processes="\n".join(
            _row(p.id, p.role, p.pid, p.state, p.shards, _age(p.age_s)) for p in processes
        ),
        streams="\n".join(
            _row({"in": "the peer", "out": "us"}[direction], auth, bidi, int(count))
            for (direction, auth, bidi), count in streams.items()
            if count
        )
        or _row("none"),
        listeners="\n".join(
            _row(kind, ", ".join(addresses)) for kind, addresses in listeners.items()
        ),
    )


def _row(*cells: str | int) -> str:
    written = (
        f'<td class="n">{cell}</td>' if isinstance(cell, int) else f"<td>{html.escape(cell)}</td>"
        for cell in cells
    )
    return f"<tr>{''.join(written)}</tr>"


def _age(seconds: float) -> str:
    minutes, whole_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole_s} s"
