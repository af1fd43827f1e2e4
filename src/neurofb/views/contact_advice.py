"""Advice on electrode contact, such as "AF7 flat: press the sensor above the left eyebrow".

In: the state of each channel from ``dsp.quality``. Out: a line for each thing to do, the worst first; one line for a
problem that all channels share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from neurofb.devices.electrodes import ROWS, place_of
from neurofb.views.texts import Wording

Tone = Literal["good", "attention", "bad", "plain"]
#: The worst first: each explains those after it.
WORST_FIRST = ("missing", "detached", "railed", "flat", "noisy", "line noise")
#: A sign for each state that does not need colour.
GLYPHS: Mapping[str, str] = {
    "ok": "✓",
    "noisy": "≈",
    "flat": "—",
    "railed": "⊓",
    "line noise": "∿",
    "detached": "×",
    "missing": "?",
}


def tone(state: str, *, out: bool = False) -> Tone:
    """Return the tone of a channel's state; line noise and noise are tolerable, and only they."""
    if out:
        return "bad"
    return {"ok": "good", "line noise": "attention", "noisy": "attention"}.get(state, "bad")  # type: ignore[return-value]


def advice_for(label: str, state: str, wording: Wording, position: str | None = None) -> str:
    """Return the advice for one channel; empty if none is needed.

    ``position`` is the 10-05 name of its place, where the label is none.
    """
    if state not in WORST_FIRST:
        return ""
    place = wording(place_key(position or label), label=label)
    return wording(f"advice.{state.replace(' ', '_')}", label=label, place=place)


def advice(
    states: Mapping[str, str], wording: Wording, positions: Mapping[str, str] | None = None
) -> list[str]:
    """Return the advice for all channels, the worst first."""
    lines = []
    for wrong in WORST_FIRST:
        labels = [label for label, state in states.items() if state == wrong]
        if len(labels) == len(states) > 1 and wrong in ("missing", "line noise"):
            lines.append(wording(f"advice.{wrong.replace(' ', '_')}_all"))
            continue
        lines += [advice_for(label, wrong, wording, (positions or {}).get(label)) for label in labels]
    return lines


def place_key(label: str) -> str:
    """Return the key of the words for a place, as ``place.eyebrow_left`` for AF7."""
    place = place_of(label)
    if place is None:
        return "place.unknown"
    row, steps, side = place
    if row in ("A", "M"):
        return f"place.{'earlobe' if row == 'A' else 'behind_ear'}_{side}"
    if row in ("N", "Fp", "AFp", "AF", "AFF"):
        return f"place.{'eyebrow' if steps >= 3 else 'forehead'}_{side}"
    if row in ("F", "FFT", "FT", "FFC") and steps >= 3.5:
        return f"place.temple_{side}"
    if row in ("F", "FFT", "FFC", "FT", "FC", "FTT", "FCC"):
        return f"place.front_{side}"
    if row in ("T", "TTP", "TP", "C", "CP", "CCP", "TPP", "P") and steps >= 3.5:
        return (
            f"place.{'behind_ear' if steps > 4 else 'ear'}_{side}"
            if row != "P" or steps > 4
            else f"place.back_{side}"
        )
    return f"place.{'back' if ROWS[row] <= -1.5 else 'top'}_{side}"
