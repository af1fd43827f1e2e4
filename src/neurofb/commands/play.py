"""What ``neurofb play`` does and says: words in, a stream on the network, words out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofb.acquisition.play import play, wait_for_listener
from neurofb.acquisition.playback import PlaybackSource
from neurofb.acquisition.readers.open import read_recording
from neurofb.devices import load_profile
from neurofb.lsl.inlet import LslClock
from neurofb.lsl.outlet import EegOutlet

if TYPE_CHECKING:
    from rich.progress import Progress

    from neurofb.events import Event

#: LSL sends in the background and drops what is not yet sent when an outlet closes.
_LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command, as click reads them."""

    speed: float = 1.0
    loop: bool = False
    name: str | None = None
    stream: str | None = None
    device: str | None = None
    chunk: int = 8
    wait: bool = False


def run(path: Path, options: Options) -> None:
    """Play a file as an LSL stream, and say what is sent, how far it is, and what happens."""
    profile = load_profile(options.device) if options.device else None
    recording = read_recording(path, options.stream, profile)
    clock = LslClock()
    source = PlaybackSource(
        recording, clock, chunk_samples=options.chunk, speed=options.speed, loop=options.loop
    )
    outlet = EegOutlet(options.name or path.name.split(".")[0], recording.labels, recording.rate_hz)
    click.echo(
        f"Playing {path} as {outlet.name!r}: {len(recording.labels)} channels at {recording.rate_hz:g} Hz in "
        f"microvolts, {recording.duration_s:.1f} s at {options.speed:g} × real time"
        f"{', again and again' if options.loop else ''}\n"
        f"  source_id {outlet.source_id}\n"
        f"  labels    {' '.join(recording.labels)}"
    )
    for note in recording.notes:
        click.echo(f"  note      {note}")
    click.echo("Ctrl-C stops.")
    try:
        if options.wait:
            click.echo("Waiting for somebody to listen.")
            wait_for_listener(outlet, clock)
        _play_shown(source, outlet)
        clock.wait_until(clock.now_s() + _LINGER_S)
    finally:
        outlet.close()
        missing = source.n_given - outlet.n_sent
        lacking = f"; {missing} are missing in the recording" if missing else ""
        click.echo(f"Sent {outlet.n_sent} samples{lacking}.")


def _play_shown(source: PlaybackSource, outlet: EegOutlet) -> None:
    """Play with a bar on a terminal; on a pipe only events are said."""
    with _bar() as bar:
        task = bar.add_task(
            "", total=None if source.loop else len(source.recording.samples_uv) / source.rate_hz
        )

        def say(event: Event) -> None:
            bar.console.print(f"sample {event.index}: {event.message}", markup=False, highlight=False)

        play(source, outlet, lambda n_given: bar.update(task, completed=n_given / source.rate_hz), say)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    time_text = TextColumn("{task.completed:.0f} s")
    return Progress(BarColumn(), time_text, console=console, disable=not console.is_terminal)
