"""Features that studies have used, by name, each with how good the evidence is.

All bands follow the individual alpha frequency where it is known (else 10 Hz is taken for it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from neurofb.errors import UnknownName, nearest
from neurofb.features.feature_specs import (
    Asymmetry,
    MuscleIndex,
    OcularIndex,
    Power,
    Ratio,
    SynchronyOf,
)
from neurofb.spatial.montage import ChannelSelection

AnyFeature = Power | Ratio | Asymmetry | SynchronyOf | MuscleIndex | OcularIndex


def frontal_midline_theta() -> Power:
    """Theta at the frontal midline, up with focused attention. The default.

    Evidence: moderate. Novices raised it over eight adaptive sessions against their own baseline (Brandmeyer &
    Delorme 2020); there is a published training protocol (Enriquez-Geppert 2017). Blinks and slow eye movements
    imitate it: the ocular checks must stay on.
    """
    return Power(
        name="frontal_midline_theta",
        at=ChannelSelection(region="frontal_midline"),
        band=("iaf-6", "iaf-2"),
        scale="db",
    )


def posterior_alpha() -> Power:
    """Alpha over the back of the head, up in meditation against rest.

    Evidence: moderate as a state marker (Lomas 2015: 56 papers, not uniform), weak as a training target. Closing
    the eyes and seeing less raise it too: compare only within the same condition of the eyes.
    """
    return Power(
        name="posterior_alpha", at=ChannelSelection(region="posterior"), band=("iaf-2", "iaf+2"), scale="db"
    )


def sensorimotor_alpha() -> Power:
    """Alpha over the sensorimotor strip, down in tonic heat pain (Peng 2014, n = 38).

    Evidence: good as a correlate of pain, weak as a target (Peng 2020: one session, no sham arm). A drop is partly
    just more heat: compare only at the same stimulus level.
    """
    return Power(
        name="sensorimotor_alpha",
        at=ChannelSelection(region="sensorimotor"),
        band=("iaf-2", "iaf+2"),
        scale="db",
    )


def region_synchrony() -> SynchronyOf:
    """Alpha-band debiased wPLI² between frontal and posterior regions. Experimental.

    Evidence: none as a training target in pain; reward of the opposite sign has been as well argued (Milz 2014 found
    less lagged coherence in breath counting). At a source's signal-to-noise of 0 dB it is noise: look at the
    baseline's spread before it earns anything, and record a control pair.
    """
    return SynchronyOf(
        name="region_synchrony",
        between=(ChannelSelection(region="frontal_midline"), ChannelSelection(region="posterior")),
        band=("iaf-2", "iaf+2"),
    )


PRESETS: Mapping[str, Callable[[], AnyFeature]] = {
    "frontal_midline_theta": frontal_midline_theta,
    "posterior_alpha": posterior_alpha,
    "sensorimotor_alpha": sensorimotor_alpha,
    "region_synchrony": region_synchrony,
}
DEFAULT_PRESET = "frontal_midline_theta"


def preset(name: str = DEFAULT_PRESET) -> AnyFeature:
    """Return the feature that goes by this name."""
    if name not in PRESETS:
        raise UnknownName(f"no preset {name!r}; {nearest(name, PRESETS)}")
    return PRESETS[name]()
