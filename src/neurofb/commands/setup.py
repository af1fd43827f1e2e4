"""What ``neurofb screen setup`` does and says: a page before a session, and the command that then runs it."""

from __future__ import annotations

import shlex

import click

from neurofb.screens.start import run_setup


def run(protocol: str | None, *, language: str, dark: bool) -> int:
    """Show the page; print the command for what was chosen. 0 if something was, 130 if it was closed."""
    chosen = run_setup(protocol, language=language, dark=dark)
    if chosen is None:
        click.echo("nothing was chosen", err=True)
        return 130
    words = ["neurofb", "run", protocol or "PROTOCOL", "--participant", "CODE"]
    if chosen.device is not None:
        words += ["--device", chosen.device.name]
    stream = chosen.query.predicate or chosen.query.name
    if stream:
        words += ["--stream", stream]
    click.echo(shlex.join(words))
    return 0
