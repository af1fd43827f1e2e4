"""What a pipeline does about blinks: which features go on in them, from which matrix, and what closes their gate.

In: a participant's `BlinkFit`, the protocol's choice, the features; later which channels have left. Out: the projector
for the channels that are there, and each feature's `Watch`. Kept: the projector in use.

A blink also swings channels far from the eyes, which would count as movement there. So swings are judged once more with
blinks taken out: a channel moved if it did both as recorded and so; for a projected feature the second alone counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.dsp.artifacts import ArtifactFinder, Calibration
from neurofb.features.feature_estimators import Estimator, Reference
from neurofb.features.presets import AnyFeature
from neurofb.features.usability import Watch
from neurofb.loop.blink_effects import BlinkFit, Blinks, Course
from neurofb.spatial.blinks import n_projected
from neurofb.spatial.filters import SpatialFilter

#: A channel from which a projected feature takes more than this share is watched for its contact (assumed).
WATCHED_SHARE = 0.1


class BlinkCleaning:
    """Blinks in one pipeline.

    Parameters
    ----------
    fit : BlinkFit
    blinks : "withhold" or "project"
        The protocol's choice.
    labels : sequence of str
    eyes : sequence of int
        Columns of the forehead: as recorded wherever swings are judged.
    reference : "average", sequence of str or None
        As the pipeline has it.
    """

    def __init__(
        self, fit: BlinkFit, blinks: Blinks, labels: Sequence[str], eyes: Sequence[int], reference: Reference
    ) -> None:
        self._fit, self._blinks, self._labels, self._reference = fit, blinks, tuple(labels), reference
        self._eyes = list(eyes)
        self._measured: NDArray[np.bool_] = np.asarray(fit.topography.patterns.any(axis=0))
        self._k = n_projected(int(self._measured.sum()), int(self._measured[self._eyes].sum()))
        self._out: tuple[bool, ...] = (False,) * len(labels)
        self.exclude(self._out)

    def exclude(self, out: Sequence[bool]) -> None:
        """Solve anew without the channels that have left."""
        self._out = tuple(out)
        bad = [label for label, gone in zip(self._labels, out, strict=True) if gone]
        topography = self._fit.topography
        self.projector: SpatialFilter = topography.projector(self._k, self._labels, bad)
        for_swings = topography.projector(max(self._k, 1), self._labels, bad).weights
        for_swings[:, self._eyes] = np.eye(len(self._labels))[:, self._eyes]
        self._for_swings = SpatialFilter(for_swings)

    def course(self, feature: AnyFeature) -> Course:
        """Return how a feature is treated while every channel is there."""
        effect = self._fit.effect(feature, self._reference)
        return "withheld" if effect is None else effect.course(self._blinks)

    def describe(self, feature: AnyFeature) -> str:
        """Return in one sentence what is done with a feature in blinks; empty where that was not measured."""
        effect = self._fit.effect(feature, self._reference)
        return effect.describe(self._blinks) if effect is not None and "blink" in feature.checks else ""

    def watch(self, estimator: Estimator, course: Course) -> Watch:
        """Return what makes a feature unusable now.

        How far a blink reaches was measured with all channels; where one is gone, blinks are withheld again.
        """
        watch = estimator.watch
        if course == "withheld":
            return watch
        used = list(watch.channels)
        changes: dict[str, object] = {}
        needed = self._measured
        if course == "projected":
            taken = np.abs(self.projector.weights[:, used]).max(axis=1) > WATCHED_SHARE
            also = tuple(channel for channel in np.flatnonzero(taken).tolist() if channel not in used)
            changes = {"also": also, "projected": True}
        else:
            needed = np.isin(np.arange(len(self._labels)), used)
        if not (needed & np.array(self._out)).any():
            changes["checks"] = tuple(check for check in watch.checks if check != "blink")
        return replace(watch, **changes)  # type: ignore[arg-type]

    def without_blinks(self, block: FloatArray) -> FloatArray:
        """Return a hop with blinks taken out of all channels but the forehead's; as recorded where one is missing."""
        cleaned = self._for_swings.process(block)
        return np.where(np.isnan(cleaned), block, cleaned)


class SwingsWithoutBlinks:
    """Finds swings and jumps in hops without blinks, beside the finder that sees them as recorded."""

    def __init__(self, cleaning: BlinkCleaning, rate_hz: float, hop: int, calibration: Calibration) -> None:
        n = len(calibration.swing_uv)
        self._cleaning = cleaning
        self.finder = ArtifactFinder(n, rate_hz, hop, calibration)
        self._no_muscle = np.zeros(n, np.complex128)

    def process(self, block: FloatArray) -> bool:
        """Process the next hop; return whether any measure is over its limit."""
        return self.finder.process(self._cleaning.without_blinks(block), self._no_muscle)
