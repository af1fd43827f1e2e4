"""The command line: arguments to objects, no logic. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

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

    from neurofb.commands import devices as device_sheet
    from neurofb.commands.tables import show_table
    from neurofb.devices import load_profile

    profile = load_profile(name) if name else None
    if as_json:
        document = device_sheet.sheet_document(profile) if profile else device_sheet.list_document()
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif profile:
        show_table(profile.title, device_sheet.SHEET_HEADER, device_sheet.sheet_rows(profile))
    else:
        show_table("Devices", device_sheet.LIST_HEADER, device_sheet.list_rows())


@commands.command("streams")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600, min_open=True),
    default=2.0,
    show_default=True,
    help="How long to look, in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def show_streams(wait_s: float, as_json: bool) -> None:
    """List the LSL streams on the network: which device fits each, why, and what it does not say itself."""
    import json

    from neurofb.commands import streams as stream_sheet
    from neurofb.commands.tables import show_table

    seen = stream_sheet.look(wait_s)
    if as_json:
        click.echo(json.dumps(stream_sheet.document(seen), indent=2, ensure_ascii=False))
    else:
        show_table("Streams", stream_sheet.HEADER, stream_sheet.rows(seen))


@commands.command("simulate")
@click.argument("device")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The same seed gives the same signal.",
)
@click.option("--eyes", type=click.Choice(["open", "closed"]), default="open", show_default=True)
@click.option("--speed", default=1.0, show_default=True, help="Seconds of EEG per second.")
@click.option("--duration", type=float, help="Stop after so many seconds of EEG.  [default: never]")
@click.option("--rate", type=float, help="Sampling rate in Hz, of those the device has.")
@click.option("--fault", "faults", multiple=True, help="As stall@10+2, loss=0.05; 'help' lists all.")
@click.option("--learn", type=float, help="Listen to the feedback and learn, at this rate per minute.")
@click.option("--stamps", type=click.Choice(["device", "arrival"]), default="device", show_default=True)
@click.option("--program", help="Look like the outlet of this program, as muselsl.")
@click.option("--name", help="Name of the stream.")
@click.option("--wait", is_flag=True, help="Begin when somebody listens.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a document a line, for programs.")
def simulate(device: str, as_json: bool, **options: Any) -> None:
    """Send the EEG of a simulated head in DEVICE over LSL, with its faults, and the truth beside it.

    DEVICE is the name of a profile, such as muse-2, or the path of a profile of your own. Stop with Ctrl-C.
    """
    from neurofb.commands import simulate

    simulate.run(device, simulate.Options(**options), as_json)


@commands.command("play")
@click.argument("file")
@click.option("--speed", default=1.0, show_default=True, help="Seconds of EEG per second.")
@click.option("--loop", is_flag=True, help="Begin again at the end, on and on.")
@click.option("--name", help="Name of the LSL stream.  [default: the name of the file]")
@click.option("--stream", help="Which stream of an XDF file: its name, type or number.")
@click.option("--device", help="The device that was recorded: gives labels and unit a file lacks.")
@click.option("--chunk", default=8, show_default=True, help="How many samples are sent at once.")
@click.option("--wait", is_flag=True, help="Begin when somebody listens.")
def play(file: str, **options: Any) -> None:
    """Send the EEG in FILE over LSL as if it were recorded now, with its labels, in microvolts.

    FILE is EDF, BDF, GDF, BrainVision (.vhdr), FIF, EEGLAB (.set), XDF, or text of the OpenBCI GUI.
    """
    from pathlib import Path

    from neurofb.commands import play

    play.run(Path(file), play.Options(**options))


@commands.command("check")
@click.argument("protocol")
@click.option(
    "--device", default="simulated", show_default=True, help="The headset: a profile's name or path."
)
@click.option("--session", help="Which session of the protocol.  [default: the first]")
@click.option("--arm", help="Which arm, by its id.")
@click.option("--baseline", help="The folder of an earlier session of the participant.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--participant", help="A code to be checked as well.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def check(protocol: str, as_json: bool, **options: Any) -> None:
    """Return what a participant will get, and everything that is wrong, before anything starts.

    PROTOCOL is the name of a bundled one, such as breath-heat, or the path of a file of your own.
    """
    from neurofb.commands import check as check_sheet

    check_sheet.run(protocol, check_sheet.Options(**options), as_json)


@commands.command("run")
@click.argument("protocol")
@click.option(
    "--device", default="simulated", show_default=True, help="The headset: a profile's name or path."
)
@click.option("--participant", required=True, help="A pseudonym of letters and digits, as P07.")
@click.option("--session", help="Which session of the protocol.  [default: the first]")
@click.option("--arm", help="Which arm, by its id; needed where there are several.")
@click.option(
    "--allocation", type=click.Path(dir_okay=False), help="A list outside the dataset, to note the arm in."
)
@click.option("--stream", help="The EEG stream: its name, or a predicate such as \"hostname='lab2'\".")
@click.option(
    "--data", type=click.Path(file_okay=False), default="neurofb-data", show_default=True, help="The dataset."
)
@click.option(
    "--seed", type=click.IntRange(0), help="Of every random choice.  [default: drawn, and recorded]"
)
@click.option(
    "--baseline", type=click.Path(), help="The folder of an earlier session: its baseline serves again."
)
@click.option("--simulate", is_flag=True, help="A simulated participant in a simulated headset.")
@click.option(
    "--answers/--no-answers",
    default=True,
    show_default=True,
    help="With --simulate: whether the simulated participant answers; without, somebody at a screen does.",
)
@click.option("--fast", is_flag=True, help="With --simulate: as fast as it can.")
@click.option("--thermode", default="simulated", show_default=True, help="The stimulator.")
@click.option("--thermode-fault", "thermode_faults", multiple=True, help="With a simulated one: as stuck@40.")
@click.option(
    "--fault", "headset_faults", multiple=True, help="With --simulate: as stall@10+2; see neurofb simulate."
)
@click.option("--headless", is_flag=True, help="Lines only: no picture at the terminal, no windows.")
@click.option("--screens", is_flag=True, help="Open the participant's and the operator's windows.")
@click.option("--export/--no-export", default=True, show_default=True, help="Write BIDS when it is over.")
@click.option("--report", is_flag=True, help="Write a report when it is over.")
@click.option("--json", "as_json", is_flag=True, help="Print the end as JSON, for programs.")
def run(**words: Any) -> None:
    """Run a session of PROTOCOL with a participant, on real or simulated devices, and record it.

    Keys: Esc or s stops at once, p pauses, q ends, m marks. Ctrl-C ends in order, the stimulus first.
    """
    from neurofb.commands import run

    sys.exit(run.run_words(words).exit_code)


@commands.command("demo")
@click.option("--fast", is_flag=True, help="On a manual clock: in seconds, without LSL.")
@click.option("--headless", is_flag=True, help="Lines only: no picture at the terminal, no windows.")
@click.option("--screens", is_flag=True, help="Open the participant's and the operator's windows.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same session."
)
@click.option(
    "--out", type=click.Path(file_okay=False), default="neurofb-demo", show_default=True, help="The dataset."
)
@click.option("--json", "as_json", is_flag=True, help="Print the end as JSON, for programs.")
def demo(**words: Any) -> None:
    """Run a whole session in a minute and a half with everything simulated: head, headset, thermode, participant."""
    from neurofb.commands import run

    sys.exit(run.demo_words(words).exit_code)


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
_SESSION = click.argument("session", type=click.Path(path_type=Path))


@commands.command("rerun")
@_SESSION
@click.option("--check", is_flag=True, help="Demand equality with the record, to the last bit.")
@click.option("--protocol", help="Another protocol: what would they have felt?")
@_JSON
def rerun(session: Path, as_json: bool, **options: Any) -> None:
    """Compute the session in the folder SESSION once more, and hold it against its record."""
    from neurofb.commands import rerun as again

    sys.exit(again.run(session, again.Options(**options), as_json))


@commands.command("export")
@_SESSION
@click.option("--out", type=click.Path(path_type=Path), help="Another dataset than the session's own.")
@click.option("--shift-dates", type=int, help="Move dates back by so many days.")
@_JSON
def export(session: Path, as_json: bool, **options: Any) -> None:
    """Write BIDS from the session in the folder SESSION, or from all sessions of a dataset."""
    from neurofb.commands import export as exporting

    sys.exit(exporting.run(session, exporting.Options(**options), as_json))


@commands.command("report")
@_SESSION
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it.  [default: into the folder]")
@_JSON
def report(session: Path, out: Path | None, as_json: bool) -> None:
    """Write a report of the session in the folder SESSION: one HTML file, and the CRED-nf checklist."""
    from neurofb.commands import report as reporting

    reporting.run(session, out, as_json)


@commands.group("screen")
def screen() -> None:
    """Open what is seen and heard of a running session, as a process of its own; it may be closed and reopened."""


_UID = click.option("--session", "uid", help="The session's uid.  [default: the only one there is]")
_LANGUAGE = click.option("--language", type=click.Choice(["en", "de"]), default="en", show_default=True)
_LIGHT = click.option("--light", is_flag=True, help="Dark writing on a light ground.")
_WAIT = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=0.0,
    help="With --session: seconds to wait for one that is about to begin.",
)


def _wait_for_session(uid: str | None, wait_s: float) -> None:
    """Wait for a session that is about to begin, with words; what keeps a window from opening comes first."""
    from neurofb.screens.start import check_display, find_session

    if uid is not None and wait_s > 0:
        check_display()
        click.echo(f"neurofb: waiting for session {uid}, {wait_s:g} s at most", err=True)
        find_session(uid, wait_s)


@screen.command("participant")
@_UID
@_LANGUAGE
@_LIGHT
@_WAIT
@click.option("--window", is_flag=True, help="In a window instead of the whole screen.")
@click.option("--breaths", default=6.0, show_default=True, help="Of the breath pacer, in a minute.")
def participant_screen(
    uid: str | None, language: str, light: bool, wait_s: float, window: bool, breaths: float
) -> None:
    """Show the participant's screen."""
    from neurofb.screens.start import run as show

    _wait_for_session(uid, wait_s)
    screen = "participant"
    sys.exit(
        show(screen, uid, language=language, dark=not light, full_screen=not window, breaths_per_min=breaths)
    )


