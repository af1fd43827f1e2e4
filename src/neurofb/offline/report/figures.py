"""Figures of what was measured: spectra, topographies, blocks, latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from neurofb.chunk import FloatArray
from neurofb.offline.report.reward_stats import Ages, BlockStats, RewardRates
from neurofb.offline.report.svg import (
    COOL,
    DASHES,
    GOOD,
    INK,
    SERIES,
    SOFT,
    WIDTH_IN,
    colour_of,
    drawn,
    grid,
    svg_of,
)

if TYPE_CHECKING:
    from neurofb.offline.report.spectra import Spectra

#: Fewer places than this make no map.
LEAST_PLACES = 4


def spectra_by_place(spectra: Spectra, places: Sequence[tuple[str, Sequence[str]]]) -> Markup:
    """Draw spectra of each phase, a panel for each place: a region, or a channel."""
    columns = max(1, len(places)) if len(places) <= 4 else 3 if len(places) <= 6 else 4
    rows = -(-len(places) // columns)
    height_in = 0.75 + 1.65 * rows
    with drawn(height_in, constrained=False) as figure:
        panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        figure.subplots_adjust(0.05, 0.4 / height_in, 0.995, 1 - 0.55 / height_in, wspace=0.16, hspace=0.34)
        for axes, (name, channels) in zip(panels, places, strict=False):
            _spectrum(axes, spectra, channels)
            axes.set_title(name.replace("_", " "))
        for axes in panels[len(places) :]:
            axes.set_visible(False)
        for axes in panels[max(0, len(places) - columns) : len(places)]:
            axes.set_xlabel("Hz")
            axes.tick_params(labelbottom=True)
        for axes in panels[::columns]:
            axes.set_ylabel("dB (µV²/Hz)")
        handles, labels = panels[0].get_legend_handles_labels()
        if handles:
            figure.legend(
                handles, labels, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=8, borderaxespad=0.0
            )
        return svg_of(figure, "power spectra by phase")


def _spectrum(axes: Axes, spectra: Spectra, channels: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for phase, power in zip(spectra.phases, spectra.of(channels), strict=True):
        nth = seen.setdefault(phase.phase_kind, -1) + 1
        seen[phase.phase_kind] = nth
        shown = spectra.freqs_hz >= 1
        with np.errstate(divide="ignore", invalid="ignore"):
            decibels = 10 * np.log10(power[shown])
        axes.plot(
            spectra.freqs_hz[shown], decibels, color=colour_of(phase.phase_kind), linestyle=DASHES[nth % len(DASHES)],
            linewidth=1.1, label=phase.label,
        )  # fmt: skip
    for (low, high), alpha in zip(spectra.bands_hz.values(), (0.06, 0.13), strict=True):
        axes.axvspan(low, high, color=SOFT, alpha=alpha, linewidth=0, zorder=0)
    axes.set_xlim(1, float(spectra.freqs_hz[-1]) if len(spectra.freqs_hz) else 45)
    grid(axes)


def topographies(spectra: Spectra, positions: Mapping[str, str]) -> Markup:
    """Draw theta and alpha of each phase on the head; as bars where there are too few places for a map.

    ``positions`` are 10-05 names by channel.
    """
    info, columns = _places(spectra, positions)
    bands = spectra.bands_hz
    decibels = {}
    for name, band_hz in bands.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            decibels[name] = 10 * np.log10(spectra.band_uv2(band_hz))
    if info is None:
        return _bars(spectra, decibels)
    return _maps(spectra, decibels, info, columns, bands)


def _places(spectra: Spectra, positions: Mapping[str, str]) -> tuple[Any, list[int]]:
    """Return MNE's info for a map, and the columns of the channels on it; None if they are too few."""
    import mne

    from neurofb.offline.to_mne import standard_montage

    montage = standard_montage()
    known = {name.lower(): name for name in montage.ch_names}
    found: dict[str, int] = {}
    for i, label in enumerate(spectra.labels):
        place = known.get(positions.get(label, label).lower())
        if place is not None:
            found.setdefault(place, i)
    if len(found) < LEAST_PLACES:
        return None, []
    info = mne.create_info(list(found), 100.0, "eeg")
    info.set_montage(montage, verbose="error")
    return info, list(found.values())


