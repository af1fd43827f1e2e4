"""Whole sessions drawn from a number: a protocol, and all that goes wrong around it.

In: a seed. Out: a `DrawnSession`, plain data that prints as it can be pasted; its protocol as text. Kept: nothing.

Each part is drawn from numbers of its own (seed and the part's name), so that a part that is added, or left out while
a failing session is made smaller, changes none of the others. Of Python's generator only ``random()`` is used: no
other of its methods is promised to stay as it is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from neurofb.protocol.checks.order_check import MOVE_S

T = TypeVar("T")

SITES = ("left forearm", "right forearm", "left calf", "right calf")
#: What a participant does with questions: answers as felt, not at all, always the same, without sense.
RATERS = ("felt", "felt", "silent", "ninety_five", "two", "wild")
#: Faults of the simulated thermode, and how often each is drawn.
DEVICE_FAULTS = ("stuck", "runaway", "deaf_runaway", "lost", "wrong_readback", "stale")
#: Commands, with what each is asked with; those that end a session are rare, or no session would come far.
COMMANDS = (
    "pause",
    "resume",
    "pause",
    "resume",
    "continue",
    "mark",
    "rating",
    "button",
    "nonsense",
    "heat",
) * 2 + (
    "stop_heat",
    "stop_heat",
    "stop",
    "end",
)
ACCIDENTS = (
    "engine killed",
    "engine killed",
    "engine hangs",
    "watchdog killed",
    "watchdog hangs",
    "both killed",
    "interrupt",
    "disk full",
    "program error",
)
STREAM_FAULTS = ("waits", "never", "stall", "gap", "gone", "jump", "bad", "rate", "ends")
FORMS = ("signed", "unsigned", "replayed", "other session", "another's key")


class Draw:
    """Numbers for one part of a session."""

    def __init__(self, seed: int, part: str) -> None:
        self._next = random.Random(f"{seed} {part}").random

    def chance(self, share: float) -> bool:
        """Return True in this share of the draws."""
        return self._next() < share

    def one_of(self, among: Sequence[T]) -> T:
        """Return one of several."""
        return among[int(self._next() * len(among))]

    def count(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        return low + int(self._next() * (high - low + 1))

    def between(self, low: float, high: float) -> float:
        """Return a number with two decimals; one in five is an end, where things fall together."""
        how, value = self._next(), low + (high - low) * self._next()
        if how < 0.2:
            value = low if how < 0.1 else high
        return round(value, 2)


@dataclass(frozen=True)
class DrawnSession:
    """One whole session. Times are in seconds of the session; without an argument nothing goes wrong in it."""

    seed: int = 0
    #: How many places, and how they follow one another.
    sites: int = 1
    rotation: str = "fixed"
    cap_c: float = 49.0
    baseline_c: float = 32.0
    rise_c_per_s: float = 8.0
    return_c_per_s: float = 8.0
    #: °C and seconds of each stimulus level.
    levels: tuple[tuple[float, float], ...] = ((45.0, 1.0),)
    budget: float = 1.0
    calibrates: bool = False
    #: A block of feedback with its baseline, or heat alone.
    trains: bool = False
    trials: int = 2
    blocks: int = 1
    relief_s: float = 8.01
    asks: bool = True
    #: An instruction that waits for somebody comes first.
    waits: bool = False
    rater: str = "felt"
    needs_eeg: bool = True
    #: With --unattended-simulation.
    unattended: bool = False
    #: The operator takes so long to put the probe where it is asked for.
    moves_s: float = 0.5
    device_faults: tuple[str, ...] = ()
    #: Kind, start, and what else the kind needs (``whole_sessions.Sender``).
    stream_faults: tuple[tuple[Any, ...], ...] = ()
    #: When, command, form, how many of it at once.
    acts: tuple[tuple[float, str, str, int], ...] = ()
    #: Windows: which, from when, until when.
    views: tuple[tuple[str, float, float], ...] = (("operator", 0.0, 1e9), ("participant", 0.0, 1e9))
    #: Nothing, or: what happens to which process, when, for how long.
    accident: tuple[Any, ...] = ()
    #: "local": the guard in the engine; "watchdog": in a process of its own, which outlives it.
    guard: str = "watchdog"
    pull_s: float = 0.005

    def __repr__(self) -> str:
        usual = DrawnSession()
        changed = [f.name for f in fields(self) if getattr(self, f.name) != getattr(usual, f.name)]
        return f"DrawnSession({', '.join(f'{name}={getattr(self, name)!r}' for name in changed)})"

    @property
    def lasts_s(self) -> float:
        """About how long the session is by its plan."""
        moves_s = MOVE_S * (self.sites > 1) * (self.blocks - 1 + self.calibrates)
        moves_s += 4.0  # before the first stimulus
        if self.calibrates:
            return 75.0 + moves_s
        heat_s = max(plateau_s for _, plateau_s in self.levels) + 18.0 / min(self.return_c_per_s, 18.0) + 1.0
        return (
            2.0 * self.waits
            + 9.5 * self.trains
            + self.blocks * self.trials * (heat_s + self.relief_s + 1.0)
            + moves_s
        )

    def smaller(self) -> Iterator[DrawnSession]:
        """Return this session with each part that differs from the usual left out, one at a time."""
        usual = DrawnSession()
        for field in fields(self):
            if field.name == "seed" or getattr(self, field.name) == getattr(usual, field.name):
                continue
            value = getattr(self, field.name)
            if (
                isinstance(value, tuple)
                and len(value) > 1
                and field.name in ("device_faults", "stream_faults", "acts")
            ):
                for i in range(len(value)):
                    yield replace(self, **{field.name: value[:i] + value[i + 1 :]})
            yield replace(self, **{field.name: getattr(usual, field.name)})

    def protocol(self) -> str:
        """Return the protocol as a file's text."""
        names = [f"level_{i}" for i in range(len(self.levels))]
        order = [names[i % len(names)] for i in range(self.trials)]
        needs = "" if self.needs_eeg else "[needs]\neeg = false\n"
        parts = [_HEAD, needs, _TRAINS if self.trains else "", self._heat(names)]
        if self.calibrates:
            parts.append(_CALIBRATION)
        if self.asks or self.calibrates:
            parts.append(_SCALE)
        if self.waits:
            parts.append(_WAITS)
        if self.trains:
            parts.append(_REST)
        if self.calibrates:
            parts.append('[[phases]]\nname = "finding"\nkind = "calibration"\nduration_s = 100.0\n')
        for block in range(self.blocks):
            if self.sites > 1 and (block or self.calibrates):
                parts.append(_MOVE.replace("move", f"move_{block}"))
            kind = 'kind = "training"\nfeedback = "rest"' if self.trains else 'kind = "heat"'
            ratings = 'ratings = ["intensity"]\n' if self.asks else ""
            parts.append(
                f'[[phases]]\nname = "block_{block}"\n{kind}\n[phases.trials]\norder = {order!r}\n'
                f"lead_s = 1.5\nrelief_s = {self.relief_s}\n{ratings}".replace("'", '"')
            )
        return "\n".join(parts)

    def _heat(self, names: Sequence[str]) -> str:
        sites = ", ".join(f'"{site}"' for site in SITES[: self.sites])
        text = (
            f'[heat]\nsites = [{sites}]\nrotation = "{self.rotation}"\nbaseline_c = {self.baseline_c}\n'
            f"rise_c_per_s = {self.rise_c_per_s}\nreturn_c_per_s = {self.return_c_per_s}\ncap_c = {self.cap_c}\n"
            f"budget = {self.budget}\n"
        )
        for i, (name, (celsius, plateau_s)) in enumerate(zip(names, self.levels, strict=True)):
            found = self.calibrates and i == 0
            heat = f"pain = 60.0\nfallback_c = {min(celsius, 45.0)}" if found else f"celsius = {celsius}"
            text += f"[heat.levels.{name}]\n{heat}\nplateau_s = {plateau_s}\n"
        return text


