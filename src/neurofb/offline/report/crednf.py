"""The CRED-nf checklist, filled from a session as far as a program can know.

Source: Ros et al. 2020, Brain 143(6):1674, doi 10.1093/brain/awaa009; items in our own words. 23 items, 24 boxes, for
item 2c has two. Which items are essential and which encouraged is not known here, so ``level`` is null.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np

from neurofb.events import plain
from neurofb.offline.report.facts import Facts
from neurofb.offline.report.heat import summaries
from neurofb.recording.provenance import text_hash

State = Literal["filled", "partly", "author"]
#: Whether the record fills a box, and the lines that it adds.
Evidence = tuple[State, list[str]]
DOI = "10.1093/brain/awaa009"

DOMAINS: Mapping[str, str] = {
    "1": "Before the experiment",
    "2": "Control groups",
    "3": "Control measures",
    "4": "Feedback specifications",
    "5": "Outcome measures: brain",
    "6": "Outcome measures: behaviour",
    "7": "Data storage",
}


@dataclass(frozen=True)
class Item:
    """One box of the checklist."""

    #: Of the item, e.g. "2c".
    id: str
    #: 1, or 2 for the second box of an item.
    box: int
    #: Text of the item.
    words: str
    #: What the author must add, whatever the program knows.
    author: str
    #: Returns the evidence in the record.
    evidence: Callable[[Facts], Evidence]


@dataclass(frozen=True)
class Box:
    """A box, filled for one session."""

    item: Item
    state: State
    #: Lines of evidence from the record.
    known: list[str]

    @property
    def author(self) -> str:
        """The part that is left to the author; empty where nothing is."""
        return "" if self.state == "filled" else self.item.author

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        item = self.item
        return {
            "item": item.id,
            "box": item.box,
            "domain": DOMAINS[item.id[0]],
            "words": item.words,
            "level": None,
            "state": self.state,
            "known": self.known,
            "author": self.author,
        }


NOTHING: Evidence = ("author", [])
PSYCHOSOCIAL = ("expect", "credib", "motiv", "effort", "mood", "fatigue", "sleep")
#: What of a feature's declaration defines it.
SPEC_KEYS = ("kind", "band", "scale", "smoothing_s", "measure", "window_s", "whole")
GUESS = ("guess", "blind", "belie", "alloc")


# -- evidence for each box: exact values of the record, and no others --------------------------------------------


def _nothing(_: Facts) -> Evidence:
    """Return no evidence: the record of one session has none."""
    return NOTHING


def _registration(facts: Facts) -> Evidence:
    """Return the hash that can be deposited, and the values that no publication gives."""
    if not facts.recording.protocol_text:
        return NOTHING
    lines = [f"SHA-256 of the protocol as it ran: {text_hash(facts.recording.protocol_text)}"]
    assumed = facts.at("protocol", "assumed")
    if assumed:
        lines.append(f"values that no publication gives: {', '.join(map(str, assumed))}")
    return "partly", lines


def _arms(facts: Facts) -> Evidence:
    """Return the arms of the protocol; never the one of this session."""
    found = () if facts.protocol is None else facts.protocol.arms
    if len(found) < 2:
        return "author", [
            "the protocol has one condition for all" if facts.protocol else "the protocol is lost"
        ]
    return "partly", [
        f"{len(found)} arms in the protocol; feedback: {', '.join(sorted({a.feedback for a in found}))}"
    ]


def _blinding(facts: Facts) -> Evidence:
    """Return that no document of the session names its arm."""
    if facts.protocol is None or len(facts.protocol.arms) < 2:
        return NOTHING
    return "partly", ["neither the streams and events of this session nor this report name its arm"]


def _guesses(facts: Facts) -> Evidence:
    """Return the questions that ask for a guess."""
    return _asked(facts, GUESS)


def _psychosocial(facts: Facts) -> Evidence:
    """Return the questions about expectations and the like."""
    return _asked(facts, PSYCHOSOCIAL)


def _asked(facts: Facts, words: tuple[str, ...]) -> Evidence:
    lines = [
        f"{each.scale}: {each.n_asked - each.n_missing} of {each.n_asked} answered"
        for each in summaries(facts.answers)
        if any(word in each.scale for word in words)
    ]
    return ("partly", lines) if lines else NOTHING


def _instructions(facts: Facts) -> Evidence:
    """Return the texts that participants read."""
    lines = [f"{name}: “{text}” (SHA-256 {text_hash(text)[:16]}…)" for name, text in facts.texts()]
    own = [] if facts.protocol is None else [arm for arm in facts.protocol.arms if arm.texts or arm.sounds]
    if own:
        lines.append(f"{len(own)} arms have texts or recordings of their own, in the protocol")
    return ("partly" if own else "filled", lines) if lines else NOTHING


def _strategies(facts: Facts) -> Evidence:
    """Return answers in words."""
    texts = [each for each in facts.answers if each.scale.startswith(("strateg", "what_"))]
    if not texts:
        return NOTHING
    given = [str(each.value) for each in texts if each.value is not None]
    lines = [f"asked {len(texts)} times, answered {len(given)} times", *(f"“{text}”" for text in given)]
    return ("filled" if given else "partly"), lines


def _processing(facts: Facts) -> Evidence:
    """Return the pipeline, its checks, and what it withholds."""
    loop = facts.at("loop")
    if not loop:
        return NOTHING
    reference = loop.get("reference") or f"as recorded ({facts.at('device', 'reference') or 'not known'})"
    features = loop.get("features") or []
    checks = sorted({str(check) for feature in features for check in feature.get("checks", ())})
    lines = [
        *facts.pipeline(),
        f"sampling rate {loop.get('rate_hz')} Hz; reference: {reference}; mains: {loop.get('line_hz') or 'both'}",
        f"artifacts are {_corrected(loop)}; looked for: {', '.join(checks) or 'none'}",
        *_after_heat(loop),
        f"kernels SHA-256 {facts.at('provenance', 'kernels_sha256')}",
    ]
    return "filled", lines


def _corrected(loop: dict[str, Any]) -> str:
    if loop.get("blinks") == "project":
        return "withheld; blinks are projected out of the features that say so above"
    return "not corrected but withheld"


def _after_heat(loop: dict[str, Any]) -> Iterator[str]:
    after_s = (loop.get("feedback") or {}).get("after_heat_s")
    if after_s:
        yield f"no feedback for {after_s} s after each heat onset"


def _artifacts(facts: Facts) -> Evidence:
    """Return how much was withheld in each phase, and why."""
    lines = [
        f"{each.label}: {each.n} feedback values, {1 - each.usable:.1%} withheld ("
        + ", ".join(f"{why} {count}" for why, count in each.reasons.most_common())
        + ")"
        for each in facts.rates
        if each.n
    ]
    return ("partly", lines) if lines else NOTHING


def _feature(facts: Facts) -> Evidence:
    """Return the definition of the trained feature."""
    trained = facts.at("loop", "feedback", "feature")
    specs: list[Any] = facts.at("loop", "features") or []
    found = next((each for each in specs if each.get("name") == trained), None)
    if found is None:
        return NOTHING
    of = found.get("at") or {}
    channels = of.get("channels") or (facts.at("loop", "montage", "regions") or {}).get(of.get("region"), [])
    lines = [f"{key.replace('_', ' ')}: {found[key]}" for key in SPEC_KEYS if found.get(key) is not None]
    peak = facts.spectra.iaf_hz
    lines.insert(0, f"{trained}, trained {facts.at('loop', 'feedback', 'direction')}")
    if channels:
        lines.append(f"channels: {', '.join(map(str, channels))}")
    lines.append("alpha peak: none found, 10 Hz taken" if peak is None else f"alpha peak: {peak:.2f} Hz")
    lines += [line for line in facts.pipeline() if line.startswith(f"{trained}:")]
    return "filled", lines


def _schedule(facts: Facts) -> Evidence:
    """Return threshold rule, settings, and the reward rate of each block."""
    feedback = facts.at("loop", "feedback")
    if not feedback:
        return NOTHING
    threshold, reward = feedback.get("threshold") or {}, feedback.get("reward") or {}
    lines = [
        "threshold: " + _listed(threshold),
        "reward: " + _listed(reward),
    ]
    lines += [
        f"{block.span.label} ({block.span.name}): threshold {block.threshold_z:.4f} SD at its end, rewarded "
        f"{block.rewarded:.1%} of {block.n} values"
        for block in facts.blocks
        if block.n
    ]
    return "partly", lines


def _modality(facts: Facts) -> Evidence:
    """Return how values become what is seen and heard."""
    level = facts.at("loop", "feedback", "level")
    if not level:
        return NOTHING
    mode = facts.protocol.feedback.mode if facts.protocol and facts.protocol.feedback else "not known"
    return "partly", [f"mode: {mode}", "level 0–1 from z: " + _listed(level)]


def _delivered(facts: Facts) -> Evidence:
    """Return how many values are kept."""
    given = facts.recording.feedback
    n = len(given["time_s"])
    if facts.recording.is_sealed:
        return "partly", [
            "delivered values and the own ones are sealed until the study is locked (sealed.age)"
        ]
    if not n:
        return NOTHING
    columns = ", ".join(name for name in given if name != "time_s")
    lines = [f"{n} values in recording.xdf, stream neurofb-feedback: {columns}, each with its time"]
    return ("filled" if facts.recording.is_whole else "partly"), lines


def _equipment(facts: Facts) -> Evidence:
    """Return device, program, machine and latency."""
    made = facts.at("provenance")
    if not made:
        return NOTHING
    packages = ", ".join(
        f"{name} {version}" for name, version in sorted((made.get("packages") or {}).items())
    )
    lines = [
        f"EEG: {facts.at('device', 'title')} ({facts.at('device', 'manufacturer')}), {facts.recording.rate_hz:g} Hz, "
        f"{len(facts.recording.labels)} channels; reference {facts.at('device', 'reference')}; ground "
        f"{facts.at('device', 'ground')}",
        f"neurofb {made.get('neurofb')}, Python {made.get('python')}, {packages}",
        f"{made.get('system')}, {made.get('processor')}",
    ]
    if facts.at("simulated"):
        lines.append("the participant and the devices were simulated")
    if facts.ages is not None:
        ages = facts.ages
        lines.append(
            f"age of feedback: median {1000 * ages.median_s:.2f} ms, 99 % below {1000 * ages.p99_s:.2f} ms, most "
            f"{1000 * ages.most_s:.2f} ms ({ages.n} values); declared filter delay {1000 * ages.filter_s:.0f} ms"
        )
    return "partly", lines


def _success(facts: Facts) -> Evidence:
    """Return the success of each block, and the slopes."""
    lines = [
        f"{block.span.label} ({block.span.name}): success index {block.success:.4f}, mean z {block.z:.4f} SD"
        for block in facts.blocks
        if block.n
    ]
    lines += [
        f"slope over {each.n_blocks} blocks ({each.condition}): {each.z_per_block:+.4f} SD, "
        f"{each.success_per_block:+.4f} of success per block"
        for each in facts.slopes
        if math.isfinite(each.z_per_block)
    ]
    return ("filled", lines) if lines else NOTHING


def _signal(facts: Facts) -> Evidence:
    """Return which figures the report has."""
    lines = []
    if facts.blocks:
        lines.append(f"figures of this report: course within {len(facts.blocks)} blocks, and across them")
    rests = facts.annotations.rests()
    if rests:
        lines.append(f"rest before ({rests[0].label}) and after ({rests[1].label}): spectra and features")
    return ("partly", lines) if lines else NOTHING


def _behaviour(facts: Facts) -> Evidence:
    """Return the number of questions and answers of each scale."""
    lines = [
        f"{each.scale}{', ' + each.level if each.level else ''}: {each.n_asked - each.n_missing} of {each.n_asked} "
        "answered" + (f", mean {each.mean:.2f}" if math.isfinite(each.mean) else "")
        for each in summaries(facts.answers)
    ]
    return ("partly", lines) if lines else NOTHING


def _relation(facts: Facts) -> Evidence:
    """Return success and ratings, block by block."""
    lines = []
    for block in facts.blocks:
        inside = [a for a in facts.answers if block.span.start_s <= a.at_s <= block.span.end_s + 1e-6]
        scales = sorted({(a.scale, a.level) for a in inside if isinstance(a.value, int | float)})
        for scale, level in scales:
            values = [float(a.value) for a in inside
                      if (a.scale, a.level) == (scale, level) and isinstance(a.value, int | float)]  # fmt: skip
            lines.append(
                f"{block.span.label}: success {block.success:.4f}; {scale}{', ' + level if level else ''}: mean "
                f"{np.mean(values):.2f} of {len(values)}"
            )
    return ("partly", lines) if lines else NOTHING


def _storage(facts: Facts) -> Evidence:
    """Return the files in the session's folder."""
    names = sorted(path.name for path in facts.recording.folder.iterdir() if path.is_file())
    kept = (
        "recording.xdf",
        "session.json",
        "protocol.toml",
        "baseline.json",
        "heat-ledger.json",
        "watchdog.jsonl",
    )
    lines = [f"kept with the session: {', '.join(name for name in names if name in kept)}"]
    lines.append("neurofb rerun --check computes the delivered values from the raw EEG once more")
    return "partly", lines


