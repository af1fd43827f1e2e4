"""What ``neurofb simulate`` does and says: words in, a running ``Sender``, words out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from neurofb.devices import load_profile
from neurofb.errors import WrongInput
from neurofb.lsl.inlet import LslClock
from neurofb.simulation.faults import HOW, parse_faults
from neurofb.simulation.head import EyesState
from neurofb.simulation.learner import LearnerSettings
from neurofb.simulation.sender import Progress, Sender, SendPlan

if TYPE_CHECKING:
    from neurofb.devices import DeviceProfile


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command, as click reads them."""

    seed: int = 0
    eyes: EyesState = "open"
    speed: float = 1.0
    duration: float | None = None
    rate: float | None = None
    faults: Sequence[str] = ()
    learn: float | None = None
    stamps: Literal["device", "arrival"] = "device"
    program: str | None = None
    name: str | None = None
    wait: bool = False


def plan_of(device: str, options: Options) -> SendPlan:
    """Return the plan that the words on the command line describe."""
    return SendPlan(
        profile=_at_rate(load_profile(device), options.rate),
        seed=options.seed,
        eyes=options.eyes,
        speed=options.speed,
        faults=parse_faults(options.faults),
        learner=None if options.learn is None else LearnerSettings(rate_per_min=options.learn),
        stamps=options.stamps,
        program=options.program,
        name=options.name,
    )


def _at_rate(profile: DeviceProfile, rate_hz: float | None) -> DeviceProfile:
    if rate_hz is None:
        return profile
    if rate_hz not in profile.rates_hz:
        rates = ", ".join(f"{each:g}" for each in profile.rates_hz)
        raise WrongInput(f"{profile.title} cannot sample at {rate_hz:g} Hz; it can at {rates} Hz")
    return profile.model_copy(update={"rate_hz": rate_hz})


def run(device: str, options: Options, as_json: bool) -> None:
    """Send until the time is over or somebody stops it, and say what is sent, how it goes and what it was."""
    if "help" in options.faults:
        click.echo(HOW)
        return
    if options.duration is not None and not options.duration > 0:
        raise WrongInput(f"--duration must be above 0 s, found {options.duration:g}")
    sender = Sender(plan_of(device, options), LslClock())
    say_document(sender.document(), as_json)
    try:
        if options.wait:
            sender.wait_for_listener()
        sender.run(options.duration, lambda progress: _say_progress(progress, as_json))
    finally:
        say_document(sender.account(), as_json)


def _say_progress(progress: Progress, as_json: bool) -> None:
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


def say_document(document: dict[str, Any], as_json: bool) -> None:
    """Print what is sent, or what became of it, for people or for programs."""
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
