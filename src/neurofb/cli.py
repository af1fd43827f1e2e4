"""The command line: arguments to objects, no logic. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys

import click

from neurofb import __version__
from neurofb.errors import NeurofbError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="neurofb")
def commands() -> None:
    """Real-time EEG for mindfulness practice during pain stimuli.

    Research software. Not a medical device. Not for diagnosis, treatment or relief of pain.
    """


def main() -> None:
    """Run the command line; an error of ours is one message and its exit code, never a traceback."""
    try:
        commands(standalone_mode=False)
    except NeurofbError as error:
        click.echo(f"neurofb: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("neurofb: interrupted", err=True)
        sys.exit(130)