def _maps(
    spectra: Spectra, decibels: dict[str, FloatArray], info: Any, columns: list[int], bands: dict[str, Any]
) -> Markup:
    from mne.viz import plot_topomap

    n = len(spectra.phases)
    size_in = min(1.5, (WIDTH_IN - 1.2) / max(n, 1))
    with drawn(0.35 + len(decibels) * size_in, 1.9 + size_in * max(n, 2)) as figure:
        panels = figure.subplots(len(decibels), n, squeeze=False)
        # Closed eyes have so much alpha that nothing else could be told apart on a scale that reaches it.
        is_open = np.array([phase.eyes != "closed" for phase in spectra.phases])
        scaled = is_open if is_open.any() else ~is_open
        for row, (name, values) in zip(panels, decibels.items(), strict=True):
            values = values[:, columns]
            finite = values[scaled]
            finite = finite[np.isfinite(finite)]
            limits = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
            image = None
            for axes, one in zip(row, values, strict=True):
                if not np.isfinite(one).all():
                    axes.set_axis_off()
                    axes.text(0.5, 0.5, "no clean\nEEG", ha="center", va="center", color=SOFT)
                    continue
                image, _ = plot_topomap(
                    one, info, axes=axes, show=False, vlim=limits, cmap="cividis", contours=4, res=48,
                    sensors=False,
                )  # fmt: skip
                _recolour(axes)
            if name == next(iter(decibels)):
                for axes, phase in zip(row, spectra.phases, strict=True):
                    axes.set_title(phase.label.replace(" ", "\n", 1), loc="center", fontsize=8)
            low, high = bands[name]
            row[0].text(
                -0.12, 0.5, f"{name}\n{low:.1f}–{high:.1f} Hz", transform=row[0].transAxes, ha="right", va="center"
            )  # fmt: skip
            if image is not None:
                bar = figure.colorbar(image, ax=list(row), shrink=0.7, aspect=14, pad=0.02)
                bar.outline.set_visible(False)
                bar.set_label("dB (µV²)")
        return svg_of(figure, "topographies of theta and alpha power by phase")


def _recolour(axes: Axes) -> None:
    """Draw the head's outline and the contours in the page's colour, light or dark."""
    for line in axes.lines:
        line.set_color(INK)
        line.set_linewidth(0.9)
    for collection in axes.collections:
        collection.set_edgecolor(INK)
        collection.set_linewidth(0.4)


