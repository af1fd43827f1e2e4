"""Protocol files: what is read, and what is refused with its line, all at once."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_parts import TEXT, protocol_with, text_with

from neurofb.devices import load_profile
from neurofb.dsp.artifacts import Calibration
from neurofb.dsp.spectrum import Spectrum, prior_spectrum
from neurofb.errors import UnknownFile, UnknownName, WrongFile, WrongInput
from neurofb.feedback.baseline import Baseline, Measure
from neurofb.loop.participant_fit import ParticipantFit, ParticipantRecord, read_baseline
from neurofb.protocol.checks.check import RunContext, check_protocol, problems
from neurofb.protocol.checks.heat_check import calibration_share, site_budgets
from neurofb.protocol.design import load_protocol
from neurofb.protocol.study import pseudonym_problem
from neurofb.protocol.timeline import expand
from neurofb.spatial.montage import Montage

HEAD = load_profile("simulated")
N_CHANNELS = len(Montage.of(HEAD).labels)

SCALE = '[[scales]]\nname = "{name}"\nkind = "{kind}"\nquestion = "?"\n'


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "small.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def line_of(text, piece):
    return text[: text.index(piece)].count("\n") + 1


def test_small_protocol_is_parsed(written):
    protocol = load_protocol(written(TEXT))
    assert protocol.text == TEXT
    assert protocol.phase("rest").baseline == "rest"
    assert protocol.feedback.mode == "continuous"
    assert protocol.session().phases == ("rest", "training")
    assert protocol.session("anything").id == "anything"
    assert protocol.arm().label == "A"
    assert [feature.name for feature in protocol.features] == ["posterior_alpha"]
    assert problems(protocol, RunContext(HEAD, participant="P07")) == []


def test_preset_keys_are_overridable():
    protocol = protocol_with(('preset = "posterior_alpha"', 'preset = "posterior_alpha"\ndelay_s = 0.05'))
    assert protocol.features[0].delay_s == 0.05
    assert protocol.features[0].at.region == "posterior"


def test_declared_feature_is_parsed():
    table = 'kind = "muscle"\nname = "jaw"'
    protocol = protocol_with(
        ('preset = "posterior_alpha"\n', f'preset = "posterior_alpha"\n\n[[features]]\n{table}\n')
    )
    assert protocol.features[1].limit == 6.0


def test_protocol_says_who_must_not_know_the_arms():
    assert protocol_with().masked == ()
    assert protocol_with(('neurofb = ">=0.1"', 'neurofb = ">=0.1"\nblinding = "open"')).masked == ()
    masked = protocol_with(more='\n[blinding]\nmasked = ["participant", "operator"]\n').masked
    assert masked == ("participant", "operator")


REFUSED = [
    (
        'neurofb = ">=0.1"',
        'neurofb = ">=0.1"\nblinding = "shut"',
        "blinding",
        r"found 'shut'.*\"open\" \(everybody",
    ),
    (
        "[study]",
        '[blinding]\nmasked = ["all"]\n[study]',
        "masked",
        r"blinding.masked\[1\]: found 'all'.*'assessor'",
    ),
    ('status = "adapted"', 'status = "adapted"\ncolour = 1', "colour", r"study.colour: no such key"),
    ('status = "adapted"', 'status = "copied"', 'status = "copied', r"study.status: found 'copied'"),
    ('">=0.1"', '">=99"', "neurofb =", r"neurofb: found '>=99': this is neurofb .*install a newer"),
    ('">=0.1"', '"0.1"', "neurofb =", r'the least version, as ">=0.1"'),
    ('status = "adapted"', 'status = "adapted"\ndoi = "x"', "doi", r"that is no DOI"),
    (
        'status = "adapted"',
        'status = "adapted"\ndeception = true',
        "[study]",
        r"study.debrief.*deception needs the text that participants are told afterwards",
    ),
    ('preset = "posterior_alpha"', 'preset = "alpha"', "[[features]]", r"features\[1\]: no preset 'alpha'"),
    (
        'preset = "posterior_alpha"',
        'preset = "posterior_alpha"\ndelai_s = 0.1',
        "delai_s",
        r"features\[1\].delai_s: no such key; did you mean 'delay_s'",
    ),
    ('preset = "posterior_alpha"', 'kind = "bands"', "[[features]]", r'found kind = "bands"; .*power'),
    (
        'preset = "posterior_alpha"',
        'preset = "region_synchrony"\nmeasure = "coherence"',
        "measure",
        r"coherence cannot be a feature: .*volume conduction",
    ),
    (
        'feature = "posterior_alpha"',
        'feature = "alpha"',
        'feature = "alpha"',
        r"no feature 'alpha' is declared",
    ),
    (
        "longest_s = 60.0",
        "longest_s = 10.0",
        "longest_s",
        r"baseline.longest_s.*not shorter than least_s, 20 s",
    ),
    ("celsius = 46.0", "celsius = 46.0\npain = 60.0", "pain", r"heat.levels.hot.pain.*found both"),
    ("celsius = 46.0\n", "", "[heat.levels.hot]", r"heat.levels.hot.pain.*found neither"),
    ("celsius = 46.0", "pain = 60.0", "[heat.levels.hot]", r"needs fallback_c"),
    ("celsius = 46.0", "celsius = 51.0", "celsius = 51", r"heat.levels.hot.celsius: found 51.0.*up to 50"),
    ("celsius = 46.0", "celsius = 46.0\nfallback_c = 45.0", "fallback_c", r"leave fallback_c out"),
    ("plateau_s = 5.0", "plateau_s = -5.0", "plateau_s = -5", r"heat.levels.hot.plateau_s: found -5.0"),
    ('rotation = "by block"', "cap_c = 49.5", "cap_c", r"heat.cap_c: found 49.5.*up to 49"),
    ('rotation = "by block"', "interval_s = 4.0", "interval_s", r"heat.interval_s: found 4.0.*8 s or more"),
    ('["left", "right"]', '["left", "left"]', "sites", r"a site is named twice"),
    ('low = "none"\n', "", "[[scales]]", r"scales\[1\].low.*a VAS needs words at both ends"),
    ('kind = "vas"', 'kind = "text"', "low = ", r"scale of kind 'text' has no ends"),
    ("duration_s = 30.0", "duration_s = 0.0", "duration_s", r"phases\[1\].duration_s: found 0.0"),
    ("duration_s = 30.0\n", "", "[[phases]]", r"kind 'rest_baseline' without trials needs duration_s"),
    ("duration_s = 30.0", 'duration_s = 30.0\nfeedback = "rest"', "feedback = ", r"only training has"),
    ("duration_s = 30.0", "duration_s = 30.0\nwaits = true", "waits", r"ends by itself"),
    ('feedback = "rest"\n\n', "\n", 'name = "training"', r"training needs to say which baseline counts"),
    (
        'kind = "training"\nfeedback = "rest"',
        'kind = "heat"\nduration_s = 9.0',
        "duration_s = 9",
        r"leave duration_s out",
    ),
    ('name = "training"', 'name = "rest"', 'name = "rest"\nkind = "training"', r"'rest' stands there before"),
    (
        '["warm", "hot"]',
        '["warm", "hott"]',
        "order",
        r"phases\[2\].trials.order: no level 'hott'; did you mean 'hot'",
    ),
    ('["warm", "hot"]', "[]", "[phases.trials]", r"either an order of levels or counts.*found neither"),
    (
        "relief_s = 3.0",
        "relief_s = [3.0, 1.0]",
        "relief_s",
        r"trials.relief_s.*the shorter time comes first: \[1, 3\]",
    ),
    ("relief_s = 3.0", "relief_s = -3.0", "relief_s", r"trials.relief_s.*no time is negative"),
    ("relief_s = 3.0", 'relief_s = "3 s"', "relief_s", r"trials.relief_s.*that is no time"),
    ("relief_s = 3.0", "relief_s = [1.0, 2.0, 3.0]", "relief_s", r"that is no time"),
    ('ratings = ["intensity"]', 'ratings = ["intens"]', "ratings", r"trials.ratings: no scale 'intens'"),
]


@pytest.mark.parametrize("old, new, at, words", REFUSED, ids=[row[3][:40] for row in REFUSED])
def test_mistake_is_listed_with_line(written, old, new, at, words):
    text = text_with((old, new))
    with pytest.raises(WrongFile, match=words) as refused:
        load_protocol(written(text))
    line = line_of(text, at)
    near = [line, *(line + i for i in (-1, -2, -3))]  # a missing key is told at its table's head
    named = [int(n) for n in re.findall(r"line (\d+),", str(refused.value))]
    assert set(named) & set(near), (named, line)


MORE_REFUSED = [
    ('\n[sources]\nheat = "Smith 1999"\n', r'right is "sourced: where" or "assumed: why"'),
    ('\n[sources]\n"heat.levels.cold" = "assumed: x"\n', r"the file sets no number there"),
    (
        '\n[[sessions]]\nid = "1"\nphases = ["rest", "traning"]\n',
        r"no phase 'traning'; did you mean 'training'",
    ),
    ('\n[[sessions]]\nid = "a b"\nphases = ["rest"]\n', r"sessions\[1\].id"),
    ('\n[[sessions]]\nid = "2"\ntemperatures_of = "1"\nphases = ["rest"]\n', r"no earlier session '1'"),
    ('\n[[arms]]\nid = "a"\nlabel = "A"\n[arms.texts]\nrost = "x"\n', r"no phase 'rost'"),
    ('\n[[arms]]\nid = "a"\nlabel = "A"\n[[arms]]\nid = "b"\nlabel = "A"\n', r"another arm is shown as 'A'"),
    ('\n[[arms]]\nid = "a"\nlabel = "A"\nfeedback = "maybe"\n', r"arms\[1\].feedback: found 'maybe'"),
    ("\n[stop]\nrating_limit = 95.0\n", r"stop.rating_limit: found 95.0.*at most 90"),
    ("\n" + SCALE.format(name="intensity", kind="text"), r"'intensity' stands there before"),
    ("\n" + SCALE.format(name="where", kind="probe"), r"a probe needs two or more different choices"),
    ('\n[[phases]]\nname = "r"\nkind = "rating"\n', r"a phase of kind 'rating' names the scales"),
    ('\n[[phases]]\nname = "h"\nkind = "heat"\n', r"a phase of kind 'heat' needs a table \[phases.trials\]"),
    (
        '\n[[phases]]\nname = "p"\nkind = "pause"\n[phases.trials]\norder = ["hot"]\n',
        r"a phase of kind 'pause' has no trials",
    ),
]


@pytest.mark.parametrize("more, words", MORE_REFUSED, ids=[row[1][:40] for row in MORE_REFUSED])
def test_mistake_in_further_tables_is_listed(written, more, words):
    with pytest.raises(WrongFile, match=words):
        load_protocol(written(text_with(more=more)))


def test_training_without_feedback_and_trials_without_heat_are_refused(written):
    text = text_with(('[feedback]\nfeature = "posterior_alpha"\n', ""))
    with pytest.raises(WrongFile, match=r"phases\[2\].kind: training needs a table \[feedback\]"):
        load_protocol(written(text))
    start, end = TEXT.index("[heat]"), TEXT.index("[[scales]]")
    with pytest.raises(WrongFile, match=r"phases\[2\].trials: trials need a table \[heat\]"):
        load_protocol(written(TEXT[:start] + TEXT[end:]))


def test_published_protocol_needs_source_for_each_number(written):
    published = text_with(('"adapted"', '"as_published"'))
    with pytest.raises(
        WrongFile, match="needs a source for every number, and heat.levels.hot.celsius has none"
    ):
        load_protocol(written(published))
    sources = '\n[sources]\nheat = "sourced: p. 3"\nscales = "sourced: p. 3"\nphases = "sourced: p. 4"\n'
    assert load_protocol(written(published + sources)).assumed == ()
    with pytest.raises(WrongFile, match='then the study is not "as_published"'):
        load_protocol(written(published + sources.replace("sourced: p. 4", "assumed: it fits")))


def test_unmarked_numbers_count_as_assumed():
    protocol = protocol_with(more='\n[sources]\nheat = "sourced: p. 3"\nscales = "assumed: own"\n')
    assert protocol.assumed[0] == "scales"
    assert "phases.rest.duration_s" in protocol.assumed
    assert not any(path.startswith("heat") for path in protocol.assumed)


def test_missing_file_or_invalid_toml_is_refused(tmp_path, written):
    with pytest.raises(UnknownName, match="no protocol 'dmo'; did you mean 'demo'"):
        load_protocol("dmo")
    written(TEXT)
    with pytest.raises(UnknownFile, match="in its folder did you mean 'small.toml'"):
        load_protocol(tmp_path / "smal.toml")
    with pytest.raises(WrongFile, match="is not TOML"):
        load_protocol(written("[study"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongFile, match="is text in UTF-16"):
        load_protocol(tmp_path / "bytes.toml")


def test_check_lists_all_problems_at_once(written):
    """Unknown key, impossible time, temperature, budget, interval, region and code: one message, by line."""
    text = text_with(
        ('title = "A small protocol"', 'title = "A small protocol"\ncolor = "red"'),
        ("celsius = 46.0\nplateau_s = 5.0", "celsius = 49.5\nplateau_s = 20.0"),
        ("duration_s = 30.0", "duration_s = -1.0"),
        ('order = ["warm", "hot"]', 'order = ["hot", "hot"]'),
        ("anticipation_s = 2.0", "anticipation_s = 0.0"),
        ("relief_s = 3.0", "relief_s = 1.0"),
    )
    refusal = check_protocol(
        written(text), RunContext(load_profile("muse-2"), participant="Ann Smith")
    ).refusal
    for words in (
        rf"line {line_of(text, 'color')}, study.color: no such key",
        rf"line {line_of(text, 'duration_s = -1')}, phases\[1\].duration_s: found -1.0",
        rf"line {line_of(text, '[heat.levels.hot]')}, heat.levels.hot: 49.5 °C is asked; at most 49 °C",
        r"heat.levels.hot: 20 s at 49.5 °C .* contact-burn line",
        rf"line {line_of(text, '[phases.trials]')}, phases\[2\].trials: trial \d at left, .* has had .* of its budget",
        r"phases\[2\].trials: trial 2 at left, .*: the last stimulus at this place ended 7.0 s before",
        r"features\[1\]: with Muse 2: feature 'posterior_alpha': there is no region 'posterior'.*there are: frontal",
        r"\nthe participant code 'Ann Smith' has a space",
    ):
        assert re.search(words, refusal), (words, refusal)


def test_level_above_envelope_is_a_problem():
    protocol = protocol_with(("celsius = 46.0", "celsius = 49.5"))
    assert any(
        re.match(r"line \d+, heat.levels.hot: 49.5 °C is asked; at most 49 °C", text)
        for text in problems(protocol, RunContext(HEAD))
    )


def test_site_over_budget_is_a_problem_with_total():
    protocol = protocol_with(
        ('order = ["warm", "hot"]', "counts = { hot = 30 }"), ("relief_s = 3.0", "relief_s = 10.0")
    )
    found = problems(protocol, RunContext(HEAD))
    whole = expand(protocol).doses["left"]
    assert whole > 1
    assert len(found) == 1
    assert re.search(rf"trials: trial \d+ at left, .*; the whole session is {whole:.2f} there", found[0])
    assert problems(protocol, RunContext(HEAD, used={"left": 0.99}))[0].count("trial 1 at left") == 1


def test_interval_check_assumes_shortest_waits():
    """Somebody who waits may be answered at once: then two stimuli come too close."""
    phase = '\n[[phases]]\nname = "{name}"\nkind = "{kind}"\n{more}'
    trials = '[phases.trials]\norder = ["hot"]\n'
    text = phase.format(name="pause", kind="pause", more="duration_s = 100.0\nwaits = true\n") + phase.format(
        name="again", kind="heat", more=trials
    )
    protocol = protocol_with(('["left", "right"]', '["left"]'), more=text)
    found = problems(protocol, RunContext(HEAD))
    # After the last trial: 3 s of relief and 6 s of rating are enough; only the pause lies between.
    assert found == []
    short = protocol_with(
        ('["left", "right"]', '["left"]'),
        ("relief_s = 3.0", "relief_s = 0.0"),
        ("anticipation_s = 2.0", "anticipation_s = 8.0"),
        more=text,
    )
    found = problems(short, RunContext(HEAD))
    assert len(found) == 1
    assert "phases[4].trials: trial 1 at left" in found[0]
    assert "ended 6.0 s before" in found[0]


def test_training_before_its_baseline_is_a_problem():
    protocol = protocol_with(('kind = "rest_baseline"', 'kind = "rest_baseline"\ncollects = "none"'))
    found = problems(protocol, RunContext(HEAD))
    assert any("phases[2].feedback: feedback is scored against the 'rest' baseline" in text for text in found)
    assert problems(protocol, RunContext(HEAD, earlier=record_of(protocol))) == []
    wrong = protocol_with(('feedback = "rest"', 'feedback = "pain"'))
    assert any("against the 'pain' baseline" in text for text in problems(wrong, RunContext(HEAD)))


def test_synchrony_reward_needs_baseline_of_participant():
    changes = [
        ('preset = "posterior_alpha"', 'preset = "region_synchrony"'),
        ('feature = "posterior_alpha"', 'feature = "region_synchrony"'),
    ]
    assert problems(protocol_with(*changes), RunContext(HEAD)) == []
    protocol = protocol_with(
        *changes, ('kind = "rest_baseline"', 'kind = "rest_baseline"\ncollects = "none"')
    )
    found = problems(protocol, RunContext(HEAD))
    assert any("feedback.feature: 'region_synchrony' is synchrony, and no baseline" in text for text in found)


def test_baseline_without_time_or_stimuli_is_a_problem():
    short = protocol_with(("least_s = 20.0", "least_s = 40.0"))
    assert "phases[1].duration_s: it lasts 30 s and must give 40 s of clean EEG" in problems(
        short, RunContext(HEAD)
    )[0].replace("line 49, ", "")
    warm = protocol_with(('kind = "rest_baseline"', 'kind = "rest_baseline"\ncollects = "warm"'))
    assert any("has no stimuli" in text for text in problems(warm, RunContext(HEAD)))


CALIBRATED = (("celsius = 46.0", "pain = 60.0\nfallback_c = 46.0"),)
CALIBRATION = '\n[calibration]\n\n[[phases]]\nname = "find"\nkind = "calibration"\nduration_s = 300.0\n'


def test_pain_that_calibration_calls_unbearable_is_refused(written):
    above = "\n[calibration]\nstop_rating = 60.0\n"
    with pytest.raises(
        WrongFile, match=r"ratings below its stop_rating of 60, .* found 60: ask for less, or raise"
    ):
        load_protocol(written(text_with(*CALIBRATED, more=above)))


def test_pain_levels_need_calibration(written):
    with pytest.raises(WrongFile, match=r"calibration.*levels hot are given as pain"):
        load_protocol(written(text_with(*CALIBRATED)))
    late = protocol_with(*CALIBRATED, more=CALIBRATION)
    found = problems(late, RunContext(HEAD))
    assert any(
        "level 'hot' is given as pain, and no phase of kind 'calibration' comes before" in t for t in found
    )
    known = problems(late, RunContext(HEAD, temperatures={"hot": 45.0}))
    assert not any("'calibration'" in text for text in known)
    move = '\n[[phases]]\nname = "move"\nkind = "pause"\nduration_s = 30.0\n'
    order = '\n[[sessions]]\nid = "1"\nphases = ["find", "rest", "move", "training"]\n'
    assert problems(protocol_with(*CALIBRATED, more=CALIBRATION + move + order), RunContext(HEAD)) == []


def test_calibration_needs_level_and_scale():
    found = problems(protocol_with(more=CALIBRATION), RunContext(HEAD))
    assert any("nothing to calibrate" in text for text in found)
    unasked = protocol_with(*CALIBRATED, ('asks = "intensity"\n', ""), more=CALIBRATION)
    assert any('add a scale with asks = "intensity"' in t for t in problems(unasked, RunContext(HEAD)))


def test_calibration_dose_counts_at_its_own_site():
    order = '\n[[sessions]]\nid = "1"\nphases = ["find", "rest", "training"]\n'
    protocol = protocol_with(*CALIBRATED, more=CALIBRATION + order)
    timeline = expand(protocol)
    assert {step.site for step in timeline.heats} == {"right"}
    budgets = {each.site: each for each in site_budgets(protocol, timeline)}
    assert budgets["left"].share == pytest.approx(calibration_share(protocol))
    assert 0.1 < budgets["left"].share < 0.5
    assert budgets["left"].stimuli == 0


def test_unknown_sham_is_refused_with_those_there_are():
    protocol = protocol_with(more='\n[[arms]]\nid = "a"\nlabel = "A"\nfeedback = "sham:replay"\n')
    found = problems(protocol, RunContext(HEAD))
    assert any(
        "arms[1].feedback: found 'sham:replay'; did you mean 'sham:self'? there are: " in text
        for text in found
    )


def test_arm_is_chosen_by_id():
    protocol = protocol_with(
        more='\n[[arms]]\nid = "a"\nlabel = "A"\n[arms.texts]\nrest = "Now."\n'
        '\n[[arms]]\nid = "b"\nlabel = "B"\nfeedback = "none"\n'
    )
    with pytest.raises(WrongInput, match=r"several arms \(A, B\): say which one"):
        protocol.arm()
    with pytest.raises(UnknownName, match="no arm 'c'"):
        protocol.arm("c")
    assert expand(protocol, arm="a").phases[0].text == "Now."
    assert expand(protocol, arm="a").phases[1].feedback == "rest"
    assert expand(protocol, arm="b").phases[1].feedback is None
    assert expand(protocol, arm="b").steps[2:] == expand(protocol, arm="a").steps[2:]


def test_check_without_choice_covers_all_arms_and_sessions():
    """What is wrong in the second arm, or the second session, is not hidden by the first."""
    arms = '\n[[arms]]\nid = "a"\nlabel = "A"\nfeedback = "none"\n\n[[arms]]\nid = "b"\nlabel = "B"\n'
    sessions = '\n[[sessions]]\nid = "1"\nphases = ["rest", "training"]\n'
    second = '\n[[sessions]]\nid = "2"\nphases = ["training"]\n'
    assert problems(protocol_with(more=arms + sessions), RunContext(HEAD)) == []
    protocol = protocol_with(more=arms + sessions + second)
    (found,) = problems(protocol, RunContext(HEAD))
    assert "in session '2' gives it" in found
    assert found.endswith("(session '2')")
    assert problems(protocol, RunContext(HEAD, session="1")) == []
    assert problems(protocol, RunContext(HEAD, session="2", arm="a")) == []
    assert len(problems(protocol, RunContext(HEAD, session="2", arm="b"))) == 1


def test_warnings_name_revealing_labels_and_assumed_numbers(written):
    more = '\n[[arms]]\nid = "m"\nlabel = "Mindfulness"\n\n[[arms]]\nid = "c"\nlabel = "B"\n'
    report = check_protocol(written(text_with(more=more)), RunContext(HEAD))
    assert any("arm 'Mindfulness': the label tells which arm it is" in text for text in report.warnings)
    assert not any("'B'" in text for text in report.warnings)
    assert any(text.startswith("assumed, not published: ") for text in report.warnings)


def test_moving_probe_needs_time(written):
    more = (
        '\n[[phases]]\nname = "heat"\nkind = "heat"\n[phases.trials]\norder = ["hot"]\nanticipation_s = 9.0\n'
    )
    report = check_protocol(written(text_with(more=more)), RunContext(HEAD))
    assert "the probe moves from 'left' to 'right' for phase 'heat', and there are 0 s" in report.refusal


def test_missing_requirements_are_listed():
    protocol = protocol_with(("[[features]]", '[needs]\nregions = ["insula", "posterior"]\n\n[[features]]'))
    found = problems(protocol, RunContext(HEAD))
    assert len(found) == 1
    assert re.match(
        r"line \d+, needs.regions\[1\]: Simulated headset has no region 'insula'; there are: ", found[0]
    )


def test_unknown_session_or_arm_is_a_problem():
    sessions = '\n[[sessions]]\nid = "pre"\nphases = ["rest"]\n'
    found = problems(protocol_with(more=sessions), RunContext(HEAD, session="prae"))
    assert found == ["the file: no session 'prae' in this protocol; did you mean 'pre'? there are: pre"]


def record_of(protocol, z_shift=0.0):
    measure = Measure.of(protocol.features[0])
    content = {
        "feature": measure.name,
        "condition": "rest",
        "window_s": measure.window_s,
        "log": measure.log,
        "unit": measure.unit,
        "declared": measure.declared,
        "clean_s": 60.0,
        "withheld_s": {},
        "values": [float(i) + z_shift for i in range(100)],
    }
    prior = prior_spectrum(250.0)
    spectrum = Spectrum(prior.freqs_hz, np.tile(prior.density, (N_CHANNELS, 1)))
    participant_fit = ParticipantFit(0, 10.5, Calibration.assumed(N_CHANNELS), spectrum)
    return ParticipantRecord(participant_fit, (Baseline.read(content),))


def test_reward_rate_is_predicted_from_baseline(written):
    path = written(TEXT)
    promised = check_protocol(path, RunContext(HEAD)).reward
    assert promised.rate == 0.65
    assert "aims at" in promised.why
    low, high = promised.first_block
    assert (round(low, 2), round(high, 2)) == (0.42, 0.84)
    prediction = check_protocol(path, RunContext(HEAD, earlier=record_of(load_protocol(path)))).reward
    assert prediction.rate == pytest.approx(0.65, abs=0.02)
    assert "rehearsed" in prediction.why
    assert prediction.first_block[0] < prediction.rate < prediction.first_block[1]
    fixed = written(
        text_with(
            (
                'feature = "posterior_alpha"',
                'feature = "posterior_alpha"\nthreshold = { rule = "fixed", z = 1.0 }',
            )
        )
    )
    assert check_protocol(fixed, RunContext(HEAD)).reward.rate is None
    at_one_sd = check_protocol(fixed, RunContext(HEAD, earlier=record_of(load_protocol(fixed)))).reward.rate
    assert at_one_sd == pytest.approx(0.21, abs=0.02)  # of evenly spread values, above mean + 1 SD


def test_threshold_never_reached_in_baseline_is_a_problem(written):
    path = written(
        text_with(
            (
                'feature = "posterior_alpha"',
                'feature = "posterior_alpha"\nthreshold = { rule = "fixed", z = 5.0 }',
            )
        )
    )
    report = check_protocol(path, RunContext(HEAD, earlier=record_of(load_protocol(path))))
    assert any("lies outside what its 'rest' baseline ever reached" in text for text in report.problems)


def test_filter_accuracy_is_predicted_from_participant_spectrum(written):
    path = written(TEXT)
    usual = check_protocol(path, RunContext(HEAD)).features[0]
    own = check_protocol(path, RunContext(HEAD, earlier=record_of(load_protocol(path)))).features[0]
    assert usual.band_hz == (8.0, 12.0)
    assert own.band_hz == (8.5, 12.5)
    assert usual.delay_s == own.delay_s == 0.1
    assert not usual.own
    assert own.own
    assert 0.5 < usual.correlation < 1.0
    assert usual.channels == ("P3", "Pz", "P4", "O1", "Oz", "O2")


def test_read_baseline_returns_what_a_session_wrote(written, tmp_path):
    record = record_of(load_protocol(written(TEXT)))
    (tmp_path / "baseline.json").write_text(json.dumps(record.as_dict()), "utf-8")
    for path in (tmp_path, tmp_path / "baseline.json"):
        assert read_baseline(path).as_dict() == record.as_dict()


def test_read_baseline_without_a_file_is_refused(tmp_path):
    with pytest.raises(UnknownFile, match="no baseline in .*baseline.json"):
        read_baseline(tmp_path)


@pytest.mark.parametrize(
    "changes, words",
    [
        ("[", "Expecting value"),
        ("{}", "'calibration' is missing"),
        ("[]", "needed is a table with spectrum, iaf_hz and baselines"),
        ({"spectrum": None}, "is not what a session writes"),
        ({"baselines": 3}, "is not what a session writes"),
        ({"calibration": {}}, "'swing_uv' is missing"),
        ({"baselines": [{"feature": "x"}]}, "missing; needed is"),
    ],
)
def test_read_baseline_of_something_else_is_refused_with_a_reason(written, tmp_path, changes, words):
    whole = record_of(load_protocol(written(TEXT))).as_dict()
    text = changes if isinstance(changes, str) else json.dumps({**whole, **changes})
    (tmp_path / "baseline.json").write_text(text, "utf-8")
    with pytest.raises(WrongInput, match=words):
        read_baseline(tmp_path)


@pytest.mark.parametrize("code", ["P07", "x", "a1b2c3", "S1024", "A" * 32])
def test_pseudonym_is_accepted(code):
    assert pseudonym_problem(code) == ""


@pytest.mark.parametrize(
    "code, words",
    [
        ("", "is empty"),
        ("Ann Smith", "has a space"),
        ("ann@lab.org", "looks like an e-mail"),
        ("19840312", "looks like a date"),
        ("P12031984", "looks like a date"),
        ("2026-11-24", "looks like a date"),
        ("3.12.84", "looks like a date"),
        ("Müller", "accent or umlaut"),
        ("P-07", "has - in it"),
        ("P_07", "has _ in it"),
        ("smith1984", "a year of birth"),
        ("1984as", "a year of birth"),
        ("A" * 33, "longer than 32"),
        ("../P07", r"has \., / in it"),
    ],
)
def test_pseudonym_with_personal_data_is_refused_with_a_reason(code, words):
    assert re.search(rf'{words}.*as "P07"', pseudonym_problem(code))


JUNK = (
    "-1",
    "0",
    "1e9",
    "nan",
    "true",
    '"x"',
    '""',
    "[]",
    "{}",
    "[1, 2]",
    "[[1]]",
    '["hot"]',
    "{ a = 1 }",
    '"rest"',
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_broken_file_is_refused_with_a_message(tmp_path_factory, data):
    lines = TEXT.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(lines) - 1))
        if "=" in lines[i] and data.draw(st.booleans()):
            lines[i] = lines[i].split("=")[0] + "= " + data.draw(st.sampled_from(JUNK))
        else:
            del lines[i]
    path = tmp_path_factory.mktemp("broken") / "small.toml"
    path.write_text("\n".join(lines), "utf-8")
    try:
        report = check_protocol(path, RunContext(HEAD, participant="P07"))
    except WrongFile as error:
        words = str(error)
    else:
        words = report.refusal or "nothing is wrong"
        assert (report.timeline is None) <= bool(report.problems)
    assert re.search(r"is not TOML|has \d+ problems?:\n  .|nothing is wrong", words)


@pytest.mark.parametrize(
    ("kind", "more", "shown"),
    [
        ("rest_baseline", {}, "point"),
        ("rest_baseline", {"shows": "shape"}, "shape"),
        ("instruction", {}, "shape"),
        ("instruction", {"shows": "point"}, "point"),
    ],
)
def test_eyes_rest_on_the_point_in_baselines_unless_the_protocol_says_otherwise(kind, more, shown):
    from neurofb.protocol.phases import Phase

    phase = Phase(name="a", kind=kind, duration_s=10.0, **more)
    assert phase.shown == shown
    assert phase.breaths_per_min is None
    with pytest.raises(ValueError, match="breaths_per_min"):
        Phase(name="a", kind=kind, duration_s=10.0, breaths_per_min=90.0)
