"""``neurofb latency``: the true delay of screen or sound, by a photodiode or a cable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON
from neurofb.commands.tables import show_table

if TYPE_CHECKING:
    from neurofb.clock import Clock
    from neurofb.screens.latency.measurement import DelayTest, Present

HEADER = ("what", "value")


@click.command("latency")
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
@AS_JSON
def command(as_json: bool, **test: Any) -> None:
    """Measure the true delay of the screen or the sound with a photodiode or a cable."""
    from neurofb.lsl.inlet import LslClock
    from neurofb.screens.latency.measurement import DelayTest, presenter

    asked = DelayTest(**test)
    guide_and_measure(asked, as_json, LslClock(), presenter(asked))


def guide_and_measure(test: DelayTest, as_json: bool, clock: Clock, present: Present) -> None:
    """Guide through the test, print the result, store it with the session."""
    from neurofb.screens.latency.analysis import store
    from neurofb.screens.latency.measurement import measure

    click.echo(_guide(test), err=True)
    if test.kind == "sound":
        click.pause("Press a key to begin …", err=True)
    document = measure(test, clock, present)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        show_table(f"Delay of the {test.kind}", HEADER, rows(document))
    if test.session_folder is not None:
        click.echo(f"stored: {store(test.session_folder, document)}", err=True)


def rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the result as ``HEADER`` names its cells."""
    found = document["n_marks"] - document["n_missed"]
    return [
        ("delay, median", f"{document['median_ms']:.1f} ms"),
        ("half of them within", f"{document['q1_ms']:.1f} to {document['q3_ms']:.1f} ms"),
        ("all of them within", f"{document['least_ms']:.1f} to {document['most_ms']:.1f} ms"),
        ("marks found", f"{found} of {document['n_marks']}"),
        ("known to", f"± {document['resolution_ms']:.2f} ms ({document['rate_hz']:.0f} Hz)"),
        ("a mark", "raises the channel" if document["polarity"] > 0 else "lowers the channel"),
        ("recorded by", f"{document['stream']}, channel {document['channel']}"),
    ]


def _guide(test: DelayTest) -> str:
    from neurofb.screens.latency.marks import LEAST_GAP_S, MOST_GAP_S

    how = (
        f"A patch in the {test.corner} corner turns white {test.marks} times. Lay the photodiode on it; Space "
        "begins, Escape ends."
        if test.kind == "screen"
        else f"{test.marks} clicks are played. Take the headphones off; lead a cable from the sound output to the "
        "channel."
    )
    lasts_s = test.marks * 0.5 * (LEAST_GAP_S + MOST_GAP_S)
    return (
        f"{how} It takes about {lasts_s:.0f} s. Recorded is the stream {test.stream!r}, which must be "
        "running; the delay counts from the order to the light or sound, the EEG's own delay is not in it."
    )
