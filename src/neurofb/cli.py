"""The command line: finds a command when it is called, and turns errors into one message and an exit code."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from neurofb import __version__
from neurofb.blinding.keys import take_engine_key
from neurofb.errors import NeurofbError, WrongInput
from neurofb.format import accept_every_letter, clean

#: Each is ``command`` in the module of its name in `neurofb.commands`.
NAMES = (
    "allocate",
    "bench",
    "blinding",
    "check",
    "demo",
    "devices",
    "doctor",
    "donors",
    "export",
    "keys",
    "latency",
    "play",
    "protocols",
    "report",
    "rerun",
    "run",
    "screen",
    "share",
    "simulate",
    "skin",
    "streams",
    "unblind",
    "unlock",
)


class LazyGroup(click.Group):
    """A group that imports the module of a command when it is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what no argument can be: no system has a file with the letter NUL in its name."""
        if any("\0" in arg for arg in args):
            raise WrongInput(
                "an argument has the letter NUL, which no name or path can have; give it without"
            )
        return super().parse_args(ctx, args)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted(NAMES)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, None if there is none."""
        if cmd_name not in NAMES:
            return None
        command: click.Command = import_module(f"neurofb.commands.{cmd_name}").command
        return command


@click.command(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="neurofb")
def commands() -> None:
    """Real-time EEG for mindfulness practice during pain stimuli.

    Research software. Not a medical device. Not for diagnosis, treatment or relief of pain.
    """


def main() -> None:
    """Run the command line; an error of ours is one message and its exit code, never a traceback."""
    accept_every_letter()
    try:
        take_engine_key()  # before anything else runs, so that no process which is started has it
        commands(standalone_mode=False)
    except NeurofbError as error:
        click.echo(clean(f"neurofb: {error}", lines=True), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("neurofb: interrupted", err=True)
        sys.exit(130)
