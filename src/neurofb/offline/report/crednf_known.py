"""What a session's record says to each item of CRED-nf: exact values, and nothing that is not recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from neurofb.offline.report.facts import Facts
from neurofb.offline.report.heat import summaries
from neurofb.recording.provenance import text_hash

Said = tuple[Literal["filled", "partly", "author"], list[str]]

NOTHING: Said = ("author", [])
PSYCHOSOCIAL = ("expect", "credib", "motiv", "effort", "mood", "fatigue", "sleep")
#: What of a feature's declaration defines it.
DECLARED = ("kind", "band", "scale", "smoothing_s", "measure", "window_s", "whole")
GUESS = ("guess", "blind", "belie", "alloc")


def nothing(_: Facts) -> Said:
    """The record of one session cannot know."""
    return NOTHING


def registration(facts: Facts) -> Said:
    """The hash that can be deposited, and what no publication gives."""
    if not facts.recording.protocol_text:
        return NOTHING
    said = [f"SHA-256 of the protocol as it ran: {text_hash(facts.recording.protocol_text)}"]
    assumed = facts.at("protocol", "assumed")
    if assumed:
        said.append(f"values that no publication gives: {', '.join(map(str, assumed))}")
    return "partly", said


def arms(facts: Facts) -> Said:
    """The arms of the protocol; never the one of this session."""
    found = () if facts.protocol is None else facts.protocol.arms
    if len(found) < 2:
        return "author", [
            "the protocol has one condition for all" if facts.protocol else "the protocol is lost"
        ]
    return "partly", [
        f"{len(found)} arms in the protocol; feedback: {', '.join(sorted({a.feedback for a in found}))}"
    ]


def blinding(facts: Facts) -> Said:
    """That the allocation is kept out of what people see."""
    if facts.protocol is None or len(facts.protocol.arms) < 2:
        return NOTHING
    return "partly", ["neither the streams and events of this session nor this report name its arm"]


def guesses(facts: Facts) -> Said:
    """Questions that ask for a guess."""
    return _asked(facts, GUESS)


def psychosocial(facts: Facts) -> Said:
    """Questions about expectations and the like."""
    return _asked(facts, PSYCHOSOCIAL)


def _asked(facts: Facts, words: tuple[str, ...]) -> Said:
    said = [
        f"{each.scale}: {each.n_asked - each.n_missing} of {each.n_asked} answered"
        for each in summaries(facts.answers)
        if any(word in each.scale for word in words)
    ]
    return ("partly", said) if said else NOTHING


def instructions(facts: Facts) -> Said:
    """The texts that participants read."""
    said = [f"{name}: “{text}” (SHA-256 {text_hash(text)[:16]}…)" for name, text in facts.texts()]
    own = [] if facts.protocol is None else [arm for arm in facts.protocol.arms if arm.texts or arm.sounds]
    if own:
        said.append(f"{len(own)} arms have texts or recordings of their own, in the protocol")
    return ("partly" if own else "filled", said) if said else NOTHING


def strategies(facts: Facts) -> Said:
    """Answers in words."""
    texts = [each for each in facts.answers if each.scale.startswith(("strateg", "what_"))]
    if not texts:
        return NOTHING
    given = [str(each.value) for each in texts if each.value is not None]
    said = [f"asked {len(texts)} times, answered {len(given)} times", *(f"“{text}”" for text in given)]
    return ("filled" if given else "partly"), said


def processing(facts: Facts) -> Said:
    """The pipeline, what it looks for, and what it withheld."""
    loop = facts.at("loop")
    if not loop:
        return NOTHING
    reference = loop.get("reference") or f"as recorded ({facts.at('device', 'reference') or 'not known'})"
    features = loop.get("features") or []
    checks = sorted({str(check) for feature in features for check in feature.get("checks", ())})
    said = [
        *facts.pipeline(),
        f"sampling rate {loop.get('rate_hz')} Hz; reference: {reference}; mains: {loop.get('line_hz') or 'both'}",
        f"artifacts are not corrected but withheld; looked for: {', '.join(checks) or 'none'}",
        *_after_heat(loop),
        f"kernels SHA-256 {facts.at('provenance', 'kernels_sha256')}",
    ]
    return "filled", said


def _after_heat(loop: dict[str, Any]) -> Iterator[str]:
    after_s = (loop.get("feedback") or {}).get("after_heat_s")
    if after_s:
        yield f"no feedback for {after_s} s after each heat onset"


def artifacts(facts: Facts) -> Said:
    """What was withheld in each phase."""
    said = [
        f"{each.label}: {each.n} feedback values, {1 - each.usable:.1%} withheld ("
        + ", ".join(f"{why} {count}" for why, count in each.reasons.most_common())
        + ")"
        for each in facts.rates
        if each.n
    ]
    return ("partly", said) if said else NOTHING


def feature(facts: Facts) -> Said:
    """What was trained, exactly."""
    trained = facts.at("loop", "feedback", "feature")
    declared: list[Any] = facts.at("loop", "features") or []
    found = next((each for each in declared if each.get("name") == trained), None)
    if found is None:
        return NOTHING
    of = found.get("at") or {}
    channels = of.get("channels") or (facts.at("loop", "montage", "regions") or {}).get(of.get("region"), [])
    said = [f"{key.replace('_', ' ')}: {found[key]}" for key in DECLARED if found.get(key) is not None]
    peak = facts.course.iaf_hz
    said.insert(0, f"{trained}, trained {facts.at('loop', 'feedback', 'direction')}")
    if channels:
        said.append(f"channels: {', '.join(map(str, channels))}")
    said.append("alpha peak: none found, 10 Hz taken" if peak is None else f"alpha peak: {peak:.2f} Hz")
    said += [line for line in facts.pipeline() if line.startswith(f"{trained}:")]
    return "filled", said


def schedule(facts: Facts) -> Said:
    """Rule, settings and what they achieved."""
    feedback = facts.at("loop", "feedback")
    if not feedback:
        return NOTHING
    threshold, reward = feedback.get("threshold") or {}, feedback.get("reward") or {}
    said = [
        "threshold: " + _listed(threshold),
        "reward: " + _listed(reward),
    ]
    said += [
        f"{block.span.label} ({block.span.name}): threshold {block.threshold_z:.4f} SD at its end, rewarded "
        f"{block.rewarded:.1%} of {block.n} values"
        for block in facts.blocks
        if block.n
    ]
    return "partly", said


def modality(facts: Facts) -> Said:
    """How values become what is seen and heard."""
    level = facts.at("loop", "feedback", "level")
    if not level:
        return NOTHING
    mode = facts.protocol.feedback.mode if facts.protocol and facts.protocol.feedback else "not known"
    return "partly", [f"mode: {mode}", "level 0–1 from z: " + _listed(level)]


def delivered(facts: Facts) -> Said:
    """How many values are kept."""
    given = facts.recording.feedback
    n = len(given["time_s"])
    if not n:
        return NOTHING
    columns = ", ".join(name for name in given if name != "time_s")
    said = [f"{n} values in recording.xdf, stream neurofb-feedback: {columns}, each with its time"]
    return ("filled" if facts.recording.is_whole else "partly"), said


def equipment(facts: Facts) -> Said:
    """Device, program, machine, latency."""
    made = facts.at("provenance")
    if not made:
        return NOTHING
    packages = ", ".join(
        f"{name} {version}" for name, version in sorted((made.get("packages") or {}).items())
    )
    said = [
        f"EEG: {facts.at('device', 'title')} ({facts.at('device', 'manufacturer')}), {facts.recording.rate_hz:g} Hz, "
        f"{len(facts.recording.labels)} channels; reference {facts.at('device', 'reference')}; ground "
        f"{facts.at('device', 'ground')}",
        f"neurofb {made.get('neurofb')}, Python {made.get('python')}, {packages}",
        f"{made.get('system')}, {made.get('processor')}",
    ]
    if facts.at("simulated"):
        said.append("the participant and the devices were simulated")
    if facts.ages is not None:
        ages = facts.ages
        said.append(
            f"age of feedback: median {1000 * ages.median_s:.2f} ms, 99 % below {1000 * ages.p99_s:.2f} ms, most "
            f"{1000 * ages.most_s:.2f} ms ({ages.n} values); declared filter delay {1000 * ages.filter_s:.0f} ms"
        )
    return "partly", said


def success(facts: Facts) -> Said:
    """Success of each block, and the slopes."""
    said = [
        f"{block.span.label} ({block.span.name}): success index {block.success:.4f}, mean z {block.z:.4f} SD"
        for block in facts.blocks
        if block.n
    ]
    said += [
        f"slope over {each.n_blocks} blocks ({each.condition}): {each.z_per_block:+.4f} SD, "
        f"{each.success_per_block:+.4f} of success per block"
        for each in facts.slopes
        if math.isfinite(each.z_per_block)
    ]
    return ("filled", said) if said else NOTHING


def course(facts: Facts) -> Said:
    """Which of the figures there are."""
    said = []
    if facts.blocks:
        said.append(f"figures of this report: course within {len(facts.blocks)} blocks, and across them")
    rests = facts.course.rests()
    if rests:
        said.append(f"rest before ({rests[0].label}) and after ({rests[1].label}): spectra and features")
    return ("partly", said) if said else NOTHING


def behaviour(facts: Facts) -> Said:
    """What was asked and answered."""
    said = [
        f"{each.scale}{', ' + each.level if each.level else ''}: {each.n_asked - each.n_missing} of {each.n_asked} "
        "answered" + (f", mean {each.mean:.2f}" if math.isfinite(each.mean) else "")
        for each in summaries(facts.answers)
    ]
    return ("partly", said) if said else NOTHING


def relation(facts: Facts) -> Said:
    """Success and ratings, block by block."""
    said = []
    for block in facts.blocks:
        inside = [a for a in facts.answers if block.span.start_s <= a.at_s <= block.span.end_s + 1e-6]
        scales = sorted({(a.scale, a.level) for a in inside if isinstance(a.value, int | float)})
        for scale, level in scales:
            values = [float(a.value) for a in inside
                      if (a.scale, a.level) == (scale, level) and isinstance(a.value, int | float)]  # fmt: skip
            said.append(
                f"{block.span.label}: success {block.success:.4f}; {scale}{', ' + level if level else ''}: mean "
                f"{np.mean(values):.2f} of {len(values)}"
            )
    return ("partly", said) if said else NOTHING


def storage(facts: Facts) -> Said:
    """What lies in the folder."""
    names = sorted(path.name for path in facts.recording.folder.iterdir() if path.is_file())
    kept = (
        "recording.xdf",
        "session.json",
        "protocol.toml",
        "baseline.json",
        "heat-ledger.json",
        "watchdog.jsonl",
    )
    said = [f"kept with the session: {', '.join(name for name in names if name in kept)}"]
    said.append("neurofb rerun --check computes the delivered values from the raw EEG once more")
    return "partly", said


def _listed(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items() if value is not None)
