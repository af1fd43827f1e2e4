"""What must be true of any session that was played: each check says in words what is not.

In: what was played, with the truth beside it (``whole_sessions``). Out: sentences; none if all is well. The dose is
added up here from the published line once more, not by the code under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pyxdf
from stimulation_parts import deaf_runaway_skin_c, share_per_s
from whole_sessions import PARTICIPANT, START_S, Killed, Played, ProgramError

from neurofb.engine.earlier_dose import used_before
from neurofb.engine.view_heartbeats import VIEW_S
from neurofb.offline.comparison import compare
from neurofb.offline.rerun import compute, loop_of
from neurofb.recording.session_recording import open_session_recording
from neurofb.stimulation.conditions import FACTS_S, SAMPLE_S
from neurofb.stimulation.drivers.simulated import LINK_S, MAX_C, RISE_C_PER_S
from neurofb.stimulation.watchdog import HEARTBEAT_S

TIME, LENGTH, COMMANDED, PROBE, SKIN, ON, SITE = range(7)
#: The most that any fault may take the skin above the cap.
ABOVE_CAP_C = 0.5
#: The guard adds up what it measures, with its noise; the truth is another sum.
SUMS_DIFFER = 1.01
#: What no account need see: a minute and a half at the warmest baseline.
UNSEEN = 3e-4
#: Where the device rests before anything is armed.
REST_C = 32.0
#: A stop that was handed to the engine has reached the device by then: two of its steps.
STOP_S = 0.05
#: No stimulus begins so soon after another was ended: less than it takes to be asked for.
NEXT_S = 1.0
#: Faults that heat by themselves, and those that hide what is.
HEATS, HIDES = {"runaway", "deaf_runaway", "stuck"}, {"lost", "stale", "wrong_readback"}


def kinds(played: Played) -> set[str]:
    """Return the kinds of the device's faults."""
    return {text.split("@")[0] for text in played.drawn.device_faults}


def is_blind(played: Played) -> bool:
    """Whether heat is made that nothing in the computer can see: then only the device's own cut-off is left."""
    accident = played.drawn.accident[0] if played.drawn.accident else ""
    unguarded = "watchdog" in accident or accident == "both killed"
    if played.drawn.guard == "local":
        unguarded = accident in ("engine killed", "engine hangs", "both killed")
    return bool(kinds(played) & HEATS) and (unguarded or bool(kinds(played) & HIDES))


def probe_keeps_the_cap(played: Played) -> Iterator[str]:
    """The skin never is half a degree above the cap, nor the probe, but for the ticks in which a runaway is found."""
    rows, cap_c = played.truth, played.drawn.cap_c
    if not len(rows):
        return
    highest_c, skin_c, commanded_c = (float(rows[:, i].max()) for i in (PROBE, SKIN, COMMANDED))
    if commanded_c > cap_c + 1e-9:
        yield f"{commanded_c:.2f} °C were commanded, the cap is {cap_c:g} °C"
    most_c = cap_c + ABOVE_CAP_C
    if "deaf_runaway" in kinds(played):
        most_c = max(most_c, deaf_runaway_skin_c(cap_c))  # what is stated of it
    if is_blind(played):
        most_c = MAX_C
    if skin_c > most_c:
        yield f"the skin was at {skin_c:.2f} °C, the cap is {cap_c:g} °C"
    if kinds(played) & {"runaway", "deaf_runaway"}:
        most_c = RISE_C_PER_S * 0.01 + (MAX_C if "deaf_runaway" in kinds(played) else most_c)
    if highest_c > most_c:
        yield f"the probe was at {highest_c:.2f} °C, the cap is {cap_c:g} °C"


