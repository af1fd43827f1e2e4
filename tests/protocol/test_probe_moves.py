"""Where the probe is, phase by phase: sites rotate, and every move has time."""

import pytest
from protocol_parts import protocol_with

from neurofb.commands.check import timeline_rows
from neurofb.devices import load_profile
from neurofb.protocol.checks.check import RunContext, problems
from neurofb.protocol.heat_plan import HeatPlan
from neurofb.protocol.timeline import expand

HEAD = load_profile("simulated")
PAIN = ("celsius = 46.0", "pain = 60.0\nfallback_c = 46.0")
TWO = 'sites = ["left", "right"]'
PHASES = """
[calibration]

[[phases]]
name = "find"
kind = "calibration"
duration_s = 300.0

[[phases]]
name = "move"
kind = "pause"
duration_s = {pause_s}

[[phases]]
name = "heat"
kind = "heat"

[phases.trials]
order = ["hot", "warm"]
anticipation_s = 10.0
relief_s = {relief_s}

[[sessions]]
id = "1"
phases = {phases}
"""


def session(*phases, n_sites=2, rotation="by block", pause_s=30.0, relief_s=3.0):
    sites = [f"site {i}" for i in range(n_sites)]
    changes = (
        PAIN,
        (TWO, f"sites = {sites}".replace("'", '"')),
        ('rotation = "by block"', f'rotation = "{rotation}"'),
    )
    listed = str(list(phases)).replace("'", '"')
    return protocol_with(*changes, more=PHASES.format(pause_s=pause_s, relief_s=relief_s, phases=listed))


def plan(n_sites, *, calibrated):
    level = {"pain": 60.0, "fallback_c": 46.0} if calibrated else {"celsius": 46.0}
    sites = tuple(f"site {i}" for i in range(n_sites))
    return HeatPlan(sites=sites, levels={"hot": {**level, "plateau_s": 5.0}})


@pytest.mark.parametrize("n_sites", range(2, 7))
@pytest.mark.parametrize("calibrated", [False, True])
def test_trials_have_two_sites_or_more_to_rotate_over(n_sites, calibrated):
    """With two sites and a calibration, the second was the only one that ever got a stimulus."""
    heat = plan(n_sites, calibrated=calibrated)
    assert len(set(heat.trial_sites)) >= 2
    assert not calibrated or heat.trial_sites[0] != heat.calibration_site


def test_blocks_after_calibration_rotate_over_two_sites():
    timeline = expand(session("find", "move", "heat", "move", "heat", "move", "heat"))
    assert [phase.site for phase in timeline.phases if phase.site] == ["site 0", "site 1", "site 0", "site 1"]


def test_check_shows_site_of_calibration_and_each_block():
    timeline = expand(session("find", "move", "heat", "move", "heat"))
    assert [row[-1] for row in timeline_rows(timeline)] == ["site 0", "", "site 1", "", "site 0"]
    by_trial = expand(session("find", "move", "heat", n_sites=3, rotation="by trial"))
    assert [row[-1] for row in timeline_rows(by_trial)] == ["site 0", "", "site 1 → site 2"]


@pytest.mark.parametrize(
    "phases, words",
    [
        (("find", "heat"), "from 'site 0' to 'site 1' for phase 'heat', and there are 0 s"),
        (("find", "move", "heat", "heat"), "from 'site 1' to 'site 0' for phase 'heat', and there are 0 s"),
        (("find", "rest", "heat"), "and there are 0 s for it"),
    ],
)
def test_change_of_site_without_time_is_refused(phases, words):
    found = problems(session(*phases), RunContext(HEAD))
    assert len(found) == 1
    assert words in found[0]
    assert "expected: 20 s or more" in found[0]


def test_change_of_site_with_time_is_accepted():
    assert problems(session("find", "move", "heat", "move", "heat"), RunContext(HEAD)) == []
    assert problems(session("find", "move", "heat", "heat", rotation="fixed"), RunContext(HEAD)) == []
    assert "there are 5 s" in problems(session("find", "move", "heat", pause_s=5.0), RunContext(HEAD))[0]


@pytest.mark.parametrize("relief_s, n_problems", [(3.0, 1), (25.0, 0)])
def test_change_of_site_within_a_phase_needs_time_too(relief_s, n_problems):
    protocol = session("find", "move", "heat", n_sites=3, rotation="by trial", relief_s=relief_s)
    found = problems(protocol, RunContext(HEAD))
    assert len(found) == n_problems
    assert all("for trial 2" in text for text in found)
