"""The command line: ``bmv``.

Exit codes: 0 ok, 1 a check failed, 2 bad input, 3 unsafe state, 4 the outside cannot be reached; 130 stopped
by Ctrl-C before anything was begun.
"""

import sys

import typer

from bmv import __version__
from bmv.cli.alert import alert_app
from bmv.cli.backtest import backtest
from bmv.cli.baseline import baseline
from bmv.cli.config import config_app
from bmv.cli.db import db_app
from bmv.cli.demo import demo
from bmv.cli.disclose import disclose
from bmv.cli.doctor import doctor
from bmv.cli.events import events
from bmv.cli.feed import feed
from bmv.cli.halt import halt
from bmv.cli.history import history_app
from bmv.cli.inspect import inspect_app
from bmv.cli.integrity import integrity_app
from bmv.cli.plan import plan
from bmv.cli.replay import replay
from bmv.cli.report import report
from bmv.cli.resume import resume
from bmv.cli.run import run
from bmv.cli.sandbox import sandbox
from bmv.cli.signer import signer
from bmv.cli.status import status
from bmv.cli.tune import tune
from bmv.cli.wallets import wallets_app
from bmv.errors import BmvError

app = typer.Typer(
    help="BMV market maker: an asymmetric ladder of real orders on one OpenBook token/SOL market.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo)
app.command("sandbox")(sandbox)
app.command("baseline")(baseline)
app.command("signer")(signer)
app.command("disclose")(disclose)
app.command("feed")(feed)
app.command("replay")(replay)
app.command("doctor")(doctor)
app.command("events")(events)
app.command("plan")(plan)
app.command("run")(run)
app.command("status")(status)
app.command("halt")(halt)
app.command("resume")(resume)
app.command("report")(report)
app.command("backtest")(backtest)
app.command("tune")(tune)
app.add_typer(alert_app, name="alert")
app.add_typer(wallets_app, name="wallets")
app.add_typer(config_app, name="config")
app.add_typer(db_app, name="db")
app.add_typer(history_app, name="history")
app.add_typer(inspect_app, name="inspect")
app.add_typer(integrity_app, name="integrity")


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    """Answer what concerns no command."""
    if show:
        typer.echo(f"bmv {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; errors become one line on stderr and an exit code."""
    try:
        sys.exit(app(standalone_mode=False))
    except BmvError as error:
        typer.echo(f"bmv: {error}", err=True)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        if error.format_message():
            typer.echo(f"bmv: {error.format_message()} (from command line)", err=True)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(130)
