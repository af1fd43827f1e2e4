"""``neurofb streams``: the LSL streams on the network, each with the device profiles that fit it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON, Finite
from neurofb.commands.tables import show_table
from neurofb.errors import StreamMissing

if TYPE_CHECKING:
    from neurofb.lsl.matching import ProfileMatch, StreamInfo

HEADER = ("stream", "type", "channels", "rate_hz", "device that fits", "why", "missing", "from")


@click.command("streams")
@click.option(
    "--wait",
    "wait_s",
    type=Finite(0, 600, min_open=True),
    default=2.0,
    show_default=True,
    help="How long to look, in seconds.",
)
@AS_JSON
def command(wait_s: float, as_json: bool) -> None:
    """List the LSL streams on the network: which device fits each, why, and what it does not say itself."""
    found = find(wait_s)
    if as_json:
        click.echo(json.dumps(document(found), indent=2, ensure_ascii=False))
    else:
        show_table("Streams", HEADER, rows(found))


def find(wait_s: float) -> list[tuple[StreamInfo, list[ProfileMatch]]]:
    """Return all streams that show themselves within ``wait_s`` seconds, each with the profiles that fit best.

    Raises
    ------
    StreamMissing
        If there are none.
    """
    from neurofb.devices import load_profiles
    from neurofb.lsl.inlet import find_streams
    from neurofb.lsl.matching import NOTHING_SEEN, best_matches

    seen = [facts for facts, _ in find_streams(wait_s=wait_s)]
    if not seen:
        raise StreamMissing(f"looked for LSL streams for {wait_s:g} s. {NOTHING_SEEN}")
    seen.sort(key=lambda facts: (facts.type.lower() != "eeg", facts.name, facts.uid))
    profiles = load_profiles()
    return [(facts, best_matches(facts, profiles)) for facts in seen]


def rows(seen: Sequence[tuple[StreamInfo, list[ProfileMatch]]]) -> list[tuple[str, ...]]:
    """Return one row for each stream, as ``HEADER`` names its cells."""
    return [
        (
            facts.name,
            facts.type,
            str(facts.n_channels),
            f"{facts.rate_hz:g}" if facts.rate_hz else "irregular",
            " or ".join(each.profile.name for each in fits) or "none",
            "; ".join(fits[0].reasons) if fits else _why_none(facts),
            "; ".join(_missing(facts, fits)),
            facts.hostname,
        )
        for facts, fits in seen
    ]


def document(seen: Sequence[tuple[StreamInfo, list[ProfileMatch]]]) -> list[dict[str, Any]]:
    """Return the streams as JSON can hold them."""
    return [
        {
            "name": facts.name,
            "type": facts.type,
            "source_id": facts.source_id,
            "uid": facts.uid,
            "hostname": facts.hostname,
            "n_channels": facts.n_channels,
            "rate_hz": facts.rate_hz,
            "value_format": facts.value_format,
            "labels": list(facts.labels),
            "units": list(facts.units),
            "missing": _missing(facts, fits),
            "fits": [
                {"device": each.profile.name, "reasons": list(each.reasons), "missing": list(each.missing)}
                for each in fits
            ],
        }
        for facts, fits in seen
    ]


def _missing(facts: StreamInfo, fits: Sequence[ProfileMatch]) -> list[str]:
    if fits:
        return list(fits[0].missing)
    if facts.type.strip().lower() != "eeg":
        return []
    return [word for word, has in (("labels", bool(facts.labels)), ("unit", any(facts.units))) if not has]


def _why_none(facts: StreamInfo) -> str:
    if facts.type.strip().lower() != "eeg":
        return f"type {facts.type or 'not given'}, not EEG"
    from neurofb.devices import load_profiles
    from neurofb.lsl.matching import match_profile

    named = [
        profile for profile in load_profiles() if any(each.fits_name(facts.name) for each in profile.programs)
    ]
    if named:
        return f"named as {named[0].title}, but {'; '.join(match_profile(facts, named[0]).against)}"
    return "no known device; labels and unit of its own are enough" if facts.labels else "no known device"
