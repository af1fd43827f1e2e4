"""The loop of a session: the same samples and instructions give the same bits, however they come."""

import json

import numpy as np
import pytest
from loop_parts import MONTAGE, RATE_HZ, THETA, bits, chunk, chunks, record

from neurofb.dsp.rules import CURRENT, FIRST
from neurofb.errors import UnknownName, WrongInput
from neurofb.features.presets import frontal_midline_theta, posterior_alpha
from neurofb.feedback.settings import BaselineSettings, FeedbackSettings
from neurofb.loop.loop import Loop
from neurofb.loop.participant_fit import ParticipantRecord, fit
from neurofb.loop.settings import LoopSettings

SETTINGS = LoopSettings(
    (frontal_midline_theta(), posterior_alpha()),
    MONTAGE,
    RATE_HZ,
    FeedbackSettings(feature=THETA),
    BaselineSettings(least_s=15.0),
)
#: At which sample which instruction holds: a session in small.
INSTRUCTIONS = (
    (1000, "collect", {"condition": "rest"}),
    (7000, "collected", {}),
    (7100, "fit", {"until": 7000}),
    (7500, "start_block", {"condition": "rest"}),
    (9000, "heat_onset", {}),
    (10_000, "end_block", {}),
    (10_500, "start_block", {"condition": "rest"}),
    (12_000, "end_block", {}),
)


@pytest.fixture(scope="module")
def eeg():
    return record(50, seed=11).samples


def run_loop(eeg, sizes, instructions=INSTRUCTIONS, settings=SETTINGS, **known):
    """Run the story; give the loop, all values and all feedback samples."""
    loop, values, samples, start = Loop(settings, **known), [], [], 0
    for index, instruction, details in (*instructions, (len(eeg), None, {})):
        for piece in chunks(eeg[start:index], sizes, first=start):
            output = loop.push(piece)
            values += output.values
            samples += output.samples
        start = index
        if instruction:
            samples += loop.do(instruction, **details)
    return loop, values, samples


def test_output_does_not_depend_on_chunking(eeg):
    _, values, samples = run_loop(eeg, [250])
    for sizes in ([1, 7, 40], [1000]):
        _, others, other_samples = run_loop(eeg, sizes)
        assert bits(others) == bits(values)
        assert bits(other_samples) == bits(samples)
    assert any(sample.reward for sample in samples)


def test_fit_job_equals_fit_in_place(eeg):
    _, values, samples = run_loop(eeg, [100])
    loop, others, other_samples, start, job = Loop(SETTINGS), [], [], 0, None
    for index, instruction, details in (*INSTRUCTIONS, (len(eeg), None, {})):
        for piece in chunks(eeg[start:index], [100], first=start):
            output = loop.push(piece)
            others += output.values
            other_samples += output.samples
        start = index
        if instruction == "collected":
            loop.do(instruction)
            job = loop.fit_job()  # what comes in while it runs must not change it
        elif instruction == "fit":
            loop.adopt(job())
        elif instruction:
            other_samples += loop.do(instruction, **details)
    assert bits(others) == bits(values)
    assert bits(other_samples) == bits(samples)


def test_baseline_is_from_fitted_pipeline(eeg):
    """Scores of the fitted pipeline's own baseline have mean 0 and SD 1: not those of the pipeline before it."""
    loop, *_ = run_loop(eeg[:8000], [500], INSTRUCTIONS[:4])
    baseline = loop.baselines[THETA, "rest"]
    again = Loop(SETTINGS, loop.participant_fit)
    values = again.push(chunk(eeg[1000:7000], 1000)).values
    clean = [v.value for v in values if v.name == THETA and v.usable]
    np.testing.assert_array_equal(baseline.values, clean)


def test_assumed_limits_do_not_decide_if_baseline_suffices(eeg):
    """EEG three times as large moves all the time by assumed limits, and not by the participant's own."""
    loud = 3.0 * eeg[:8000]
    instructions = ((1000, "collect", {"condition": "rest"}),)
    loop, *_ = run_loop(loud, [500], instructions)
    assert "withheld" in loop.missing()
    assert loop.trial_fit_job()() == ""
    loop.do("collected")
    loop.do("fit", until=loop.next_index)
    assert loop.baselines[THETA, "rest"].clean_s > 15.0
    short, *_ = run_loop(loud[:3000], [500], instructions)
    assert "needed are 15.0 s" in short.trial_fit_job()()


