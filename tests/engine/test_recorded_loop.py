"""A baseline's end is tried beside the session: what it lacks is known some steps after it is asked for."""

from concurrent.futures import Future

import pytest

from neurofb.engine.recorded_loop import AHEAD_S, RecordedLoop


class Worker:
    """Finishes a job when it is told to."""

    def __init__(self):
        self._waiting = []

    def submit(self, job):
        future = Future()
        self._waiting.append((future, job))
        return future

    def finish(self):
        for future, job in self._waiting:
            future.set_result(job())
        self._waiting.clear()


class CollectingLoop:
    """A loop in its baseline, which lacks ``lacks`` and may lack more if ``ahead_s`` bring nothing."""

    participant_fit = None

    def __init__(self, lacks, lacks_ahead):
        self.lacks, self.lacks_ahead = lacks, lacks_ahead

    def trial_fit_job(self, ahead_s=0.0):
        found = self.lacks_ahead if ahead_s else self.lacks
        return lambda: found


@pytest.fixture
def ending():
    """Return how a baseline is asked for its end: as the sequencer does in each step, with a job that takes some."""

    def answers(lacks, lacks_ahead, n_steps=6):
        recorded_loop = RecordedLoop(CollectingLoop(lacks, lacks_ahead), None, at_once=True)
        recorded_loop._worker = worker = Worker()
        found = []
        for step in range(n_steps):
            recorded_loop.start_trial_fit()
            found.append(recorded_loop.missing())
            if step % 2:
                worker.finish()
        return found

    return answers


def test_baseline_that_lacks_eeg_says_so_after_a_second_try(ending):
    assert "2 s more" in ending("2 s more", "2 s more")


def test_baseline_that_suffices_whatever_comes_ends_with_its_first_try(ending):
    assert ending("", "")[:3] == [None, None, ""]


def test_baseline_that_may_not_suffice_ends_only_with_what_is_there(ending):
    found = ending("", "too few")
    assert "too few" not in found
    assert found.index("") > 2


def test_baseline_is_tried_ahead_for_what_may_still_come():
    asked = []
    loop = CollectingLoop("", "")
    loop.trial_fit_job = lambda ahead_s=0.0: asked.append(ahead_s) or (lambda: "")
    recorded_loop = RecordedLoop(loop, None, at_once=True)
    recorded_loop._worker = Worker()
    recorded_loop.start_trial_fit()
    assert asked == [AHEAD_S]
