"""``neurofb play``: a recording as an LSL stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import SPEED, WAIT

if TYPE_CHECKING:
    from rich.progress import Progress

    from neurofb.acquisition.playback import PlaybackSource
    from neurofb.events import Event
    from neurofb.lsl.outlet import NumericOutlet

#: LSL sends in the background and drops what is not yet sent when an outlet closes.
_LINGER_S = 1.0


@click.command("play")
@click.argument("file", type=click.Path(path_type=Path))
@SPEED
@click.option("--loop", is_flag=True, help="Begin again at the end, on and on.")
@click.option("--name", help="Name of the LSL stream.  [default: the name of the file]")
@click.option("--stream", help="Which stream of an XDF file: its name, type or number.")
@click.option("--device", help="The device that was recorded: gives labels and unit a file lacks.")
@click.option("--unit", help="The unit of the file's values, such as uV or V, against whatever it says.")
@click.option("--chunk", default=8, show_default=True, help="How many samples are sent at once.")
@WAIT
def command(
    file: Path,
    name: str | None,
    stream: str | None,
    device: str | None,
    unit: str | None,
    chunk: int,
    wait: bool,
    **pace: Any,
) -> None:
    """Send the EEG in FILE over LSL as if it were recorded now, with its labels, in microvolts.

    FILE is EDF, BDF, GDF, BrainVision (.vhdr), FIF, EEGLAB (.set), XDF, or text of the OpenBCI GUI.
    """
    from neurofb.acquisition.playback import PlaybackSource, wait_for_listener
    from neurofb.acquisition.readers.open import read_recording
    from neurofb.devices import load_profile
    from neurofb.lsl.inlet import LslClock
    from neurofb.lsl.outlet import NumericOutlet, eeg_channels

    recording = read_recording(file, stream, load_profile(device) if device else None, unit)
    clock = LslClock()
    source = PlaybackSource(recording, clock, chunk_samples=chunk, **pace)
    outlet = NumericOutlet(name or file.name.split(".")[0], eeg_channels(recording.labels), recording.rate_hz)
    click.echo(
        f"Playing {file} as {outlet.name!r}: {len(recording.labels)} channels at {recording.rate_hz:g} Hz in "
        f"microvolts, {recording.duration_s:.1f} s at {pace['speed']:g} × real time"
        f"{', again and again' if pace['loop'] else ''}\n"
        f"  source_id {outlet.source_id}\n"
        f"  labels    {' '.join(recording.labels)}"
    )
    for note in recording.notes:
        click.echo(f"  note      {note}")
    click.echo("Ctrl-C stops.")
    try:
        if wait:
            click.echo("Waiting for somebody to listen.")
            wait_for_listener(outlet, clock)
        _play_shown(source, outlet)
        if outlet.has_listeners():
            clock.wait_until(clock.now_s() + _LINGER_S)
    finally:
        outlet.close()
        missing = source.n_played - outlet.n_sent
        lacking = f"; {missing} are missing in the recording" if missing else ""
        click.echo(f"Sent {outlet.n_sent} samples{lacking}.")


def _play_shown(source: PlaybackSource, outlet: NumericOutlet) -> None:
    """Play with a progress bar on a terminal; a pipe gets the events alone."""
    from neurofb.acquisition.playback import play

    with _bar() as bar:
        task = bar.add_task("", total=None if source.loop else source.recording.duration_s)

        def print_event(event: Event) -> None:
            bar.console.print(f"sample {event.index}: {event.message}", markup=False, highlight=False)

        play(
            source,
            outlet,
            lambda n_played: bar.update(task, completed=n_played / source.rate_hz),
            print_event,
        )


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    time_text = TextColumn("{task.completed:.0f} s")
    return Progress(BarColumn(), time_text, console=console, disable=not console.is_terminal)
