"""``neurofb simulate``: a simulated head and headset that send over LSL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import SPEED, WAIT, Finite
from neurofb.errors import WrongInput

if TYPE_CHECKING:
    from neurofb.devices import DeviceProfile
    from neurofb.simulation.sender import Progress, SendPlan


@click.command("simulate")
@click.argument("device")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The same seed gives the same signal.",
)
@click.option("--eyes", type=click.Choice(["open", "closed"]), default="open", show_default=True)
@SPEED
@click.option("--duration", type=Finite(), help="Stop after so many seconds of EEG.  [default: never]")
@click.option("--rate", type=Finite(), help="Sampling rate in Hz, of those the device has.")
@click.option("--fault", "faults", multiple=True, help="As stall@10+2, loss=0.05; 'help' lists all.")
@click.option("--learn", type=Finite(), help="Listen to the feedback and learn, at this rate per minute.")
@click.option("--stamps", type=click.Choice(["device", "arrival"]), default="device", show_default=True)
@click.option("--program", help="Look like the outlet of this program, as muselsl.")
@click.option("--name", help="Name of the stream.")
@WAIT
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a document a line, for programs.")
def command(device: str, duration: float | None, wait: bool, as_json: bool, **plan: Any) -> None:
    """Send the EEG of a simulated head in DEVICE over LSL, with its faults, and the truth beside it.

    DEVICE is the name of a profile, such as muse-2, or the path of a profile of your own. Stop with Ctrl-C.
    """
    from neurofb.lsl.inlet import LslClock
    from neurofb.simulation.faults import HOW
    from neurofb.simulation.sender import Sender

    if "help" in plan["faults"]:
        click.echo(HOW)
        return
    if duration is not None and not duration > 0:
        raise WrongInput(f"--duration must be above 0 s, found {duration:g}")
    sender = Sender(plan_of(device, **plan), LslClock())
    print_document(sender.describe(), as_json)
    try:
        if wait:
            sender.wait_for_listener()
        sender.run(duration, lambda progress: _print_progress(progress, as_json))
    finally:
        print_document(sender.counts(), as_json)


def plan_of(
    device: str,
    rate: float | None = None,
    faults: Sequence[str] = (),
    learn: float | None = None,
    **settings: Any,
) -> SendPlan:
    """Return the plan that the words on the command line describe; ``settings`` are those of `SendPlan`."""
    from neurofb.devices import load_profile
    from neurofb.simulation.faults import parse_faults
    from neurofb.simulation.learner import LearnerSettings
    from neurofb.simulation.sender import SendPlan

    profile = _at_rate(load_profile(device), rate)
    program = settings.get("program")
    return SendPlan(
        profile=profile if program is None else profile.sent_by(profile.program(program)),
        faults=parse_faults(faults),
        learner=None if learn is None else LearnerSettings(rate_per_min=learn),
        **settings,
    )


def _at_rate(profile: DeviceProfile, rate_hz: float | None) -> DeviceProfile:
    if rate_hz is None:
        return profile
    if rate_hz not in profile.rates_hz:
        rates = ", ".join(f"{each:g}" for each in profile.rates_hz)
        raise WrongInput(f"{profile.title} cannot sample at {rate_hz:g} Hz; it can at {rates} Hz")
    return profile.model_copy(update={"rate_hz": rate_hz})


def _print_progress(progress: Progress, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "kind": "progress",
                    "stream_s": round(progress.stream_s, 3),
                    "late_s": round(progress.late_s, 6),
                    "listeners": progress.listeners,
                    "connected": progress.connected,
                    "gain": round(progress.gain, 6),
                    "temperature_c": round(progress.temperature_c, 3),
                }
            )
        )
        return
    link = "sending" if progress.connected else "disconnected"
    heard = "heard" if progress.listeners else "nobody listens"
    learnt = f", rhythm × {progress.gain:.3f}" if progress.gain != 1.0 else ""
    heat = f", {progress.temperature_c:.1f} °C"
    click.echo(f"\r{progress.stream_s:8.0f} s  {link}, {heard}{heat}{learnt}        ", nl=False, err=True)


def print_document(document: dict[str, Any], as_json: bool) -> None:
    """Print the description of the stream, or its counts at the end, for people or for programs."""
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    elif document["kind"] == "sending":
        click.echo(
            f"Sending {document['eeg']}: {len(document['labels'])} channels at {document['rate_hz']:g} Hz in "
            f"{document['unit']}, {document['speed']:g} × real time, seed {document['seed']}, "
            f"eyes {document['eyes']}\n"
            f"  source_id {document['source_id']}\n"
            f"  truth     {document['truth']}\n"
            f"  listens   {', '.join(document['listens'].values())}\n"
            "Ctrl-C stops."
        )
    else:
        click.echo(
            f"\nSent {document['sent']} samples: {document['delivered']} delivered, "
            f"{document['zeroed']} as zeros, "
            f"{document['lost']} lost, {document['in_flight']} on their way."
        )
