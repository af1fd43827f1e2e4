"""What goes wrong with the simulated thermode, each fault with its time.

Times are seconds since the thermode was connected. As text a fault is ``kind@start``, ``kind@start+duration`` or
``kind@start+duration:value``; without a duration it stays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from neurofb.errors import UnknownName, WrongInput, nearest

HeatFaultKind = Literal["stuck", "runaway", "deaf_runaway", "lost", "wrong_readback", "stale"]

#: Kinds, and what each does.
KINDS: dict[str, str] = {
    "stuck": "the probe stays as it is; only cutting the power lets it cool",
    "runaway": "the probe heats with full power whatever is commanded, until the power is cut",
    "deaf_runaway": "the same, and it does not hear the abort: the device's own cut-off ends it",
    "lost": "nothing comes from the device and nothing reaches it",
    "wrong_readback": "the probe is as commanded, what is read is off by so many °C",
    "stale": "the same old reading comes again and again",
}
_FORM = re.compile(r"(?P<kind>\w+)@(?P<at>[\d.]+)(?:\+(?P<last>[\d.]+))?(?::(?P<value>-?[\d.]+))?")
HOW = (
    "write stuck@12.5 (from 12.5 s on), runaway@3+2 (at 3 s for 2 s), deaf_runaway@3, lost@5+1, stale@6+3, or "
    "wrong_readback@4+10:-2 (reads 2 °C too low)"
)


@dataclass(frozen=True, slots=True)
class HeatFault:
    """One fault: its kind, when it starts and ends, and by how many °C a wrong reading is off."""

    kind: HeatFaultKind
    at_s: float
    lasts_s: float = math.inf
    by_c: float = 3.0

    def is_on(self, t_s: float) -> bool:
        """Return whether it is there, ``t_s`` seconds after the start."""
        return self.at_s <= t_s < self.at_s + self.lasts_s


def parse_heat_faults(texts: Sequence[str]) -> tuple[HeatFault, ...]:
    """Read faults as they are given on the command line.

    Raises
    ------
    WrongInput
        If one cannot be read; the message shows how to write it.
    """
    return tuple(_read(text) for text in texts)


def _read(text: str) -> HeatFault:
    found = _FORM.fullmatch(text)
    if found is None:
        raise WrongInput(f"the thermode's fault {text!r} cannot be read; {HOW}")
    if found["kind"] not in KINDS:
        raise UnknownName(f"no thermode fault {found['kind']!r}; {nearest(found['kind'], KINDS)}; {HOW}")
    if found["value"] is not None and found["kind"] != "wrong_readback":
        raise WrongInput(f"only wrong_readback has a value in °C: found {text!r}; {HOW}")
    try:
        numbers = [None if found[key] is None else float(found[key]) for key in ("at", "last", "value")]
    except ValueError:
        raise WrongInput(f"the thermode's fault {text!r} has something that is no number; {HOW}") from None
    at_s, lasts_s, by_c = numbers
    return HeatFault(
        cast(HeatFaultKind, found["kind"]),
        at_s or 0.0,
        math.inf if lasts_s is None else lasts_s,
        3.0 if by_c is None else by_c,
    )
