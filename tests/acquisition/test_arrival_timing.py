"""When samples are due: known where they come evenly, not known where nobody can be ready for them."""

import numpy as np
import pytest

from neurofb.acquisition.arrival_timing import MOST_WITHIN_S, ArrivalTiming

RATE_HZ = 250.0


def heard(rate_hz, n=400, burst=1, jitter_s=0.0, seed=0, lost=()):
    """A stream's arrivals, one after the other: the rhythm, and for each how far it was off what was due."""
    rng = np.random.default_rng(seed)
    timing, off_s = ArrivalTiming(RATE_HZ), []
    for i in range(n):
        if i in lost:
            continue
        now_s = 100.0 + i * burst / rate_hz + rng.uniform(0, jitter_s)
        due = timing.next_arrival
        off_s.append(None if due is None else (now_s - due.time_s) / due.within_s)
        timing.add(now_s, burst)
    return timing, off_s


@pytest.mark.parametrize("rate_hz", [250.0, 248.0, 251.5])
@pytest.mark.parametrize("burst", [1, 8, 12])
def test_even_arrivals_are_predicted(rate_hz, burst):
    timing, off_s = heard(rate_hz, burst=burst, jitter_s=1e-4)
    assert timing.next_arrival.n_samples == burst
    assert timing.next_arrival.time_s == pytest.approx(100.0 + 400 * burst / rate_hz, abs=3e-4)
    assert timing.next_arrival.within_s < 5e-4
    assert np.abs(np.array(off_s[300:], dtype=float)).max() <= 1


def test_first_arrivals_predict_nothing():
    _, off_s = heard(250.0)
    assert off_s[:2] == [None, None]
    assert ArrivalTiming(RATE_HZ).next_arrival is None


def test_scattered_arrivals_predict_nothing():
    timing, _ = heard(250.0, jitter_s=0.01)
    assert timing.next_arrival is None
    timing, _ = heard(250.0, burst=12, jitter_s=0.02)
    assert timing.next_arrival is None


def test_prediction_recovers_from_lost_sample():
    timing, off_s = heard(250.0, jitter_s=1e-4, lost=(200,))
    assert timing.next_arrival.time_s == pytest.approx(100.0 + 400 / 250.0, abs=3e-4)
    assert timing.next_arrival.within_s < MOST_WITHIN_S
    assert abs(off_s[260]) < 1


def test_late_arrival_of_two_does_not_move_the_prediction():
    timing, _ = heard(250.0, n=300)
    now_s = 100.0 + 301 / 250.0
    timing.add(now_s, 2)
    assert timing.next_arrival.n_samples == 1
    assert timing.next_arrival.time_s == pytest.approx(100.0 + 302 / 250.0, abs=1e-4)


def test_silence_restarts_the_prediction():
    timing, _ = heard(250.0, n=300)
    timing.add(200.0, 1)
    due = timing.next_arrival
    assert due is None  # nothing is known for a while
    for i in range(1, 200):
        timing.add(200.0 + i / 250.0, 1)
    assert timing.next_arrival.time_s == pytest.approx(200.0 + 200 / 250.0, abs=1e-4)
