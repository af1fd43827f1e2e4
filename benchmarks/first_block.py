"""How far the first block's success lies from what its threshold aims at: real EEG in which nobody learns anything.

Run ``python -m benchmarks.first_block FOLDER`` with the recordings of PhysioNet's EEGMAT at rest. The pipeline is
fitted to the first minute or two; their values are the baseline of the threshold, those that follow are the block.
Nothing was set on these recordings but the interval itself, `neurofb.protocol.checks.prediction.FIRST_BLOCK_SD`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from neurofb.chunk import Chunk
from neurofb.devices import load_profile
from neurofb.features.presets import frontal_midline_theta, posterior_alpha
from neurofb.feedback.baseline import Baseline
from neurofb.feedback.settings import ThresholdSettings
from neurofb.feedback.threshold import Threshold
from neurofb.loop.participant_fit import fit
from neurofb.loop.pipeline import Pipeline
from neurofb.spatial.montage import Montage

RATE_HZ = 250
BACK = ("O1", "O2", "P3", "P4", "Pz")
#: Seconds of baseline, and of the block after it.
SPANS_S = ((60, 60), (60, 120), (120, 60))


def recordings(folder: Path) -> Iterator[tuple[Montage, np.ndarray]]:
    """Yield each person at rest, 250 Hz, µV."""
    import mne

    for path in sorted(folder.glob("Subject*_1.edf")):
        raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        named = [name for name in raw.ch_names if "ECG" not in name and "A2" not in name]
        labels = tuple(name.split()[-1] for name in named)
        regions = {"posterior": BACK, "frontal_midline": ("Fz",)}
        montage = replace(
            Montage.of(load_profile("simulated")), labels=labels, positions=labels, regions=regions
        )
        yield montage, raw.get_data(named).T[::2] * 1e6


def rates(
    montage: Montage,
    x: np.ndarray,
    baseline_s: int,
    block_s: int,
    change: Literal["between blocks", "at once"],
) -> list[float]:
    """Return the share of the block's values above threshold, for theta and for alpha."""
    features = (frontal_midline_theta(), posterior_alpha())
    end = baseline_s * RATE_HZ
    own = fit({"rest": x[:end]}, montage, float(RATE_HZ), end)
    pipeline = Pipeline(
        features,
        montage,
        float(RATE_HZ),
        iaf_hz=own.iaf_hz,
        calibration=own.calibration,
        spectrum=own.spectrum,
    )
    x = x[: end + block_s * RATE_HZ]
    times_s = np.arange(len(x)) / RATE_HZ
    values = pipeline.push(Chunk(x, 0, times_s, times_s))
    found = []
    for feature in features:
        mine = [value for value in values if value.name == feature.name and value.usable]
        baseline = Baseline(
            feature=feature.name,
            condition="rest",
            window_s=feature.averaged_s,
            log=feature.is_power,
            clean_s=float(baseline_s),
            withheld_s={},
            values=tuple(value.value for value in mine if value.index < end),
        )
        threshold = Threshold(ThresholdSettings(change=change), baseline, "up", float(RATE_HZ))
        for value in mine:
            if value.index >= end:
                threshold.update(baseline.z(value.value), value.index)
        found.append(threshold.block.rate)
    return found


def main(folder: Path) -> None:
    """Print the rates of each span and rule, lowest first."""
    people = list(recordings(folder))
    for change in ("between blocks", "at once"):
        every: list[float] = []
        for baseline_s, block_s in SPANS_S:
            found = sorted(rate for one in people for rate in rates(*one, baseline_s, block_s, change))
            every += found
            print(
                change,
                f"{baseline_s} s then {block_s} s:",
                " ".join(f"{rate:.2f}" for rate in found),
                flush=True,
            )
        low, high = np.quantile(every, [0.05, 0.95])
        print(f"{change}: nine in ten within {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
