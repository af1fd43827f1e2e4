"""Contexts of the sections on features, blocks, rests, reward and latency."""

from __future__ import annotations

import math
from typing import Any

from neurofb.format import DASH, clock, number, percent, signed
from neurofb.offline.report import figures, timeline
from neurofb.offline.report.facts import Facts
from neurofb.offline.report.reward_stats import feature_names, mean_features, total_reasons

Row = tuple[str, ...]


def features_context(facts: Facts) -> dict[str, Any] | None:
    """Return features over time, blocks and their slopes, rest before and after; None without a feature."""
    names = feature_names(facts.recording)
    if not names:
        return None
    rests = facts.annotations.rests()
    return {
        "figure": timeline.feature_figure(facts.recording, facts.annotations),
        "blocks": _block_rows(facts),
        "across": figures.blocks(facts.blocks) if len(facts.blocks) > 1 else None,
        "slopes": [
            (
                each.condition,
                f"{each.n_blocks}",
                signed(each.z_per_block, 3, " SD"),
                signed(100 * each.success_per_block, 2, " % points"),
            )
            for each in facts.slopes
        ],
        "rests": _rest_rows(facts, names),
        "before": rests[0].label if rests else "",
        "after": rests[1].label if rests else "",
    }


def _block_rows(facts: Facts) -> list[Row]:
    return [
        (
            block.span.label,
            block.span.name,
            clock(block.span.end_s - block.span.start_s, hours=True),
            f"{block.n}",
            percent(block.usable),
            percent(block.rewarded),
            percent(block.success, 1),
            signed(block.z),
            signed(block.threshold_z),
            signed(block.slope_z_per_min, 3),
        )
        for block in facts.blocks
    ]


def _rest_rows(facts: Facts, names: list[str]) -> list[Row]:
    rests = facts.annotations.rests()
    if rests is None:
        return []
    before, after = (mean_features(facts.recording, rest) for rest in rests)
    units = facts.recording.units("neurofb-features")
    return [
        (
            name.replace("_", " "),
            units.get(name, "").replace("none", "") or DASH,
            f"{number(before[name][0], 3)} ± {number(before[name][1], 3)}",
            f"{number(after[name][0], 3)} ± {number(after[name][1], 3)}",
            signed(after[name][0] - before[name][0], 3),
            signed((after[name][0] - before[name][0]) / before[name][1] if before[name][1] else math.nan),
        )
        for name in names
    ]


def feedback_context(facts: Facts) -> dict[str, Any]:
    """Return reward rates, the reasons for withheld feedback, and latency."""
    names, n = feature_names(facts.recording), facts.n_feedback
    shown = [each for each in facts.rates if each.n]
    ages = facts.ages if n else None
    return {
        "usable_columns": ("phase", *(name.replace("_", " ") for name in names)),
        "usable": [
            (each.label, *(percent(each.features.get(name, math.nan)) for name in names))
            for each in facts.rates
        ],
        "reasons_figure": figures.reasons(facts.rates) if n else None,
        "rates": [
            (
                each.label,
                f"{each.n}",
                percent(each.usable, 1),
                percent(each.rewarded, 1),
                percent(each.rewarded / each.usable if each.usable else math.nan, 1),
            )
            for each in shown
        ],
        "reasons": [
            (why, f"{count}", percent(count / n, 1))
            for why, count in total_reasons(facts.rates).most_common()
        ],
        "ages": ages,
        "latency_figure": None if ages is None else figures.latency(ages),
    }