def draw_session(seed: int) -> DrawnSession:
    """Return the session of a seed."""
    session = _protocol(seed)
    until_s = session.lasts_s
    draw = Draw(seed, "device")
    n_faults = draw.one_of((0, 0, 1, 1, 1, 2)) if draw.chance(0.6) else 0
    faults = tuple(_device_fault(draw, until_s) for _ in range(n_faults))
    draw = Draw(seed, "stream")
    stream = tuple(
        _stream_fault(draw, until_s) for _ in range(draw.one_of((1, 1, 2)) if draw.chance(0.5) else 0)
    )
    draw = Draw(seed, "how")
    guard = draw.one_of(("watchdog", "watchdog", "local"))
    return replace(
        session,
        device_faults=faults,
        stream_faults=stream,
        acts=_acts(Draw(seed, "acts"), until_s),
        views=_views(Draw(seed, "views"), until_s),
        accident=_accident(Draw(seed, "accident"), until_s),
        guard=guard,
        # A local guard is stepped by the engine, and never with a person; the watchdog keeps its own pace.
        pull_s=draw.one_of((0.005, 0.01) if guard == "local" else (0.005, 0.01, 0.02)),
        moves_s=draw.one_of((0.2, 0.5, 0.5, 1.0, 4.0)),
        needs_eeg=session.trains or not draw.chance(0.1),
        unattended=draw.chance(0.2),
    )


