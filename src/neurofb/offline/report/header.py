"""The beginning and the end of the report: what session it is, with what it was made, and the CRED-nf checklist."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from neurofb.offline.report.crednf import DOI, DOMAINS, Box
from neurofb.offline.report.facts import Facts
from neurofb.offline.report.html import (
    DASH,
    NOTICE,
    Raw,
    clock,
    folded,
    heading,
    number,
    paragraph,
    percent,
    section,
    table,
    text,
)
from neurofb.recording.provenance import text_hash

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


def head(facts: Facts) -> Raw:
    """What session it is, how it ended, whether it is whole, and its key figures."""
    course, recording = facts.course, facts.recording
    protocol = facts.at("protocol") or {}
    title = str(protocol.get("title") or recording.folder.name)
    bad = course.outcome in BAD_ENDS or not recording.is_whole
    state = course.outcome if recording.is_whole else f"{course.outcome}, not whole"
    names = (
        ("participant", facts.at("participant")),
        ("session", facts.at("session")),
        ("run", facts.at("run")),
        ("protocol", protocol.get("id")),
        ("recorded", facts.at("date")),
        ("uid", facts.uid),
    )
    known = " · ".join(f"{name} {value}" for name, value in names if value not in (None, ""))
    simulated = "Participant and devices were simulated. " if facts.at("simulated") else ""
    return Raw(
        f'<p class="notice">{text(NOTICE)}</p>'
        f'<h1>{text(title)}<span class="state{" bad" if bad else ""}">{text(state)}</span></h1>'
        f"{paragraph(known, 'lead')}"
        f"{paragraph(f'{simulated}How it ended: {course.message}.')}"
        f"{_problems(recording.problems, recording.lost_s)}{_key_figures(facts)}{_navigation()}"
    )


def _problems(problems: Sequence[str], lost_s: float | None) -> Raw:
    if not problems:
        return Raw("")
    items = "".join(f"<li>{text(each)}</li>" for each in problems)
    lost = "" if lost_s is None else f" EEG in the file that cannot be placed: {lost_s:.2f} s."
    return Raw(
        f'<div class="problems"><b>The recording is not whole.</b>{lost}<ul>{items}</ul>'
        "All that could be read is below.</div>"
    )


def _key_figures(facts: Facts) -> Raw:
    good = [channel.good for channel in facts.channels if channel.good == channel.good]
    asked = len(facts.answers)
    answered = sum(each.value is not None for each in facts.answers)
    ages = facts.ages
    highest_c = max((s.highest_c for s in facts.stimuli if s.highest_c == s.highest_c), default=float("nan"))
    found = [
        (clock(facts.course.end_s), "long"),
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
    cells = "".join(f"<div><b>{text(value)}</b><span>{text(words)}</span></div>" for value, words in found)
    return Raw(f'<div class="figures">{cells}</div>')


def _navigation() -> Raw:
    return Raw(
        "<nav>" + "".join(f'<a href="#{name}">{text(words)}</a>' for name, words in SECTIONS) + "</nav>"
    )


def checklist(boxes: Sequence[Box]) -> Raw:
    """The CRED-nf checklist."""
    counts = Counter(box.state for box in boxes)
    parts: list[str] = [
        paragraph(
            f"After Ros et al. 2020 (doi {DOI}), in our own words: {counts['filled']} of {len(boxes)} boxes filled "
            f"from the record, {counts['partly']} partly, {counts['author']} left to the author. Which items are "
            "essential and which encouraged is not known to this program. The same as JSON lies beside this report.",
            "lead",
        )
    ]
    for domain, some in groupby(boxes, key=lambda box: box.item.id[0]):
        parts.append(heading(f"{domain} · {DOMAINS[domain]}"))
        parts += [_box(box) for box in some]
    return section("crednf", "CRED-nf checklist", *parts)


def _box(box: Box) -> Raw:
    words = {"filled": "filled", "partly": "partly", "author": "author"}[box.state]
    lines = [text(line) for line in box.known]
    listed = "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>" if lines else ""
    if len(lines) > 6:
        first = "".join(f"<li>{line}</li>" for line in lines[:4])
        rest = "".join(f"<li>{line}</li>" for line in lines[4:])
        listed = f"<ul>{first}</ul>{folded(f'{len(lines) - 4} more', f'<ul>{rest}</ul>')}"
    todo = f'<div class="todo">{text(box.author)}</div>' if box.author else ""
    return Raw(
        f'<div class="check"><div class="id">{text(box.item.id)}</div><div class="tag {box.state}">{words}</div>'
        f"<div>{text(box.item.words)}{listed}{todo}</div></div>"
    )


def made(facts: Facts) -> Raw:
    """Software, hardware, hashes, the protocol, and what in it is assumed."""
    provenance: Mapping[str, Any] = facts.at("provenance") or {}
    device: Mapping[str, Any] = facts.at("device") or {}
    packages = ", ".join(f"{k} {v}" for k, v in sorted((provenance.get("packages") or {}).items()))
    protocol_text = facts.recording.protocol_text
    recorded = facts.at("protocol", "sha256")
    same = (
        "" if recorded in (None, text_hash(protocol_text)) else " – not the hash that the session recorded!"
    )
    rows = [
        ("headset", ", ".join(str(device.get(key, DASH)) for key in ("title", "manufacturer", "name"))),
        ("channels", ", ".join(facts.recording.labels) or DASH),
        ("reference, ground", f"{device.get('reference', DASH)}; {device.get('ground', DASH)}"),
        ("hardware filter", device.get("hardware_filter") or "none known"),
        ("neurofb", provenance.get("neurofb", DASH)),
        ("Python and packages", f"{provenance.get('python', DASH)}; {packages}"),
        ("machine", f"{provenance.get('system', DASH)}, {provenance.get('processor', DASH)}"),
        ("kernels", _code(f"{provenance.get('kernels_sha256', DASH)} ({provenance.get('instruction_sets', DASH)})")),
        ("compiler", _code(provenance.get("compiler_flags", DASH))),
        ("protocol, SHA-256", _code(f"{text_hash(protocol_text) if protocol_text else DASH}{same}")),
        ("seed", facts.at("seed") if facts.at("seed") is not None else DASH),
    ]  # fmt: skip
    protocol: Mapping[str, Any] = facts.at("protocol") or {}
    assumed = [str(each) for each in protocol.get("assumed") or ()]
    citation = f"{protocol.get('citation') or 'none'}" + (
        f", doi {protocol['doi']}" if protocol.get("doi") else ""
    )
    return section(
        "made",
        "Software, hardware, protocol",
        table(("", ""), rows),
        heading("Protocol"),
        paragraph(
            f"Status: {str(protocol.get('status', 'not known')).replace('_', ' ')}. Follows: {citation}."
        ),
        paragraph(
            "Values that no publication gives (assumed): "
            + (", ".join(assumed) if assumed else "none stated")
            + "."
        ),
        _notes(facts),
        folded("Pipeline", *(paragraph(line) for line in facts.pipeline())) if facts.pipeline() else "",
        folded("Protocol as it was given", Raw(f"<pre>{text(without_arms(protocol_text))}</pre>"))
        if protocol_text
        else "",
        folded(
            "Settings of the loop", Raw(f"<pre>{text(json.dumps(_brief(facts.at('loop')), indent=1))}</pre>")
        ),
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
        is_free = "arms" not in tomllib.loads(found)
    except tomllib.TOMLDecodeError:
        is_free = False
    if not is_free:
        return "# not shown: its arms cannot be told from the rest; see protocol.toml"
    return found if len(kept) == len(protocol.splitlines()) else f"{found}\n# its arms are left out here"


def _notes(facts: Facts) -> Raw:
    notes = () if facts.protocol is None else facts.protocol.study.notes
    if not notes:
        return Raw("")
    return Raw("<ul>" + "".join(f'<li class="note">{text(note)}</li>' for note in notes) + "</ul>")


def _brief(loop: Any) -> Any:
    """Leave out what the table above says."""
    return {k: v for k, v in loop.items() if k != "montage"} if isinstance(loop, Mapping) else None


def _code(words: object) -> Raw:
    return Raw(f'<span class="code">{text(words)}</span>')


def foot(facts: Facts) -> Raw:
    """By what the report was written."""
    from neurofb import __version__

    return Raw(
        f"<footer>Written by neurofb {text(__version__)} from {text(facts.recording.path.name)} alone; the same "
        f"recording gives the same page. {text(NOTICE)}</footer>"
    )
