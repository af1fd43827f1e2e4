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


@commands.command("devices")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def show_devices(name: str | None, as_json: bool) -> None:
    """List the devices that are known, or explain one: what is known, from where, and what is assumed.

    NAME is the name of a profile, such as muse-2, or the path of a profile of your own.
    """
    import json

    from neurofb import device_sheet
    from neurofb.devices import load_profile
    from neurofb.tables import show_table

    profile = load_profile(name) if name else None
    if as_json:
        document = device_sheet.sheet_document(profile) if profile else device_sheet.list_document()
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif profile:
        show_table(profile.title, device_sheet.SHEET_HEADER, device_sheet.sheet_rows(profile))
    else:
        show_table("Devices", device_sheet.LIST_HEADER, device_sheet.list_rows())


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
