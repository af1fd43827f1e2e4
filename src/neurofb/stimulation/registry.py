"""Which drivers there are: ours, and those that other packages bring (entry points ``neurofb.stimulators``).

In: the kind of a driver, and what it is made from. Out: the driver. Kept: nothing.

A package of a lab adds its own in its ``pyproject.toml``, with a callable that takes a ``DriverSetup``:

    [project.entry-points."neurofb.stimulators"]
    mine = "my_package.thermode:make"
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from neurofb.clock import Clock
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.stimulation.driver import StimulatorDriver
from neurofb.stimulation.thermode_file import SIMULATED_THERMODE, ThermodeFile, load_thermode, thermode_names

GROUP = "neurofb.stimulators"


@dataclass(frozen=True, slots=True)
class DriverSetup:
    """What a driver is made from."""

    clock: Clock
    #: Of a simulated device's noise.
    seed: int = 0
    #: What goes wrong with a simulated device.
    faults: Sequence[str] = ()
    #: The device's description; None for the simulated thermode, which needs none.
    file: ThermodeFile | None = None


Maker = Callable[[DriverSetup], StimulatorDriver]

#: Our drivers, by their kind: the module and the function that makes one.
OURS: Mapping[str, str] = {
    "simulated": "neurofb.stimulation.drivers.simulated:make",
    "mms": "neurofb.stimulation.drivers.mms:make",
    "tcs2": "neurofb.stimulation.drivers.tcs2:make",
    "tsa2": "neurofb.stimulation.drivers.tsa2:make",
}
#: Those that heat nobody. A driver of another package is never one of them, whatever it says of itself.
SIMULATED = ("simulated",)


def theirs() -> dict[str, EntryPoint]:
    """Return the drivers that other packages bring, by their kind.

    Raises
    ------
    WrongInput
        If two have the same kind, or one has that of ours: nobody could know which one heats.
    """
    found: dict[str, EntryPoint] = {}
    for each in entry_points(group=GROUP):
        other = OURS.get(each.name) or (found[each.name].value if each.name in found else None)
        if other is not None and other != each.value:
            raise WrongInput(
                f"two drivers call themselves {each.name!r}: {other} and {each.value}; uninstall one, or rename it in "
                f"its entry point of the group {GROUP}"
            )
        found[each.name] = each
    return found


def kinds() -> list[str]:
    """Return the kinds of all drivers, sorted."""
    return sorted({*OURS, *theirs()})


def maker_of(kind: str) -> Maker:
    """Return what makes a driver of this kind.

    Raises
    ------
    UnknownName
        If there is none.
    """
    if kind in OURS:
        module, _, name = OURS[kind].partition(":")
        maker: Maker = getattr(importlib.import_module(module), name)
        return maker
    others = theirs()
    if kind not in others:
        raise UnknownName(
            f"no stimulator {kind!r}; {nearest(kind, kinds())}; a package of your own brings one as an entry point of "
            f"{GROUP}"
        )
    brought: Maker = others[kind].load()
    return brought


def find_thermode(name_or_path: str) -> ThermodeFile | None:
    """Return the description of a thermode whose driver exists; None for the simulated one.

    Raises
    ------
    UnknownName, WrongFile
        If there is no such thermode, something is wrong in its file, or nothing can speak to it.
    """
    if name_or_path == SIMULATED_THERMODE:
        return None
    names = [SIMULATED_THERMODE, *thermode_names()]
    is_path = name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path
    if not is_path and name_or_path not in names:
        raise UnknownName(
            f"no stimulator {name_or_path!r}; {nearest(name_or_path, names)}; say which with --thermode: a name, or "
            "the path of a file"
        )
    file = load_thermode(name_or_path)
    if file.kind in SIMULATED:
        raise WrongInput(
            f"{name_or_path}: the simulated thermode needs no file; give --thermode {SIMULATED_THERMODE}"
        )
    maker_of(file.kind)
    return file


def make_driver(
    kind: str, clock: Clock, seed: int = 0, faults: Sequence[str] = (), file: ThermodeFile | None = None
) -> StimulatorDriver:
    """Return the driver of a stimulator, not connected yet.

    Raises
    ------
    UnknownName
        If there is none of that kind.
    """
    return maker_of(kind)(DriverSetup(clock, seed, faults, file))
