"""What must hold while there is heat: fresh EEG, a live recording, and a person who watches.

In: the engine's facts, which come with each of its heartbeats. Out: what is missing, in words. Kept: nothing.

The guard asks here before it arms, before it fires, and in each step while a stimulus is on. A fact that is absent, or
older than ``FACTS_S``, counts as missing.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The newest sample of EEG may be this old. Assumed: twice the longest packets of a headset (0.5 s), half of the time
#: after which a stream is lost.
SAMPLE_S = 1.0
#: The facts themselves may be this old. Assumed: ten heartbeats of the engine (``client.BEAT_S``), after which the
#: watchdog takes the engine for gone anyway (``watchdog.HEARTBEAT_S``).
FACTS_S = 0.5


@dataclass(frozen=True, slots=True)
class Required:
    """What a session's heat needs; a real stimulator always needs the recording and the view."""

    #: False for a protocol with ``needs.eeg = false``.
    eeg: bool = True
    #: False for a bench without a session.
    recording: bool = True
    #: False for a simulation that nobody watches.
    view: bool = True


#: For a guard on a bench, with a simulated device and no session.
NOTHING = Required(eeg=False, recording=False, view=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine knows about the conditions."""

    #: When these facts held, in s on the engine's clock.
    time_s: float
    #: Age of the newest sample of EEG then, in s; None before the first.
    sample_age_s: float | None
    #: Whether the recording is written to a disk that answers.
    recording: bool
    #: Whether an operator's view is alive: a window that draws this session, or a terminal with a person at it.
    view: bool


def unmet(required: Required, facts: Facts | None, now_s: float) -> list[str]:
    """Return which conditions do not hold at ``now_s``, in words; none: an empty list."""
    if required == NOTHING:
        return []
    if facts is None:
        return ["the engine has not said yet whether EEG, recording and operator's view are alive"]
    facts_age_s = now_s - facts.time_s
    if not abs(facts_age_s) <= FACTS_S:  # also for NaN, and for a clock that jumped back
        return [f"what the engine said about EEG, recording and view is {facts_age_s:.2f} s old"]
    found = []
    if required.eeg:
        if facts.sample_age_s is None:
            found.append("no sample of EEG has come yet")
        elif not facts.sample_age_s + max(0.0, facts_age_s) <= SAMPLE_S:
            age_s = facts.sample_age_s + max(0.0, facts_age_s)
            found.append(f"the newest sample of EEG is {age_s:.1f} s old, {SAMPLE_S:g} s at most are allowed")
    if required.recording and facts.recording is not True:
        found.append("the recording fails")
    if required.view and facts.view is not True:
        found.append("no operator's view is alive")
    return found
