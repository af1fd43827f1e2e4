"""What the tests of feedback share: a baseline of known spread, and values that stand for whole z-scores."""

import numpy as np

from neurofb.config import checked
from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import Baseline, Measure
from neurofb.feedback.feedback import Feedback
from neurofb.feedback.settings import FeedbackSettings

RATE_HZ, HOP = 256.0, 8
THETA = Measure("theta", 0.25, unit="dB")
EMG = Measure("emg", 0.25, unit="dB")
MEASURES = {"theta": THETA, "emg": EMG}


def baseline(name="theta", condition="rest", mean=0.0, sd=1.0, n=3840, **changes):
    """A baseline whose mean and SD are exactly what is asked (to rounding), 120 s at 32 Hz."""
    x = np.random.default_rng(7).standard_normal(n)
    x = mean + sd * (x - x.mean()) / x.std(ddof=1)
    content = {
        "feature": name, "condition": condition, "window_s": 0.25, "log": False, "unit": "dB",
        "clean_s": n / 32, "withheld_s": {}, "values": tuple(x.tolist()),
    }  # fmt: skip
    return Baseline(**(content | changes))


def value(z, index, *, name="theta", usable=True, why="", delay_s=0.1):
    return FeatureValue(name, float(z), index, usable, why if why or usable else "blink on Fp1", delay_s)


def values(zs, first=0, **kwargs):
    return [value(z, first + k * HOP, **kwargs) for k, z in enumerate(zs)]


def feedback(conditions=("rest",), baselines=None, **content):
    """A running feedback on theta with threshold z = 0 unless told otherwise."""
    content = {"feature": "theta", "threshold": {"rule": "fixed", "z": 0.0}} | content
    settings = checked(FeedbackSettings, content, "feedback")
    if baselines is None:
        baselines = [baseline(name, each) for name in MEASURES for each in conditions]
    made = Feedback(settings, MEASURES, baselines, conditions, RATE_HZ)
    made.start_block(conditions[0])
    return made