def _listed(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items() if value is not None)


# -- the checklist -----------------------------------------------------------------------------------------------

ITEMS: tuple[Item, ...] = (
    Item("1a", 1, "Protocol and planned analyses are registered beforehand",
         "Registry and identifier; deposit the hash of the protocol there.", _registration),
    Item("1b", 1, "The sample size is justified", "How the number of participants was chosen.", _nothing),
    Item("2a", 1, "There is a control group or condition",
         "Which comparison the study makes and why this control answers it.", _arms),
    Item("2b", 1, "Double-blind where possible",
         "Who did not know the allocation, and how it was kept from them.", _blinding),
    Item("2c", 1, "Those who rate outcomes do not know the allocation", "Who rated, and what they knew.",
         _nothing),
    Item("2c", 2, "Those who analyse do not know the allocation", "Who analysed, and when the allocation was opened.",
         _nothing),
    Item("2d", 1, "It is examined whether blinding held",
         "Guesses of participants and staff with their confidence, and the index computed from them.", _guesses),
    Item("2e", 1, "A trial of clinical effects compares with standard care",
         "Whether this applies, and which care was compared.", _nothing),
    Item("3a", 1, "Psychosocial factors are measured",
         "Expectations, motivation, effort and mood: which instruments, when.", _psychosocial),
    Item("3b", 1, "It is said whether participants were given strategies",
         "Anything that was said beside the protocol's texts.", _instructions),
    Item("3c", 1, "Strategies that participants used are reported",
         "What participants did, from the answers of all sessions.", _strategies),
    Item("3d", 1, "Online processing and artifact correction are described",
         "Anything done outside this program.", _processing),
    Item("3e", 1, "Artifacts are compared between conditions and groups",
         "The comparison between groups; this report has one session.", _artifacts),
    Item("4a", 1, "The feature of the feedback is defined", "Why this feature.", _feature),
    Item("4b", 1, "The schedule of reinforcement is described and justified",
         "Why this threshold rule and this rate.", _schedule),
    Item("4c", 1, "Modality and content of the feedback are described",
         "Screenshots or a sample of the sound; loudness and distance of the screen.", _modality),
    Item("4d", 1, "Every feedback variable is kept as it was delivered", "Where the data lie.", _delivered),
    Item("4e", 1, "Hardware and software are named",
         "Electrodes and impedances, stimulator, screen and loudspeaker; latency of screen and sound.",
         _equipment),
    Item("5a", 1, "Success of regulation is reported from the feedback signal",
         "The same over all participants and sessions.", _success),
    Item("5b", 1, "The signal is shown within and between sessions, and rest before and after",
         "The course over sessions and participants.", _signal),
    Item("5c", 1, "Groups are compared, not only with their own baseline",
         "The comparison between groups; this report has one session.", _nothing),
    Item("6a", 1, "Behavioural or clinical measures were chosen beforehand, with what counts as a relevant change",
         "Which measures, and the change that was set as relevant before the study.", _behaviour),
    Item("6b", 1, "Success of regulation is related to behaviour",
         "The relation over participants.", _relation),
    Item("7a", 1, "Materials, code, raw data and final values are shared",
         "Where, under which licence, with which consent.", _storage),
)  # fmt: skip


