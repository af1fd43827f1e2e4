"""``neurofb devices``: headsets and thermodes as lists, or one as a sheet of facts with their sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON
from neurofb.commands.tables import show_table

if TYPE_CHECKING:
    from neurofb.devices import DeviceProfile, Program
    from neurofb.stimulation.thermode_file import ThermodeFile

LIST_HEADER = ("name", "device", "by", "channels", "rate_hz", "assumed facts")
THERMODE_HEADER = ("name", "thermode", "by", "driver", "when the computer dies", "assumed facts")
SHEET_HEADER = ("fact", "value", "known from")


@click.command("devices")
@click.argument("name", required=False)
@AS_JSON
def command(name: str | None, as_json: bool) -> None:
    """List the devices that are known, or explain one: what is known, from where, and what is assumed.

    NAME is the name of a headset, such as muse-2, or of a thermode, such as tcs-ii, or the path of a file of your own.
    """
    from neurofb.devices import load_profile

    if name and (thermode := find_thermode_file(name)):
        if as_json:
            click.echo(json.dumps(thermode_document(thermode), indent=2, ensure_ascii=False))
        else:
            show_table(thermode.title, SHEET_HEADER, thermode_sheet(thermode))
        return
    profile = load_profile(name) if name else None
    if as_json:
        document = sheet_document(profile) if profile else list_document()
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif profile:
        show_table(profile.title, SHEET_HEADER, sheet_rows(profile))
    else:
        show_table("Headsets and amplifiers", LIST_HEADER, list_rows())
        show_table("Thermodes", THERMODE_HEADER, thermode_rows())


def find_thermode_file(name_or_path: str) -> ThermodeFile | None:
    """Return the thermode of this name, or in the file at this path; None where that is something else."""
    from neurofb.stimulation.thermode_file import is_thermode, load_thermode

    return load_thermode(name_or_path) if is_thermode(name_or_path) else None


def thermode_rows() -> list[tuple[str, ...]]:
    """Return one row for each thermode, as ``THERMODE_HEADER`` names its cells."""
    from neurofb.stimulation.thermode_file import SIMULATED_THERMODE, load_thermode, thermode_names

    rows: list[tuple[str, ...]] = [
        (SIMULATED_THERMODE, "simulated thermode", "neurofb", "simulated", "returns", "all")
    ]
    for file in map(load_thermode, thermode_names()):
        assumed = str(len(file.assumed))
        rows.append((file.name, file.title, file.manufacturer, file.kind, file.limits.on_silence, assumed))
    return rows


def thermode_sheet(file: ThermodeFile) -> list[tuple[str, str, str]]:
    """Return one row for each fact of a thermode, as ``SHEET_HEADER`` names its cells."""
    tried = "never tried on this device by its authors" if file.experimental else "tried"
    rows = [("device", f"{file.title} by {file.manufacturer}", ""), ("driver", f"{file.kind}, {tried}", "")]
    rows.append(("link", file.where, file.sources["link"]))
    rows += [
        (fact, _plain(value), file.sources.get(fact, ""))
        for fact, value in file.limits.model_dump(mode="json").items()
        if value is not None and value != []
    ]
    rows.append(("when the computer dies", file.outlives(), file.sources["on_silence"]))
    return [*rows, *(("note", note, "") for note in file.notes)]


def thermode_document(file: ThermodeFile) -> dict[str, Any]:
    """Return a thermode as JSON can hold it, with the list of what is assumed."""
    return {"device": "thermode", **file.model_dump(mode="json"), "assumed": list(file.assumed)}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def list_rows() -> list[tuple[str, ...]]:
    """Return one row for each bundled profile, as ``LIST_HEADER`` names its cells."""
    from neurofb.devices import load_profiles

    return [
        (p.name, p.title, p.manufacturer, str(p.n_channels), f"{p.rate_hz:g}", str(len(p.assumed)))
        for p in load_profiles()
    ]


def sheet_rows(profile: DeviceProfile) -> list[tuple[str, str, str]]:
    """Return one row for each fact of a profile, as ``SHEET_HEADER`` names its cells."""
    disputed = ((f"disputed: {fact}", text, "") for fact, text in profile.disputed.items())
    return [*_facts(profile), *_tables(profile), *disputed, *(("note", note, "") for note in profile.notes)]


def list_document() -> list[dict[str, Any]]:
    """Return all bundled headsets and thermodes as JSON can hold them."""
    from neurofb.devices import load_profiles
    from neurofb.stimulation.thermode_file import load_thermode, thermode_names

    thermodes = [thermode_document(load_thermode(name)) for name in thermode_names()]
    return [*(sheet_document(profile) for profile in load_profiles()), *thermodes]


def sheet_document(profile: DeviceProfile) -> dict[str, Any]:
    """Return one profile as JSON can hold it, with the list of what is assumed."""
    return {**profile.model_dump(mode="json"), "assumed": list(profile.assumed)}


def _facts(profile: DeviceProfile) -> Iterator[tuple[str, str, str]]:
    sources = profile.sources
    yield "device", f"{profile.title} by {profile.manufacturer}", ""
    labels = [
        f"{each} ({profile.position(each)})" if each in profile.positions else each for each in profile.labels
    ]
    moved = "" if profile.montage == "fixed" else " (default: the user places the electrodes)"
    yield "labels", " ".join(labels) + moved, sources["labels"]
    for region, channels in profile.regions.items():
        yield f"region {region}", " ".join(channels), ""
    rates = ", ".join(f"{rate_hz:g}" for rate_hz in profile.rates_hz)
    yield (
        "rate_hz",
        f"{profile.rate_hz:g}" + (f" (one of {rates})" if profile.allowed_rates_hz else ""),
        sources["rate_hz"],
    )
    yield "unit", profile.unit, sources["unit"]
    yield "resolution_uv", _shown(profile.resolution_uv), sources.get("resolution_uv", "")
    rails_uv = profile.rails_uv
    yield (
        "rails_uv",
        f"{rails_uv[0]:g} to {rails_uv[1]:g}" if rails_uv else "not known",
        sources.get("rails_uv", ""),
    )
    yield "dc_level_uv", _shown(profile.dc_level_uv), sources["dc_level_uv"]
    yield "reference", profile.reference, sources["reference"]
    yield "ground", profile.ground, sources["ground"]


def _tables(profile: DeviceProfile) -> Iterator[tuple[str, str, str]]:
    if filters := profile.hardware_filter:
        corners = f"{_shown(filters.high_pass_hz)} to {_shown(filters.low_pass_hz)} Hz"
        notches = "".join(f", notch {notch_hz:g} Hz" for notch_hz in filters.notches_hz)
        yield "hardware filter", corners + notches, filters.source
    for stream in profile.other_streams:
        rate = f"{stream.rate_hz:g} Hz" if stream.rate_hz else "irregular"
        yield f"stream {stream.type}", f"{' '.join(stream.labels)}, {rate}, unit {stream.unit}", stream.source
    for program in profile.programs:
        yield f"program {program.program}", _program(program, profile), program.source
    if not profile.programs:
        yield "programs", "none is known that sends its EEG; a stream's own labels and unit decide", ""
    if packets := profile.packets:
        lost = "zeros" if packets.lost == "zeros" else "a gap"
        yield "packets", f"{packets.samples} samples; a lost one leaves {lost}", packets.source
    limits = profile.quality
    yield (
        "quality",
        f"flat below {limits.flat_uv:g} µV, noise above {limits.noisy_uv:g} µV (SD); mains below "
        f"{limits.line_uv:g} µV; any level",
        limits.source,
    )


def _program(program: Program, profile: DeviceProfile) -> str:
    columns = [*program.columns_before, f"{profile.n_channels} EEG", *program.columns_after]
    missing = [word for word, has in (("labels", program.has_labels), ("unit", program.has_unit)) if not has]
    parts = [
        f"stream {' or '.join(program.names)}, type {program.type}"
        if program.names or program.source_ids
        else "not recognised by its stream: name it with --program",
        "columns " + ", ".join([*columns, *(f"perhaps {each}" for each in program.columns_optional)]),
        "names no " + " and no ".join(missing) if missing else "names labels and unit",
        _values(program, profile),
        f"{program.clock} time stamps",
    ]
    if program.source_id:
        parts.append(f"source_id: {program.source_id}")
    if program.note:
        parts.append(program.note)
    return "; ".join(parts)


def _values(program: Program, profile: DeviceProfile) -> str:
    """Return what its numbers are: unit, rails, level."""
    sent = profile.sent_by(program)
    unit = f"counts of {program.uv_per_count:g} µV" if program.uv_per_count else sent.unit
    rails_uv = sent.rails_uv
    rails = "rails not known" if rails_uv is None else f"rails {rails_uv[0]:g} and {rails_uv[1]:g} µV"
    return f"sends {unit} around {sent.dc_level_uv:g} µV, {rails}"


def _shown(value: float | None) -> str:
    return "not known" if value is None else f"{value:g}"