def heat_ends_with_its_cause(played: Played) -> Iterator[str]:
    """No stimulus is on after a stop, nor after the engine's end, and the probe is cool in the end."""
    rows = until_let_go(played)
    if not len(rows):
        return
    on_s = rows[rows[:, ON] > 0, TIME]
    unheard = "lost" in kinds(played) or played.drawn.accident[:1] == ("watchdog hangs",)
    for stop_s in played.stops_s:
        late_s = STOP_S + (LINK_S if unheard else 0.0)
        if (on_s > stop_s + late_s).any():
            yield f"a stimulus is on {on_s.max() - stop_s:.2f} s after a stop"
    for stop_s in played.heat_stops_s:
        late_s = STOP_S + (LINK_S if unheard else 0.0)
        if ((on_s > stop_s + late_s) & (on_s < stop_s + NEXT_S)).any():
            yield "a stimulus goes on after somebody asked that it ends"
    if (on_s > played.ended_s + HEARTBEAT_S + LINK_S + 0.1).any():
        yield f"a stimulus is on {on_s.max() - played.ended_s:.2f} s after the engine's end"
    if rows[-1, PROBE] > max(played.drawn.baseline_c, REST_C) + 1.0:
        yield f"the probe is at {rows[-1, PROBE]:.2f} °C when all is over"


def slack_s(played: Played) -> float:
    """Return by how much heat may outlast its condition: the guard's step, and where none is, the device's own time."""
    accident, is_local = (*played.drawn.accident, "")[0], played.drawn.guard == "local"
    unguarded = ("engine killed", "engine hangs") if is_local else ("watchdog killed", "watchdog hangs")
    is_alone = accident in (*unguarded, "both killed") or "lost" in kinds(played)
    return 0.03 + (LINK_S if is_alone else 0.0)


def since(rows_s: np.ndarray, seen_s: np.ndarray) -> np.ndarray:
    """Return for each time how long ago the last of the others was; infinite before the first."""
    seen_s = np.concatenate(([-np.inf], np.sort(seen_s)))
    return rows_s - seen_s[np.searchsorted(seen_s, rows_s, side="right") - 1]


def heat_has_its_three_conditions(played: Played) -> Iterator[str]:
    """Heat is commanded only with a fresh sample, a recording that works, and an operator's window that draws."""
    rows, drawn, slack = played.truth, played.drawn, slack_s(played)
    hot_s = rows[(rows[:, ON] > 0) & (rows[:, COMMANDED] > drawn.baseline_c + 0.01), TIME]
    if not len(hot_s):
        return
    if drawn.needs_eeg and (age_s := since(hot_s, played.arrivals_s).max()) > SAMPLE_S + slack:
        yield f"heat is commanded {age_s:.2f} s after the last sample"
    if not drawn.unattended and (age_s := since(hot_s, played.alive_s).max()) > VIEW_S + FACTS_S + slack:
        yield f"heat is commanded {age_s:.2f} s after the operator's window drew last"
    if (
        drawn.accident[:1] == ("disk full",)
        and hot_s.max() > (full_s := START_S + drawn.accident[1]) + FACTS_S + slack
    ):
        yield f"heat is commanded {hot_s.max() - full_s:.2f} s after the recording has failed"


def until_let_go(played: Played) -> np.ndarray:
    """Return the truth until something fails that began when the session was over, and the device let go."""
    texts = played.drawn.device_faults
    onsets_s = [START_S + float(text.split("@")[1].split("+")[0].split(":")[0]) for text in texts]
    let_go_s = min((at_s for at_s in onsets_s if at_s > played.ended_s), default=math.inf)
    return played.truth[played.truth[:, TIME] < let_go_s]


def true_doses(played: Played) -> dict[str, float]:
    """Return the dose of each site by what the probe truly was, until something fails when the device was let go."""
    rows, doses = until_let_go(played), dict[str, float]()
    if not len(rows):
        return doses
    share = np.array([share_per_s(c) for c in rows[:, PROBE]])
    before = np.concatenate((share[:1], share[:-1]))
    for number, site in enumerate(played.sites):
        at = rows[:, SITE] == number
        if site and at.any():
            doses[site] = doses.get(site, 0.0) + float(
                (rows[at, LENGTH] * (share[at] + before[at]) / 2).sum()
            )
    return doses


