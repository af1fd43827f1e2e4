"""The audit of a blinding: a classifier on all that can be seen or listed tells no arm, and would see a leak."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from blind_audit import _series, auc, tapped, visible
from blinded_parts import blinded, keys
from sham_parts import slow_noise

from neurofb.offline.blinded import unlock
from neurofb.recording.session_recording import open_session_recording

#: Sessions of each arm; chance alone gives an AUC with a standard error of .041.
N = 100
MOST_AUC = 0.58


def looks(seed, leak=0.0):
    """Return how a delivered series looks that repeats itself now and then if there is a leak."""
    z = slow_noise(seed, 1500)
    if leak:
        z = np.concatenate([z[:750], z[:750] + leak])
    return _series("value", z)


def test_audit_sees_a_leak_and_nothing_where_there_is_none():
    arms = ["real", "yoked"] * 30
    clean = [looks(k) for k in range(60)]
    leaking = [looks(k, 0.8 * (k % 2)) for k in range(60)]
    assert auc(leaking, arms) > 0.9
    assert 0.2 < auc(clean, arms) < 0.8


@pytest.mark.skipif(not os.environ.get("NEUROFB_LONG"), reason="200 sessions: make test-long")
def test_nothing_that_an_operator_sees_or_lists_tells_the_arm(tmp_path):
    """With simulated learners; on the statistician's side file the same question is answered without an error."""
    rows, arms, inside, rates, within = [], [], [], {"real": [], "yoked": []}, []
    for k in range(2 * N):
        arm = ("real", "yoked")[k % 2]
        asked = {
            "protocol": "nf-sham",
            "session": "12"[k // 2 % 2],
            "participant": f"P{k:03d}",
            "seed": 50_000 + k,
        }
        ran, tap, took = tapped(tmp_path / str(k), blinded(arm, donor_seed=1000 + k), **asked)
        rows.append(visible(ran, tap, took))
        arms.append(arm)
        recording = open_session_recording(ran.folder)
        told = unlock(recording, keys().statistician)
        assert told.arm == arm
        rates[arm].append(told.rewarded)
        inside.append({"r": told.contingency.r - told.contingency.band})
        if arm == "yoked":
            within.append(told.contingency.is_within)
        shutil.rmtree(tmp_path / str(k))
    assert auc(rows, arms) < MOST_AUC
    assert auc(inside, arms) > 0.99
    assert np.mean(within) >= 0.93
    assert abs(np.mean(rates["real"]) - np.mean(rates["yoked"])) < 0.03