def test_participant_record_json_gives_equal_bits(eeg):
    loop, *_ = run_loop(eeg[:8000], [500], INSTRUCTIONS[:4])
    baselines = tuple(loop.baselines.values())
    record = ParticipantRecord(loop.participant_fit, baselines)
    read = ParticipantRecord.from_dict(json.loads(json.dumps(record.as_dict())))
    instructions = ((500, "start_block", {"condition": "rest"}), (3000, "end_block", {}))
    _, _, samples = run_loop(
        eeg[8000:], [500], instructions, participant_fit=read.fit, baselines=read.baselines
    )
    _, _, same = run_loop(
        eeg[8000:], [500], instructions, participant_fit=loop.participant_fit, baselines=baselines
    )
    assert bits(samples) == bits(same)
    assert any(sample.usable for sample in samples)
    with pytest.raises(
        WrongInput, match="what a session writes about its participant: 'calibration' is missing"
    ):
        ParticipantRecord.from_dict({"until": 3})


def test_silent_stream_gives_one_sample_per_expectation(eeg):
    loop, _, _ = run_loop(eeg[:9000], [500], INSTRUCTIONS[:4])
    assert loop.do("expect", expected=9001) == []
    stale = loop.do("expect", expected=9200)
    assert [sample.why for sample in stale] == ["stale: no value for more than 0.3 s"]
    assert loop.do("expect", expected=9200) == []
    assert loop.do("expect", expected=9100) == []


def test_fit_with_dead_channel_measures_the_others(eeg):
    x = eeg[:7000].copy()
    x[:, 3], x[:, 5] = 0.0, np.nan
    participant_fit = fit({"rest": x}, MONTAGE, RATE_HZ, 7000)
    assert participant_fit.notes[:2] == (
        f"{MONTAGE.labels[3]} could not be measured: flat or missing",
        f"{MONTAGE.labels[5]} could not be measured: flat or missing",
    )
    assert participant_fit.calibration.swing_uv[3] == 75.0
    assert participant_fit.calibration.swing_uv[4] != 75.0
    assert np.isfinite(participant_fit.spectrum.density).all()


def test_too_short_baseline_is_refused(eeg):
    with pytest.raises(
        WrongInput, match=r"no channel has 6 s of EEG in the baseline of 4\.0 s; look at the contact"
    ):
        fit({"rest": eeg[:1000]}, MONTAGE, RATE_HZ, 1000)
    instructions = (
        (0, "collect", {"condition": "rest"}),
        (2500, "collected", {}),
        (2500, "fit", {"until": 2500}),
    )
    with pytest.raises(
        WrongInput, match=r"this baseline cannot end yet: .* s of clean EEG, needed are 15\.0 s"
    ):
        run_loop(eeg[:3000], [500], instructions)


@pytest.mark.parametrize(
    "instruction, details, error, words",
    [
        ("heat", {}, UnknownName, "no instruction 'heat'; did you mean 'heat_onset'"),
        ("collect", {"condition": "sleep"}, UnknownName, "no baseline 'sleep'; .*iaf, pain, rest, warm"),
        ("collected", {}, WrongInput, "no baseline is being collected"),
        ("fit", {"until": 5}, WrongInput, "there is no baseline to fit to"),
        ("end_block", {}, WrongInput, "no block has begun"),
        ("start_block", {"condition": "rest"}, WrongInput, "has no 'rest' baseline"),
    ],
)
def test_impossible_instruction_is_refused(instruction, details, error, words):
    with pytest.raises(error, match=words):
        Loop(SETTINGS).do(instruction, **details)


def test_start_block_without_feedback_is_refused():
    loop = Loop(LoopSettings((posterior_alpha(),), MONTAGE, RATE_HZ))
    assert loop.wanted == ("posterior_alpha",)
    with pytest.raises(WrongInput, match="its protocol has no .feedback. table"):
        loop.do("start_block", condition="rest")


def test_recording_is_computed_by_its_own_rules():
    """Settings and participants' records without rules are those of the first version; newer rules are refused."""
    content = LoopSettings((posterior_alpha(),), MONTAGE, RATE_HZ).as_dict()
    assert LoopSettings.from_dict(content).rules == CURRENT == content.pop("rules")
    old = LoopSettings.from_dict(content)
    assert old.rules == FIRST
    x = np.zeros((500, len(MONTAGE.labels)))  # one good electrode with mains, where no other is connected
    x[:, 0] = 10 * np.random.default_rng(0).standard_normal(500)
    x[:, 0] += 500 * np.sin(2 * np.pi * 50 * np.arange(500) / RATE_HZ)
    for settings, bad in ((old, True), (LoopSettings((posterior_alpha(),), MONTAGE, RATE_HZ), False)):
        pipeline = Loop(settings).pipeline
        pipeline.push(chunk(x))
        assert pipeline.channel_states[MONTAGE.labels[0]].bad == bad
    with pytest.raises(
        WrongInput, match="rules 99 are not known here, only 1 to 3; was it recorded by a newer"
    ):
        LoopSettings.from_dict(content | {"rules": 99})


def test_participant_without_a_baseline_cannot_be_measured():
    with pytest.raises(WrongInput, match="there is no baseline to measure a participant from"):
        fit({}, MONTAGE, RATE_HZ, 0)
