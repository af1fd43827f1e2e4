"""Opens a screen: ``python -m neurofb.screens participant|operator|setup [--session UID] …``."""

from __future__ import annotations

import argparse
import sys

from neurofb.errors import NeurofbError
from neurofb.format import accept_every_letter
from neurofb.screens import start


def main(arguments: list[str] | None = None) -> int:
    """Open what is asked for; an error of ours is one message and its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m neurofb.screens", description="Opens a screen of a session."
    )
    parser.add_argument("kind", choices=start.KINDS)
    parser.add_argument("--session", metavar="UID", help="which session (default: the only one there is)")
    parser.add_argument("--protocol", help="setup: what is to be run")
    parser.add_argument("--language", default="en", help="en or de (default: en)")
    parser.add_argument("--light", action="store_true", help="light instead of dark")
    parser.add_argument(
        "--window", action="store_true", help="participant: a window instead of the whole screen"
    )
    accept_every_letter()
    given = parser.parse_args(arguments)
    try:
        if given.kind == "setup":
            chosen = start.run_setup(given.protocol, language=given.language, dark=not given.light)
            if chosen is not None:
                print(f"stream: {chosen.query.describe()}")
                print(f"device: {chosen.device.name if chosen.device else 'none'}")
            return 0 if chosen is not None else 1
        return start.run(
            given.kind,
            given.session,
            language=given.language,
            dark=not given.light,
            full_screen=not given.window,
        )
    except NeurofbError as error:
        print(f"neurofb: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
