"""What is known of a device, laid out for a person: the rows of ``neurofb devices``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neurofb.devices import DeviceProfile, Outlet, load_profile, profile_names

LIST_HEADER = ("name", "device", "by", "channels", "rate_hz", "assumed facts")
SHEET_HEADER = ("fact", "value", "known from")


def list_rows() -> list[tuple[str, ...]]:
    """Return one row for each bundled profile, as ``LIST_HEADER`` names its cells."""
    profiles = [load_profile(name) for name in profile_names()]
    return [
        (p.name, p.title, p.manufacturer, str(p.n_channels), f"{p.rate_hz:g}", str(len(p.assumed)))
        for p in profiles
    ]


def sheet_rows(profile: DeviceProfile) -> list[tuple[str, str, str]]:
    """Return one row for each fact of a profile, as ``SHEET_HEADER`` names its cells."""
    return [*_facts(profile), *_tables(profile), *(("note", note, "") for note in profile.notes)]


def list_document() -> list[dict[str, Any]]:
    """Return all bundled profiles as JSON can hold them."""
    return [sheet_document(load_profile(name)) for name in profile_names()]


def sheet_document(profile: DeviceProfile) -> dict[str, Any]:
    """Return one profile as JSON can hold it, with the list of what is assumed."""
    return {**profile.model_dump(mode="json"), "assumed": list(profile.assumed)}


def _facts(profile: DeviceProfile) -> Iterator[tuple[str, str, str]]:
    known = profile.sources
    yield "device", f"{profile.title} by {profile.manufacturer}", ""
    placed = [
        f"{each} ({profile.position(each)})" if each in profile.positions else each for each in profile.labels
    ]
    moved = "" if profile.montage == "fixed" else " (default: the user places the electrodes)"
    yield "labels", " ".join(placed) + moved, known["labels"]
    for region, channels in profile.regions.items():
        yield f"region {region}", " ".join(channels), ""
    rates = ", ".join(f"{rate_hz:g}" for rate_hz in profile.rates_hz)
    yield (
        "rate_hz",
        f"{profile.rate_hz:g}" + (f" (one of {rates})" if profile.allowed_rates_hz else ""),
        known["rate_hz"],
    )
    yield "unit", profile.unit, known["unit"]
    yield "resolution_uv", _shown(profile.resolution_uv), known.get("resolution_uv", "")
    rails_uv = profile.rails_uv
    yield (
        "rails_uv",
        f"{rails_uv[0]:g} to {rails_uv[1]:g}" if rails_uv else "not known",
        known.get("rails_uv", ""),
    )
    yield "dc_level_uv", _shown(profile.dc_level_uv), known["dc_level_uv"]
    yield "reference", profile.reference, known["reference"]
    yield "ground", profile.ground, known["ground"]


def _tables(profile: DeviceProfile) -> Iterator[tuple[str, str, str]]:
    if filters := profile.hardware_filter:
        corners = f"{_shown(filters.high_pass_hz)} to {_shown(filters.low_pass_hz)} Hz"
        notches = "".join(f", notch {notch_hz:g} Hz" for notch_hz in filters.notches_hz)
        yield "hardware filter", corners + notches, filters.source
    for stream in profile.other_streams:
        rate = f"{stream.rate_hz:g} Hz" if stream.rate_hz else "irregular"
        yield f"stream {stream.type}", f"{' '.join(stream.labels)}, {rate}, unit {stream.unit}", stream.source
    for outlet in profile.lsl:
        yield f"LSL {outlet.program}", _outlet(outlet, profile), outlet.source
    if not profile.lsl:
        yield "LSL", "no outlet is known", ""
    if packets := profile.packets:
        lost = "zeros" if packets.lost == "zeros" else "a gap"
        yield "packets", f"{packets.samples} samples; a lost one leaves {lost}", packets.source
    limits = profile.quality
    yield (
        "quality",
        f"flat below {limits.flat_uv:g} µV, noise above {limits.noisy_uv:g} µV (SD); level within "
        f"{limits.max_dc_uv:g} µV; mains below {limits.line_uv:g} µV",
        limits.source,
    )


def _outlet(outlet: Outlet, profile: DeviceProfile) -> str:
    columns = [*outlet.columns_before, f"{profile.n_channels} EEG", *outlet.columns_after]
    missing = [word for word, has in (("labels", outlet.has_labels), ("unit", outlet.has_unit)) if not has]
    parts = [
        f"name {' or '.join(outlet.names)}, type {outlet.type}",
        "columns " + ", ".join([*columns, *(f"perhaps {each}" for each in outlet.columns_optional)]),
        "names no " + " and no ".join(missing) if missing else "names labels and unit",
        f"{outlet.clock} time stamps",
    ]
    if outlet.source_id:
        parts.append(f"source_id: {outlet.source_id}")
    return "; ".join(parts)


def _shown(value: float | None) -> str:
    return "not known" if value is None else f"{value:g}"
