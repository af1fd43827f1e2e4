"""The head of the report, and the session's software, hardware and protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from neurofb import __version__
from neurofb.blinding.unblinding import unblinding_words
from neurofb.config import toml_content
from neurofb.errors import WrongFile
from neurofb.format import DASH, NOTICE, clock, number, percent
from neurofb.offline.report.facts import Facts
from neurofb.recording.provenance import text_hash
from neurofb.recording.unblinded import read_unblindings

SECTIONS = (
    ("timeline", "Over time"),
    ("spectra", "Spectra"),
    ("features", "Features and blocks"),
    ("feedback", "Reward and latency"),
    ("quality", "Signal quality"),
    ("heat", "Heat"),
    ("ratings", "Ratings"),
    ("crednf", "CRED-nf"),
    ("made", "Software and hardware"),
    ("events", "Events"),
)
BAD_ENDS = ("aborted", "broken off", "error", "failed")


#: What a blinded session's report says until it is unlocked.
SEALED = (
    "This session is blinded: features, feedback and the results of blocks are sealed until the study is locked "
    "(neurofb unlock); what they would fill below is empty in every arm."
)


def header_context(facts: Facts) -> dict[str, Any]:
    """Return which session it is, how it ended, whether it is whole, and its key figures."""
    session, recording = facts.annotations, facts.recording
    protocol = facts.at("protocol") or {}
    names = (
        ("participant", facts.at("participant")),
        ("session", facts.at("session")),
        ("run", facts.at("run")),
        ("protocol", protocol.get("id")),
        ("recorded", facts.at("date")),
        ("uid", facts.uid),
    )
    return {
        "notice": NOTICE,
        "title": str(protocol.get("title") or recording.folder.name),
        "state": session.outcome if recording.is_whole else f"{session.outcome}, not whole",
        "is_bad": session.outcome in BAD_ENDS or not recording.is_whole,
        "known": [f"{name} {value}" for name, value in names if value not in (None, "")],
        "is_simulated": bool(facts.at("simulated")),
        "message": session.message,
        "problems": recording.problems,
        "sealed": SEALED if recording.is_sealed else "",
        "unblindings": [unblinding_words(each) for each in read_unblindings(recording.folder)],
        "lost_s": recording.lost_s,
        "key_figures": _key_figures(facts),
        "sections": SECTIONS,
        "version": __version__,
        "file": recording.path.name,
    }


def _key_figures(facts: Facts) -> list[tuple[str, str]]:
    good = [channel.good for channel in facts.channels if channel.good == channel.good]
    asked = len(facts.answers)
    answered = sum(each.value is not None for each in facts.answers)
    ages = facts.ages
    highest_c = max((s.highest_c for s in facts.stimuli if s.highest_c == s.highest_c), default=float("nan"))
    found = [
        (clock(facts.annotations.end_s, hours=True), "long"),
        (f"{len(facts.recording.labels)}", f"EEG channels, {number(facts.recording.rate_hz, 0)} Hz"),
        (percent(sum(good) / len(good)) if good else DASH, "of EEG judged ok"),
    ]
    missing = max((channel.missing for channel in facts.channels), default=0.0)
    if missing >= 0.0005:
        found.append((percent(missing, 1), "of samples missing"))
    if facts.n_feedback:
        found += [
            (f"{len(facts.blocks)}", "feedback blocks" if len(facts.blocks) != 1 else "feedback block"),
            (percent(facts.share("usable")), "of feedback usable"),
            (percent(facts.share("rewarded")), "rewarded"),
        ]
    if ages is not None:
        found.append(
            (f"{1000 * ages.median_s:.0f} ms", f"median age, plus {1000 * ages.filter_s:.0f} ms of filters")
        )
    if facts.stimuli:
        found.append((f"{len(facts.stimuli)}", f"stimuli, up to {number(highest_c, 1)} °C"))
    if asked:
        found.append((f"{answered} / {asked}", "questions answered"))
    return found


def software_context(facts: Facts) -> dict[str, Any]:
    """Return software, hardware, hashes, the protocol, and its assumed values."""
    protocol: Mapping[str, Any] = facts.at("protocol") or {}
    protocol_text = facts.recording.protocol_text
    return {
        "rows": _rows(facts),
        "status": str(protocol.get("status", "not known")).replace("_", " "),
        "citation": protocol.get("citation") or "none",
        "doi": protocol.get("doi"),
        "assumed": [str(each) for each in protocol.get("assumed") or ()],
        "notes": () if facts.protocol is None else facts.protocol.study.notes,
        "pipeline": facts.pipeline(),
        "protocol_text": without_arms(protocol_text) if protocol_text else "",
        "loop": json.dumps(_brief(facts.at("loop")), indent=1),
    }


def _rows(facts: Facts) -> list[tuple[str, object, bool]]:
    """Return name, value, and whether it is code."""
    provenance: Mapping[str, Any] = facts.at("provenance") or {}
    device: Mapping[str, Any] = facts.at("device") or {}
    packages = ", ".join(f"{k} {v}" for k, v in sorted((provenance.get("packages") or {}).items()))
    seed = facts.at("seed")
    kernels = f"{provenance.get('kernels_sha256', DASH)} ({provenance.get('instruction_sets', DASH)})"
    return [
        (
            "headset",
            ", ".join(str(device.get(key, DASH)) for key in ("title", "manufacturer", "name")),
            False,
        ),
        ("channels", ", ".join(facts.recording.labels) or DASH, False),
        ("reference, ground", f"{device.get('reference', DASH)}; {device.get('ground', DASH)}", False),
        ("hardware filter", device.get("hardware_filter") or "none known", False),
        ("neurofb", provenance.get("neurofb", DASH), False),
        ("Python and packages", f"{provenance.get('python', DASH)}; {packages}", False),
        ("machine", f"{provenance.get('system', DASH)}, {provenance.get('processor', DASH)}", False),
        ("kernels", kernels, True),
        ("compiler", provenance.get("compiler_flags", DASH), True),
        ("protocol, SHA-256", _protocol_hash(facts), True),
        ("seed", DASH if seed is None else seed, False),
    ]


def _protocol_hash(facts: Facts) -> str:
    text = facts.recording.protocol_text
    is_same = facts.at("protocol", "sha256") in (None, text_hash(text))
    return (text_hash(text) if text else DASH) + (
        "" if is_same else " – not the hash that the session recorded!"
    )


def without_arms(protocol: str) -> str:
    """Return a protocol's text without its arms, so that whoever reads a report learns of none.

    Empty but for a word where its arms cannot be told from the rest.
    """
    kept, in_arms, n_quotes = [], False, 0
    for line in protocol.splitlines():
        if n_quotes % 2 == 0 and line.lstrip().startswith("["):
            in_arms = re.match(r"\s*\[+\s*arms\s*[\].]", line) is not None
        n_quotes += line.count('"""') + line.count("'''")
        if not in_arms:
            kept.append(line)
    found = "\n".join(kept)
    try:
        is_free = "arms" not in toml_content(found, "protocol.toml")
    except WrongFile:
        is_free = False
    if not is_free:
        return "# not shown: its arms cannot be told from the rest; see protocol.toml"
    return found if len(kept) == len(protocol.splitlines()) else f"{found}\n# its arms are left out here"


def _brief(loop: Any) -> Any:
    """Drop the settings that the table above shows."""
    return {k: v for k, v in loop.items() if k != "montage"} if isinstance(loop, Mapping) else None
