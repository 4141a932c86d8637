"""The command `causeway`: which commands there are. Each has its own file.

Command modules import what is heavy inside their functions, so that help and errors come at once.
"""

import typer

from router.cli import acceptor, bench, worker
from router.cli.check import check
from router.cli.close import close
from router.cli.demo import demo
from router.cli.e2e import e2e
from router.cli.explain import explain
from router.cli.health import health
from router.cli.init import init
from router.cli.pairs import pairs
from router.cli.restart import restart
from router.cli.run import run
from router.cli.streams import streams

app = typer.Typer(
    name="causeway",
    help="An XMPP federation router: many domain pairs, few connections, both ways on one.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold secrets
)

app.command()(init)
app.command()(check)
app.command()(run)
app.command()(streams)
app.command()(pairs)
app.command()(explain)
app.command()(close)
app.add_typer(e2e)
app.command()(restart)
app.command()(health)
app.command()(demo)
app.command(context_settings=bench.CONTEXT)(bench.bench)
app.command(context_settings=acceptor.CONTEXT)(acceptor.acceptor)
app.command(context_settings=worker.CONTEXT)(worker.worker)


def main() -> None:
    """Entry point of the console script."""
    app()
