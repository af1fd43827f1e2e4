"""Commands as the command line runs them; errors of ours are raised, as `neurofb.cli.main` gets them."""

from __future__ import annotations

import click
from click.testing import CliRunner, Result


def invoke(command: click.Command, *words: object) -> Result:
    """Return what a command printed and its exit code."""
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