def account_is_not_less_than_the_truth(played: Played) -> Iterator[str]:
    """Neither the guard's account in the end nor what the next session reads of this one is below the true dose."""
    if is_blind(played):
        return
    accident = (*played.drawn.accident, "")[0]
    # What a watchdog that died had told last is half a second old; its log and the record are what counts then.
    has_guard = played.drawn.guard == "local" or accident not in ("watchdog killed", "watchdog hangs")
    for site, dose in true_doses(played).items():
        for whose, used in (
            ("the guard", played.used if has_guard else None),
            ("the next session", used_before(played.data, PARTICIPANT, "1")),
        ):
            if used is not None and used.get(site, 0.0) * SUMS_DIFFER + UNSEEN < dose:
                yield f"{whose} counts {used.get(site, 0.0):.5f} for {site!r}, the truth is {dose:.5f}"


def record_can_be_read(played: Played) -> Iterator[str]:
    """The record opens, is whole if its end was in order, and re-runs to the last bit."""
    assert played.folder is not None
    recording = open_session_recording(played.folder)
    accident = played.drawn.accident[:1]
    if not (played.was_killed or accident == ("disk full",)) and not recording.is_whole:
        yield f"the record is not whole: {'; '.join(recording.problems)}"
    if recording.problems and any("recording ends before" in each for each in recording.problems):
        return  # killed before anything was written
    computed = compute(recording, loop_of(recording))
    verdict = compare(recording, computed)
    if not verdict.is_equal:
        yield f"the re-run differs: {verdict.difference}"
    if not verdict.demands_bits:
        yield f"the re-run did not demand equal bits: {verdict.others}"


def record_is_as_others_read_it(played: Played) -> Iterator[str]:
    """Read by pyxdf, the record has the same samples and events."""
    assert played.folder is not None
    recording = open_session_recording(played.folder)
    streams, _ = pyxdf.load_xdf(
        played.folder / "recording.xdf", dejitter_timestamps=False, synchronize_clocks=False
    )
    events = [each for each in streams if each["info"]["name"][0] == "neurofb-events"]
    n_theirs = sum(len(each["time_series"]) for each in events)
    if n_theirs != len(recording.events):
        yield f"pyxdf reads {n_theirs} events, neurofb {len(recording.events)}"


def only_the_own_windows_are_heard(played: Played) -> Iterator[str]:
    """Nothing but a stop gets in unsigned, twice, for another session, or with another's key."""
    for text in played.wrongly[:3]:
        yield f"it was let in: {text[:200]}"


def end_makes_sense(played: Played) -> Iterator[str]:
    """The engine raises nothing of its own, and its exit code says what happened."""
    accident = played.drawn.accident[0] if played.drawn.accident else ""
    if played.error is not None:
        wanted = {Killed: ("engine killed", "both killed"), ProgramError: ("program error",)}
        if accident not in wanted.get(type(played.error), ()):
            yield f"the engine raised {played.error!r}"
        return
    outcome = played.outcome
    if outcome is None:
        yield "the engine returned nothing"
        return
    codes = {"finished": (0,), "ended": (0,), "stopped": (4,), "interrupted": (130,), "aborted": (1, 2, 3, 4)}
    if outcome.exit_code not in codes[outcome.kind]:
        yield f"the session {outcome.kind} with exit code {outcome.exit_code}"
    if outcome.exit_code == 1:
        yield f"an error of the program: {outcome.message}"
    if errors := [event.message for event in played.events if event.kind == "error"]:
        yield f"errors are in the record: {errors[:3]}"
    if math.isnan(played.ended_s):
        yield "the session has no end"


CHECKS: tuple[Callable[[Played], Iterator[str]], ...] = (
    probe_keeps_the_cap,
    heat_ends_with_its_cause,
    heat_has_its_three_conditions,
    account_is_not_less_than_the_truth,
    record_can_be_read,
    only_the_own_windows_are_heard,
    end_makes_sense,
)


def problems(played: Played, *, also_pyxdf: bool = False) -> list[str]:
    """Return everything that is not as it must be, each with the name of its check."""
    if played.refused:
        return [f"refused: {played.refused}"]
    checks = (*CHECKS, record_is_as_others_read_it) if also_pyxdf else CHECKS
    return [f"{check.__name__}: {text}" for check in checks for text in check(played)]
