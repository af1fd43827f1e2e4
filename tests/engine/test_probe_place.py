"""The probe is where the account says: no stimulus is armed at a place that the operator did not confirm last."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequencer_parts import HeatSession, place_at_once
from session_parts import command, run

from neurofb.engine.sequencer import SETTLE_S
from neurofb.protocol.design import Protocol

SCALE = {
    "name": "intensity",
    "kind": "vas",
    "asks": "intensity",
    "question": "?",
    "low": "0",
    "high": "1",
    "answer_s": 3.0,
}
QUICK = {"limits_n": 1, "limits_c_per_s": 4.0, "ladder_n": 4, "plateau_s": 1.0, "verify_n": 1}


def protocol(n_sites=2, rotation="by block", n_blocks=2, *, calibrates=False, pauses=True, n_trials=2):
    """A protocol with that many blocks of heat, and a pause before each if ``pauses``."""
    level = {"pain": 40.0, "fallback_c": 44.0} if calibrates else {"celsius": 42.0}
    phases = [{"name": "find", "kind": "calibration", "duration_s": 60.0}] if calibrates else []
    for i in range(n_blocks):
        if pauses and phases:
            phases.append({"name": f"pause{i}", "kind": "pause", "duration_s": 25.0})
        trials = {
            "order": ["hot"] * n_trials,
            "anticipation_s": 9.0,
            "relief_s": 1.0,
            "ratings": ["intensity"],
        }
        phases.append({"name": f"block{i}", "kind": "heat", "trials": trials})
    return Protocol.model_validate(
        {
            "neurofb": ">=0.1",
            "study": {"id": "made", "title": "made", "status": "adapted"},
            "features": [{"preset": "posterior_alpha"}],
            "heat": {
                "sites": [f"site {i}" for i in range(n_sites)],
                "rotation": rotation,
                "levels": {"hot": {**level, "plateau_s": 1.0}},
            },
            **({"calibration": QUICK} if calibrates else {}),
            "scales": [SCALE],
            "phases": phases,
        }
    )


class Operator:
    """Confirms what is waited for, ``delay_s`` later; and before, whatever else may be confirmed, wrongly."""

    def __init__(self, delay_s, *, is_hasty):
        self.delay_s, self.is_hasty = delay_s, is_hasty
        self.since_s, self.n_wrong = None, 0

    def __call__(self, session):
        move = session.sequencer.probe_place.move
        if self.is_hasty and int(session.now_s / 0.04) % 5 == 0:
            wrong = [f"site {i}" for i in range(4) if move is None or f"site {i}" != move.site]
            assert not any(session.place(site) for site in wrong)
        if move is None:
            self.since_s = None
            return
        self.since_s = session.now_s if self.since_s is None else self.since_s
        if session.now_s - self.since_s >= self.delay_s:
            assert session.place()


def armed_elsewhere(events):
    """Return the stimuli that were armed or fired where the operator had not put the probe last."""
    placed, found = None, []
    for event in events:
        if event.kind == "probe_placed":
            placed = event.details["site"]
        elif event.kind in ("heat_armed", "heat_fired") and event.details["site"] != placed:
            found.append(event)
    return found


@settings(max_examples=8, deadline=None)
@given(
    n_sites=st.integers(1, 4),
    rotation=st.sampled_from(["fixed", "by block", "by trial"]),
    n_blocks=st.integers(1, 3),
    calibrates=st.booleans(),
    pauses=st.booleans(),
    delay_s=st.sampled_from([0.0, 0.5, 40.0]),
    is_hasty=st.booleans(),
)
def test_no_stimulus_is_armed_where_the_probe_was_not_confirmed_last(
    tmp_path_factory, n_sites, rotation, n_blocks, calibrates, pauses, delay_s, is_hasty
):
    made = protocol(n_sites, rotation, n_blocks, calibrates=calibrates, pauses=pauses)
    session = HeatSession(made, tmp_path_factory.mktemp("data"), Operator(delay_s, is_hasty=is_hasty)).run(
        900.0
    )
    assert armed_elsewhere(session.events) == []
    assert session.error is None
    assert session.sequencer.is_over
    sites = [step.site for step in session.sequencer.timeline.heats]
    assert [event.details["site"] for event in session.of_kind("heat_fired")][-len(sites) :] == sites
    assert set(session.guard.used()) == {event.details["site"] for event in session.of_kind("probe_placed")}
    assert session.of_kind("heat_left_out") == []


@pytest.mark.parametrize("calibrates", [False, True])
def test_session_waits_for_first_placement_and_gives_no_heat_before(tmp_path, calibrates):
    session = HeatSession(protocol(calibrates=calibrates), tmp_path).run(120.0)
    assert session.sequencer.session.state == "paused"
    assert not any(event.kind.startswith("heat_") for event in session.events)
    move = session.sequencer.probe_place.move
    assert (move.site, move.before, session.sequencer.waits_for_probe) == ("site 0", None, True)
    session.act = place_at_once
    placed_s = session.now_s
    session.run(60.0)
    (event,) = [e for e in session.of_kind("probe_placed") if e.details["site"] == "site 0"]
    assert event.details["by"] == "operator"
    assert event.time_s == pytest.approx(1000.0 + placed_s, abs=0.1)
    first = session.of_kind("heat_fired")[0]
    assert first.time_s - event.time_s >= (SETTLE_S if calibrates else 9.0)


def test_session_with_two_sites_asks_for_the_move_after_calibration(tmp_path):
    """Nobody was told to move the probe; what was booked on the right was given on the left."""
    session = HeatSession(protocol(calibrates=True), tmp_path, place_at_once).run(600.0)
    moves = [(e.details["before"], e.details["site"]) for e in session.of_kind("probe_move")]
    assert moves == [(None, "site 0"), ("site 0", "site 1"), ("site 1", "site 0")]
    assert "move it from 'site 0' to 'site 1'" in session.of_kind("probe_move")[1].message


def test_calibration_that_takes_longer_than_planned_ends_before_the_next_block(tmp_path):
    """Its planned duration is an estimate; the block began meanwhile, and both asked for heat."""
    made = protocol(1, n_blocks=1, calibrates=True)
    phases = [each.model_dump() for each in made.phases]
    phases[0]["duration_s"] = 20.0
    made = Protocol.model_validate(made.model_dump() | {"phases": phases})
    session = HeatSession(made, tmp_path, place_at_once).run(600.0)
    kinds = [event.kind for event in session.events if event.kind in ("calibrated_heat", "phase")]
    assert kinds == ["phase", "calibrated_heat", "phase", "phase"]
    assert session.sequencer.is_over


def test_baseline_is_not_thrown_away_by_waiting_for_the_probe(tmp_path):
    made = protocol(n_blocks=1)
    phases = [{"name": "rest", "kind": "rest_baseline", "duration_s": 20.0}, made.phases[0].model_dump()]
    made = Protocol.model_validate(made.model_dump() | {"phases": phases})
    session = HeatSession(made, tmp_path)
    session.run(30.0)
    assert session.sequencer.waits_for_probe
    assert session.sequencer.schedule.upcoming.kind == "phase"
    session.act = place_at_once
    session.run(60.0)
    assert [e.details["name"] for e in session.of_kind("phase")] == ["rest", "block0"]
    assert session.sequencer.is_over


def test_confirmation_is_refused_while_heat_is_on_or_for_another_place(tmp_path):
    session = HeatSession(protocol(), tmp_path, place_at_once).run(12.0)
    assert session.of_kind("heat_fired")
    assert not session.place("site 1")
    assert session.stimulus.site == "site 0"


def test_resume_does_not_go_past_the_probe(tmp_path):
    session = HeatSession(protocol(), tmp_path).run(5.0)
    with pytest.raises(Exception, match="goes on when the operator confirms the place of the probe"):
        session.sequencer.resume(session.clock.now_s(), "resumed", "operator")
    assert session.sequencer.session.state == "paused"


def test_simulated_session_is_confirmed_by_a_simulated_operator(tmp_path):
    ran = run(tmp_path, acts=[(1.0, command("stop"))])
    (placed,) = ran.of_kind("probe_placed")
    assert placed["details"]["by"] == "simulated operator"
    assert placed["details"]["site"] == "left forearm"
    assert ran.statuses[0]["probe"] is None
    site = ran.column("neurofb-stimulus", "site")
    assert set(site[1:]) == {0.0}
