"""``neurofb screen``: screens and sound of a session, as processes of their own."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import Finite

if TYPE_CHECKING:
    from neurofb.signing import WindowKey

UID = click.option("--session", "uid", help="The session's uid.  [default: the only one there is]")
LANGUAGE = click.option("--language", type=click.Choice(["en", "de"]), default="en", show_default=True)
LIGHT = click.option("--light", is_flag=True, help="Dark writing on a light ground.")
WAIT = click.option(
    "--wait",
    "wait_s",
    type=Finite(0),
    default=0.0,
    help="With --session: seconds to wait for one that is about to begin.",
)
BESIDE = click.option(
    "--beside",
    is_flag=True,
    help="Beside the other window: the participant's on the second monitor, or side by side on the only one.",
)
CLOSED_WITHOUT_CHOICE = 130
_KEY_OPTIONS = (
    click.option(
        "--key-stdin", is_flag=True, help="Read the key as a line of standard input, from --screens."
    ),
    click.option(
        "--key-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A copy of the file that the session was started with (neurofb run --key-file).",
    ),
    click.option(
        "--pair",
        "by_code",
        is_flag=True,
        help="Ask for the code that the key k at the session's terminal makes; for another computer.",
    ),
)


def _with_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where a window has its key from."""
    for option in reversed(_KEY_OPTIONS):
        function = option(function)
    return function


def _key(
    role: str, uid: str | None, *, key_stdin: bool, key_file: Path | None, by_code: bool
) -> WindowKey | None:
    """Return the key of a window; None, with a note, if it is opened without one."""
    from neurofb.signing import SessionKey, WindowKey, read_key_file

    if key_stdin:
        return WindowKey.from_line(sys.stdin.readline(1024))
    if key_file is not None:
        from neurofb.screens.start import find_session

        return SessionKey(find_session(uid), read_key_file(key_file)).window(role)
    if by_code:
        from neurofb.lsl.pairing_streams import pair
        from neurofb.pairing import check_installed
        from neurofb.screens.start import check_display, find_session

        check_installed()
        if role != "sound":
            check_display()  # before a code is spent
        found = find_session(uid)
        key = pair(found, role, socket.gethostname(), lambda: str(click.prompt("code", err=True)))
        click.echo(f"neurofb: paired with session {found}", err=True)
        return key
    click.echo(
        "note: this window has no key: it cannot know whether what it shows comes from the session, and the session "
        "obeys nothing but its stop. Open it with --key-file or --pair",
        err=True,
    )
    return None


@click.group("screen")
def command() -> None:
    """Open what is seen and heard of a running session, as a process of its own; it may be closed and reopened."""


def _wait_for_session(uid: str | None, wait_s: float) -> None:
    """Wait for a session that is about to begin, with words; what keeps a window from opening comes first."""
    from neurofb.screens.start import check_display, find_session

    if uid is not None and wait_s > 0:
        check_display()
        click.echo(f"neurofb: waiting for session {uid}, {wait_s:g} s at most", err=True)
        find_session(uid, wait_s)


@command.command("participant")
@UID
@LANGUAGE
@LIGHT
@WAIT
@_with_key
@BESIDE
@click.option("--window", is_flag=True, help="In a window instead of the whole screen.")
def participant(
    uid: str | None, language: str, light: bool, wait_s: float, window: bool, beside: bool, **keys: Any
) -> None:
    """Show the participant's screen."""
    from neurofb.screens.start import run

    key = _key("participant", uid, **keys)
    _wait_for_session(uid, wait_s)
    code = run(
        "participant",
        uid,
        language=language,
        dark=not light,
        full_screen=not window,
        beside=beside,
        key=key,
    )
    sys.exit(code)


@command.command("operator")
@UID
@LANGUAGE
@LIGHT
@WAIT
@_with_key
@BESIDE
def operator(uid: str | None, language: str, light: bool, wait_s: float, beside: bool, **keys: Any) -> None:
    """Show the operator's screen."""
    from neurofb.screens.start import run

    key = _key("operator", uid, **keys)
    _wait_for_session(uid, wait_s)
    sys.exit(run("operator", uid, language=language, dark=not light, key=key, beside=beside))


@command.command("setup")
@click.option("--protocol", help="The protocol that is to be run: its needs are looked at.")
@LANGUAGE
@LIGHT
def setup(protocol: str | None, language: str, light: bool) -> None:
    """Choose the stream and look at each contact before a session; prints the command that runs it."""
    from neurofb.screens.start import run_setup

    chosen = run_setup(protocol, language=language, dark=not light)
    if chosen is None:
        click.echo("nothing was chosen", err=True)
        sys.exit(CLOSED_WITHOUT_CHOICE)
    words = ["neurofb", "run", protocol or "PROTOCOL", "--participant", chosen.participant or "CODE"]
    if chosen.device is not None:
        words += ["--device", chosen.device.name]
    query = chosen.query
    words += [] if query.name is None else [f"--stream={query.name}"]
    words += [] if query.predicate is None else [f"--where={query.predicate}"]
    click.echo(shlex.join(words))


@command.command("sound")
@UID
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the soundscape.")
@click.option("--volume", type=Finite(0, 1), default=1.0, show_default=True)
@click.option("--device", help="Sound device: a number or a part of its name.")
@click.option("--silent", is_flag=True, help="Play to nobody, where there is no sound device.")
@click.option("--no-rewards", is_flag=True, help="No bells for rewards.")
@click.option(
    "--speech", type=click.Path(path_type=Path, file_okay=False), help="A folder with spoken instructions."
)
@click.option("--test", is_flag=True, help="Play the range once, to set the headphones.")
@WAIT
@_with_key
def sound(
    uid: str | None,
    device: str | None,
    no_rewards: bool,
    test: bool,
    wait_s: float,
    key_stdin: bool,
    key_file: Path | None,
    by_code: bool,
    **options: Any,
) -> None:
    """Play the sound of a session, for closed eyes."""
    from neurofb.lsl.inlet import LslClock
    from neurofb.screens.sound import process
    from neurofb.screens.sound.player import device_of
    from neurofb.screens.start import SEARCH_S, find_session

    asked = process.SoundOptions(device=device_of(device), rewards=not no_rewards, **options)
    if test:
        process.audition(LslClock(), asked, echo=click.echo)
    else:
        key = _key("sound", uid, key_stdin=key_stdin, key_file=key_file, by_code=by_code)
        process.run(find_session(uid, max(wait_s, SEARCH_S)), LslClock(), asked, echo=click.echo, key=key)