def _protocol(seed: int) -> DrawnSession:
    draw = Draw(seed, "protocol")
    cap_c = draw.between(44.0, 49.0)
    baseline_c = draw.between(30.0, 35.0)
    sites = draw.count(1, 4)
    calibrates = draw.chance(0.12)
    rotation = draw.one_of(("fixed", "by block", "by trial"))
    levels = tuple(
        (min(cap_c, draw.between(40.0, 49.0)), draw.between(0.2, 2.5)) for _ in range(draw.one_of((1, 1, 2)))
    )
    trains = draw.chance(0.35)
    blocks = 2 if not (trains or calibrates) and draw.chance(0.3) else 1
    return DrawnSession(
        seed=seed,
        sites=sites,
        rotation=rotation,
        cap_c=cap_c,
        baseline_c=baseline_c,
        rise_c_per_s=draw.between(4.0, 70.0),
        return_c_per_s=draw.between(6.0, 40.0),
        levels=levels,
        budget=draw.one_of((1.0, 1.0, 1.0, 0.3)),
        calibrates=calibrates,
        trains=trains,
        trials=1 if trains or blocks == 2 else draw.count(1, 2),
        blocks=blocks,
        relief_s=MOVE_S + 0.01 if sites > 1 and rotation == "by trial" else 8.01,
        asks=draw.chance(0.7),
        waits=draw.chance(0.2),
        rater=draw.one_of(RATERS),
    )


def _device_fault(draw: Draw, until_s: float) -> str:
    kind, at_s = draw.one_of(DEVICE_FAULTS), draw.between(0.5, until_s)
    lasts = f"+{draw.between(0.05, 4.0)}" if draw.chance(0.5) else ""
    return f"{kind}@{at_s}{lasts}" + (f":{draw.between(-4.0, 4.0)}" if kind == "wrong_readback" else "")


def _stream_fault(draw: Draw, until_s: float) -> tuple[Any, ...]:
    kind = draw.one_of(STREAM_FAULTS)
    at_s, lasts_s = draw.between(0.0, until_s), draw.between(0.1, 5.0)
    if kind == "rate":
        return kind, 0.0, draw.one_of((0.5, 0.9, 1.1, 2.0))
    if kind == "jump":
        return kind, at_s, draw.one_of((-30.0, -1.0, -0.1, 0.1, 1.0, 30.0))
    if kind == "bad":
        return kind, at_s, lasts_s, draw.one_of(("nan", "inf", "-inf", "1e300"))
    return (kind, at_s, lasts_s) if kind in ("stall", "gap", "gone") else (kind, at_s)


def _acts(draw: Draw, until_s: float) -> tuple[tuple[float, str, str, int], ...]:
    found = []
    for _ in range(draw.one_of((0, 1, 2, 4, 8))):
        flood = draw.one_of((30, 200)) if draw.chance(0.1) else 1
        form = draw.one_of(FORMS) if draw.chance(0.5) else "signed"
        found.append((draw.between(0.0, until_s), draw.one_of(COMMANDS), form, flood))
    return tuple(sorted(found))


def _views(draw: Draw, until_s: float) -> tuple[tuple[str, float, float], ...]:
    found = []
    for which in ("operator", "participant"):
        born_s = draw.between(0.0, 0.4 * until_s) if draw.chance(0.15) else 0.0
        dies_s = draw.between(0.0, until_s) if draw.chance(0.2) else 1e9
        if not draw.chance(0.1):
            found.append((which, born_s, dies_s))
    return tuple(found)


def _accident(draw: Draw, until_s: float) -> tuple[Any, ...]:
    if not draw.chance(0.5):
        return ()
    kind = draw.one_of(ACCIDENTS)
    return kind, draw.between(0.1, until_s), draw.between(0.1, 4.0)


_HEAD = """neurofb = ">=0.1"
[study]
id = "drawn"
title = "A session that was drawn"
status = "adapted"
[[features]]
preset = "frontal_midline_theta"
"""
_TRAINS = """[feedback]
feature = "frontal_midline_theta"
[baseline]
least_s = 3.0
longest_s = 8.0
"""
_MOVE = f'[[phases]]\nname = "move"\nkind = "pause"\nduration_s = {MOVE_S}\n'
_CALIBRATION = """[calibration]
limits_n = 1
limits_c_per_s = 4.0
ladder_n = 3
least_answers = 3
plateau_s = 0.5
verify_n = 1
"""
_SCALE = """[[scales]]
name = "intensity"
kind = "vas"
asks = "intensity"
question = "How strong was it?"
low = "not at all"
high = "as strong as I can imagine"
answer_s = 1.0
"""
_WAITS = """[[phases]]
name = "welcome"
kind = "instruction"
text = "Sit comfortably."
waits = true
duration_s = 2.0
"""
_REST = """[[phases]]
name = "rest"
kind = "rest_baseline"
duration_s = 7.5
"""
