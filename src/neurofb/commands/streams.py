"""``neurofb streams``: the LSL streams on the network, each with the device profiles that fit it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON, Finite
from neurofb.commands.tables import show_table
from neurofb.errors import StreamMissing

if TYPE_CHECKING:
    from neurofb.lsl.matching import ProfileMatch, StreamInfo

HEADER = ("stream", "type", "channels", "rate_hz", "device that fits", "why", "missing", "samples", "from")
#: So long the first sample of each EEG stream is waited for; bursts of the programs that are known are shorter.
LISTEN_S = 2.5
#: So long streams are looked for.
STREAMS_S = 2.0


@click.command("streams")
@click.option(
    "--wait",
    "wait_s",
    type=Finite(0, 600, min_open=True),
    default=STREAMS_S,
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


@dataclass(frozen=True, slots=True)
class Seen:
    """A stream, the profiles that fit it best, and whether it sends; None for one that is no EEG."""

    facts: StreamInfo
    fits: list[ProfileMatch]
    sends: bool | None

    @property
    def samples(self) -> str:
        """Whether samples come, in words; "" for a stream that is no EEG."""
        if self.sends is None:
            return ""
        return "come" if self.sends else f"none in {LISTEN_S:g} s: {self.hint}"

    @property
    def hint(self) -> str:
        """What to do about a stream that is there and sends nothing; "" where it sends."""
        if self.sends is not False:
            return ""
        from neurofb.acquisition.stream_health import NO_HINT
        from neurofb.lsl.senders import sender_of

        hints = [sender_of(self.facts, each.profile).start_hint() for each in self.fits]
        return next(filter(None, hints), NO_HINT)


def find(wait_s: float) -> list[Seen]:
    """Return all streams that show themselves within ``wait_s`` seconds, each with the profiles that fit best.

    Raises
    ------
    StreamMissing
        If there are none.
    """
    from neurofb.devices import load_profiles
    from neurofb.lsl.inlet import find_streams
    from neurofb.lsl.matching import NOTHING_SEEN, best_matches

    found = find_streams(wait_s=wait_s)
    seen = [facts for facts, _ in found]
    if not seen:
        raise StreamMissing(f"looked for LSL streams for {wait_s:g} s. {NOTHING_SEEN}")
    seen.sort(key=lambda facts: (facts.type.lower() != "eeg", facts.name, facts.uid))
    profiles = load_profiles()
    sends = _listen(found)
    return [Seen(facts, best_matches(facts, profiles), sends.get(facts.uid)) for facts in seen]


def _listen(found: Sequence[tuple[StreamInfo, Any]]) -> dict[str, bool]:
    """Return by uid which of the EEG streams send: each is listened to until its first sample, or for a while."""
    from neurofb.errors import StreamLost
    from neurofb.lsl.inlet import LslClock, NumericInlet

    inlets = {}
    for facts, handle in found:
        if (
            facts.type.strip().lower() == "eeg"
            and facts.rate_hz
            and facts.value_format not in ("string", "undefined")
        ):
            with contextlib.suppress(StreamLost, RuntimeError):
                inlets[facts.uid] = NumericInlet(facts, handle)
                inlets[facts.uid].open(LISTEN_S)
    clock, sends = LslClock(), dict.fromkeys(inlets, False)
    until_s = clock.now_s() + LISTEN_S
    while not all(sends.values()) and clock.now_s() < until_s:
        for uid, inlet in inlets.items():
            with contextlib.suppress(StreamLost):
                sends[uid] = sends[uid] or inlet.pull(0.05) > 0
    for inlet in inlets.values():
        inlet.close()
    return sends


def rows(seen: Sequence[Seen]) -> list[tuple[str, ...]]:
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
            each_seen.samples,
            facts.hostname,
        )
        for each_seen in seen
        for facts, fits in [(each_seen.facts, each_seen.fits)]
    ]


def document(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Return the streams as JSON can hold them."""
    from neurofb.lsl.senders import sender_of

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
            "sends": each_seen.sends,
            "hint": each_seen.hint,
            "fits": [
                {
                    "device": each.profile.name,
                    "program": sender_of(facts, each.profile).as_dict(),
                    "reasons": list(each.reasons),
                    "missing": list(each.missing),
                }
                for each in fits
            ],
        }
        for each_seen in seen
        for facts, fits in [(each_seen.facts, each_seen.fits)]
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
    if facts.label_problem:
        return f"no known device; {facts.label_problem}"
    return "no known device; write a profile with its channels" if facts.labels else "no known device"
