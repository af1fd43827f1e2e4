"""What ``neurofb screen sound`` does and says: words in, the sound of a session."""

from __future__ import annotations

from pathlib import Path

import click

from neurofb.lsl.inlet import LslClock
from neurofb.screens.sound import process
from neurofb.screens.sound.player import device_of
from neurofb.screens.start import find_session


def run(
    uid: str | None,
    *,
    test: bool,
    seed: int,
    volume: float,
    device: str | None,
    silent: bool,
    rewards: bool,
    speech: Path | None,
) -> None:
    """Play a session until it ends, or the range once for setting the headphones."""
    clock, which = LslClock(), device_of(device)
    if test:
        process.audition(clock, seed=seed, volume=volume, device=which, silent=silent, say=click.echo)
        return
    process.run(
        find_session(uid),
        clock,
        seed=seed,
        volume=volume,
        device=which,
        silent=silent,
        rewards=rewards,
        speech=speech,
        say=click.echo,
    )
