"""The protocols that come with neurofb: each can be run, and keeps what its study and this project promise."""

import re

import pytest

from neurofb.devices import load_profile
from neurofb.protocol.bundled import protocol_names
from neurofb.protocol.checks.check import RunContext, check_protocol
from neurofb.protocol.checks.heat_check import site_budgets
from neurofb.protocol.design import load_protocol
from neurofb.protocol.timeline import expand

NAMES = [
    "breath-heat",
    "breath-muse",
    "demo",
    "nf-sham",
    "region-synchrony",
    "wielgosz-adapted",
    "zeidan-adapted",
]
#: Headsets with the regions that the bundled protocols need.
ENOUGH = ["simulated", "actichamp-32", "actichamp-64", "dsi-24", "generic-10-20"]


def visits():
    for name in NAMES:
        protocol = load_protocol(name)
        for visit in [each.id for each in protocol.sessions] or [None]:
            yield name, visit


def test_bundled_names_lists_all_protocols():
    assert protocol_names() == NAMES
    assert load_protocol("Breath Heat").study.id == "breath-heat"
    for name in NAMES:
        assert load_protocol(name).study.id == name


@pytest.mark.parametrize("device", ENOUGH)
@pytest.mark.parametrize("name, visit", list(visits()))
def test_each_bundled_session_passes_check(name, visit, device):
    protocol = load_protocol(name)
    hot = dict.fromkeys(protocol.heat.calibrated if protocol.heat else (), 46.0)
    given = RunContext(load_profile(device), session=visit, participant="P07", temperatures=hot)
    assert check_protocol(name, given).refusal == ""


@pytest.mark.parametrize("name, visit", list(visits()))
@pytest.mark.parametrize("celsius", [43.0, 47.0])
def test_each_session_keeps_budget_at_any_calibrated_temperature(name, visit, celsius):
    protocol = load_protocol(name)
    temperatures = dict.fromkeys(protocol.heat.calibrated if protocol.heat else (), celsius)
    for seed in range(3):
        given = RunContext(load_profile("simulated"), session=visit, seed=seed, temperatures=temperatures)
        report = check_protocol(name, given)
        assert report.refusal == ""
        assert all(budget.share < budget.limit for budget in report.budgets)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_sourced_or_assumed_and_texts_promise_nothing(name):
    protocol = load_protocol(name)
    assert protocol.unmarked == ()
    assert protocol.study.status == "adapted"
    for words in ("pain relief", "reduces pain", "treat", "cure", "therapy", "less pain", "painkiller"):
        assert words not in protocol.text.lower(), words


@pytest.mark.parametrize("name", NAMES)
def test_arm_labels_are_neutral_and_scales_are_balanced(name):
    protocol = load_protocol(name)
    assert [arm.label for arm in protocol.arms] == list("ABCD"[: len(protocol.arms)])
    if protocol.heat is not None:
        assert {"intensity", "unpleasantness"} <= {scale.asks for scale in protocol.scales}
    report = check_protocol(name, RunContext(load_profile("simulated")))
    assert not any("label tells" in text for text in report.warnings)


def test_demo_lasts_90_seconds():
    timeline = expand(load_protocol("demo"))
    assert timeline.duration_s == 90.0
    assert [step.level for step in timeline.heats] == ["warm", "hot", "warm", "hot"]
    assert sum(step.kind == "rating" for step in timeline.steps) == 8
    assert load_protocol("demo").baseline.least_s < timeline.phases[1].duration_s


def test_check_with_muse_lists_available_regions():
    report = check_protocol("breath-heat", RunContext(load_profile("muse-2")))
    assert len(report.problems) >= 2
    assert any("no region 'frontal_midline'" in text and "there are: " in text for text in report.problems)


def test_breath_heat_uses_pain_baseline():
    timeline = expand(load_protocol("breath-heat"))
    names = [phase.name for phase in timeline.phases]
    trained = [phase for phase in timeline.phases if phase.feedback is not None]
    assert [phase.feedback for phase in trained] == ["warm", "pain", "pain"]
    assert names.index("pain_baseline") < names.index("heat_training") < names.index("transfer")
    assert timeline.phases[-1].collects == "none"


def test_region_synchrony_is_experimental_with_control_pair():
    protocol = load_protocol("region-synchrony")
    assert protocol.study.experimental
    assert sum(feature.kind == "synchrony" for feature in protocol.features) == 2
    report = check_protocol("region-synchrony", RunContext(load_profile("simulated")))
    assert any(text.startswith("experimental: ") for text in report.warnings)


def test_zeidan_has_four_sessions_of_20_minutes_and_debriefing():
    protocol = load_protocol("zeidan-adapted")
    for visit in "1234":
        practice = next(p for p in expand(protocol, session=visit, arm="book").phases if p.name == "practice")
        assert practice.duration_s == 1200.0
    assert protocol.study.deception
    assert "no active substance" in protocol.study.debrief
    assert any("respiration" in each for each in protocol.needs.also)
    texts = {expand(protocol, session="1", arm=arm.id).phases[1].text for arm in protocol.arms}
    assert len(texts) == 4


def test_published_49_degrees_exceed_budget_of_one_site():
    """Ten stimuli of 12 s at 49 °C at one place are refused: why the adapted protocol looks for a temperature."""
    from neurofb.stimulation.heat_profile import HeatProfile, dose

    assert 10 * dose(HeatProfile(49.0, 12.0)) > 4.6
    protocol = load_protocol("zeidan-adapted")
    assert max(b.share for b in site_budgets(protocol, expand(protocol, session="after", arm="book"))) < 0.5


def test_wielgosz_uses_same_temperatures_at_both_visits():
    protocol = load_protocol("wielgosz-adapted")
    assert protocol.session("post").temperatures_of == "pre"
    pre, post = (
        expand(protocol, session=visit, arm="hep", temperatures={"hot": 46.3}) for visit in ("pre", "post")
    )
    assert sorted((s.site, s.profile.target_c) for s in pre.heats) == sorted(
        (s.site, s.profile.target_c) for s in post.heats
    )
    kinds = [step.kind for step in post.steps if step.trial == 1]
    assert kinds[:6] == ["cue", "anticipation", "heat", "relief", "rating", "rating"]
    assert not any(phase.kind == "calibration" for phase in post.phases)


@pytest.mark.parametrize("name", ["wielgosz-adapted", "zeidan-adapted"])
def test_protocols_claim_no_fmri_signature(name):
    notes = " ".join(load_protocol(name).study.notes)
    assert re.search(r"NPS.* cannot be computed from EEG", notes)