def checklist(facts: Facts) -> list[Box]:
    """Return every box, filled for one session."""
    return [Box(item, *item.evidence(facts)) for item in ITEMS]


def as_document(facts: Facts, boxes: list[Box]) -> dict[str, Any]:
    """Return the checklist of a session as JSON can hold it."""
    counts = Counter(box.state for box in boxes)
    document = {
        "format": 1,
        "checklist": "CRED-nf",
        "source": f"Ros et al. 2020, doi {DOI}; items in our own words",
        "level": "null throughout: which items are essential and which encouraged is not known to this program",
        "session": facts.uid,
        "participant": facts.at("participant"),
        "protocol": facts.at("protocol", "id"),
        "protocol_sha256": facts.at("protocol", "sha256"),
        "neurofb": facts.at("provenance", "neurofb"),
        "whole": facts.recording.is_whole,
        "n_items": len({box.item.id for box in boxes}),
        "n_boxes": len(boxes),
        "counts": {state: counts[state] for state in ("filled", "partly", "author")},
        "boxes": [box.as_dict() for box in boxes],
    }
    found: dict[str, Any] = plain(document)
    return found


def crednf_context(boxes: Sequence[Box]) -> dict[str, Any]:
    """Return the context of the section on the checklist."""
    return {
        "doi": DOI,
        "boxes": boxes,
        "counts": {
            state: sum(box.state == state for box in boxes) for state in ("filled", "partly", "author")
        },
        "titles": DOMAINS,
        "domains": [(domain, list(some)) for domain, some in groupby(boxes, key=lambda box: box.item.id[0])],
    }