def _bars(spectra: Spectra, decibels: dict[str, FloatArray]) -> Markup:
    n_phases = max(len(spectra.phases), 1)
    with drawn(0.4 + 1.7 * len(decibels)) as figure:
        panels = figure.subplots(len(decibels), 1, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, decibels.items(), strict=True):
            at = np.arange(len(spectra.labels))
            for i, (phase, one) in enumerate(zip(spectra.phases, values, strict=True)):
                shift = (i - (n_phases - 1) / 2) * 0.8 / n_phases
                axes.bar(
                    at + shift, one, width=0.75 / n_phases, color=colour_of(phase.phase_kind),
                    alpha=0.95 - 0.25 * (i % 3), label=phase.label,
                )  # fmt: skip
            axes.set_xticks(at, spectra.labels)
            axes.set_title(f"{name} power")
            axes.set_ylabel("dB (µV²)")
            grid(axes)
        handles, labels = panels[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper left", ncols=6)
        return svg_of(figure, "theta and alpha power by channel and phase")


def blocks(stats: Sequence[BlockStats]) -> Markup:
    """Draw mean z, threshold, success and reward of each block, with the slope over those of one condition."""
    with drawn(2.4) as figure:
        left, right = figure.subplots(1, 2)
        conditions = list(dict.fromkeys(block.span.name for block in stats))
        at = np.arange(1, len(stats) + 1)
        for i, condition in enumerate(conditions):
            colour = SERIES[i % len(SERIES)]
            some = [k for k, block in enumerate(stats) if block.span.name == condition]
            z = np.array([stats[k].z for k in some])
            left.plot(at[some], z, "o", color=colour, markersize=6, label=f"mean z against {condition}")
            known = np.isfinite(z)
            if known.sum() > 1:
                line = np.polynomial.Polynomial.fit(at[some][known], z[known], 1)
                left.plot(at[some], line(at[some]), color=colour, linewidth=1.0)
        left.plot(
            at, [b.threshold_z for b in stats], "_", color=INK, markersize=18, label="threshold at the end"
        )
        left.set_ylabel("SD of the baseline")
        right.plot(
            at, [b.success for b in stats], "o-", color=GOOD, label="success (fixed baseline)", linewidth=1
        )
        right.plot(
            at, [b.rewarded for b in stats], "D--", color=SOFT, label="rewarded", markersize=4, linewidth=1
        )
        right.plot(at, [b.usable for b in stats], "s:", color=COOL, label="usable", markersize=4, linewidth=1)
        right.set_ylim(0, 1)
        right.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        for axes in (left, right):
            axes.set_xticks(at, [f"block {k}" for k in at])
            axes.set_xlim(0.5, len(stats) + 0.5)
            grid(axes)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
        return svg_of(figure, "mean z, threshold, success, reward and usable share of each block")


def latency(ages: Ages) -> Markup:
    """Draw how old feedback was when it went out, with the declared delay of the filters beside it."""
    with drawn(2.0) as figure:
        axes = figure.subplots()
        edges_ms = 1000 * ages.edges_s
        axes.stairs(ages.counts, edges_ms, fill=True, color=COOL, alpha=0.55)
        axes.axvline(
            1000 * ages.median_s, color=INK, linewidth=1.1, label=f"median {1000 * ages.median_s:.1f} ms"
        )
        if np.isfinite(ages.filter_s):
            axes.axvline(
                1000 * ages.filter_s, color=GOOD, linewidth=1.4, linestyle=DASHES[1],
                label=f"declared filter delay {1000 * ages.filter_s:.0f} ms, on top of the age",
            )  # fmt: skip
        axes.set_xlim(left=0)
        axes.set_xlabel("age of feedback: newest EEG sample → output, ms")
        axes.set_ylabel("feedback values")
        grid(axes)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.1)
        return svg_of(figure, "histogram of the age of feedback")


def reasons(rates: Sequence[RewardRates]) -> Markup:
    """Draw the shares of values of each phase: rewarded, usable, withheld for a reason."""
    shown = [each for each in rates if each.n]
    kinds = sorted({kind.partition(":")[0] for each in shown for kind in each.reasons})
    with drawn(0.7 + 0.32 * len(shown)) as figure:
        axes = figure.subplots()
        for y, each in enumerate(reversed(shown)):
            parts = [
                ("rewarded", each.rewarded, GOOD, 0.9),
                ("usable, below threshold", each.usable - each.rewarded, GOOD, 0.35),
            ]
            for i, kind in enumerate(kinds):
                n = sum(count for why, count in each.reasons.items() if why.partition(":")[0] == kind)
                parts.append((kind, n / each.n, (*SERIES[1:2], *SERIES[3:], COOL, SOFT)[i % 6], 0.75))
            left = 0.0
            for name, share, colour, alpha in parts:
                axes.barh(
                    y, share, left=left, height=0.62, color=colour, alpha=alpha, linewidth=0,
                    label=name if y == len(shown) - 1 else None,
                )  # fmt: skip
                left += share
        axes.set_yticks(range(len(shown)), [each.label for each in reversed(shown)])
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=5)
        return svg_of(figure, "what the feedback values of each phase were")