@screen.command("operator")
@_UID
@_LANGUAGE
@_LIGHT
@_WAIT
def operator_screen(uid: str | None, language: str, light: bool, wait_s: float) -> None:
    """Show the operator's screen."""
    from neurofb.screens.start import run as show

    _wait_for_session(uid, wait_s)
    sys.exit(show("operator", uid, language=language, dark=not light))


@screen.command("setup")
@click.option("--protocol", help="The protocol that is to be run: its needs are looked at.")
@_LANGUAGE
@_LIGHT
def setup_screen(protocol: str | None, language: str, light: bool) -> None:
    """Choose the stream and look at each contact before a session; prints the command that runs it."""
    from neurofb.commands import setup

    sys.exit(setup.run(protocol, language=language, dark=not light))


@screen.command("sound")
@_UID
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the soundscape.")
@click.option("--volume", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option("--device", help="Sound device: a number or a part of its name.")
@click.option("--silent", is_flag=True, help="Play to nobody, where there is no sound device.")
@click.option("--no-rewards", is_flag=True, help="No bells for rewards.")
@click.option(
    "--speech", type=click.Path(path_type=Path, file_okay=False), help="A folder with spoken instructions."
)
@click.option("--test", is_flag=True, help="Play the range once, to set the headphones.")
def sound(uid: str | None, test: bool, no_rewards: bool, device: str | None, **options: Any) -> None:
    """Play the sound of a session, for closed eyes."""
    from neurofb.commands import sound as playing

    playing.run(uid, test=test, rewards=not no_rewards, device=device, **options)


@commands.command("latency")
@click.argument("kind", type=click.Choice(["screen", "sound"]), default="screen")
@click.option("--stream", required=True, help="The stream that records the photodiode or the cable.")
@click.option("--channel", help="Its channel: a label, or a number from 1.")
@click.option("--session-folder", type=click.Path(path_type=Path), help="Store the result there.")
@click.option("--marks", type=click.IntRange(10, 300), default=60, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", help="Sound device: a number or a part of its name.")
@click.option(
    "--corner",
    type=click.Choice(["lower left", "lower right", "upper left", "upper right"]),
    default="lower left",
    show_default=True,
)
@_JSON
def latency(as_json: bool, **options: Any) -> None:
    """Measure the true delay of the screen or the sound with a photodiode or a cable."""
    from neurofb.commands import latency as measuring

    measuring.run(measuring.Options(**options), as_json)


@commands.command("doctor")
@_JSON
def doctor(as_json: bool) -> None:
    """Look whether this computer has all that a session needs: each thing is well, or comes with its remedy."""
    from neurofb.commands import doctor as examining

    sys.exit(examining.run(as_json))


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
