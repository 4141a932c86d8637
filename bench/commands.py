"""The verbs of `causeway bench`, a line each; what they do is in the packages they come from."""

import typer

from bench.bidi.command import bidi_command
from bench.core.command import core_command
from bench.express.command import express_command
from bench.faults.command import faults_command
from bench.hostile.command import hostile_command
from bench.idle.command import idle_command
from bench.latency.command import latency_command
from bench.peers.fakes.command import fake_command
from bench.report.command import report_command
from bench.soak.command import soak_command
from bench.throughput.command import throughput_command

app = typer.Typer(no_args_is_help=True, help="Measure the program on this machine.")

app.command(name="bidi")(bidi_command)
app.command(name="core")(core_command)
app.command(name="express")(express_command)
app.command(name="faults")(faults_command)
app.command(name="hostile")(hostile_command)
app.command(name="idle")(idle_command)
app.command(name="latency")(latency_command)
app.command(name="throughput")(throughput_command)
app.command(name="soak")(soak_command)
app.command(name="report")(report_command)
app.command(name="fake")(fake_command)
