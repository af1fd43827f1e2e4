"""The report of a session: its facts against plain NumPy, and what the page may and may not contain."""

import ast
import json
import re
import shutil
import struct
import tomllib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke
from jinja2 import UndefinedError
from report_parts import BLOCKS, REST_ONLY, cut, demo, report, session
from scipy.signal import welch

from neurofb.commands import report as report_command
from neurofb.commands import run
from neurofb.errors import NeurofbError, RecordingFailed, UnknownFile, WrongInput
from neurofb.events import Event
from neurofb.format import DASH, NOTICE, clock, number, percent, signed
from neurofb.offline.report import Report, html, report_of, write_report
from neurofb.offline.report.document import make_report, save
from neurofb.offline.report.facts import facts_of
from neurofb.offline.report.header import without_arms
from neurofb.offline.report.reward_stats import slope
from neurofb.offline.report.spectra import MOST_UV
from neurofb.offline.report.timeline import binned
from neurofb.recording.session_recording import open_session_recording

#: Words of effects that nothing here can show; the notice, which denies them, is taken out first.
FORBIDDEN = (
    r"relie(f|ves?) of|pain relief|reliev|analges|therap|\btreat|\bcur(e|es|ed|ing)\b|\bheal(s|ed|ing)?\b|efficac|"
    r"effective|benefi|improve|reduces? pain|less pain|soothe|clinically proven"
)


@pytest.fixture(scope="module")
def facts():
    return facts_of(open_session_recording(demo()))


@pytest.fixture(scope="module")
def made():
    return report(demo())


@pytest.fixture(scope="module")
def trained():
    return facts_of(open_session_recording(session(BLOCKS, "verum_of_the_trial")))


# -- facts -------------------------------------------------------------------------------------------------------


def test_phases_follow_each_other(facts):
    names = [(phase.name, phase.phase_kind) for phase in facts.annotations.phases]
    assert names == [("welcome", "instruction"), ("rest", "rest_baseline"), ("training", "training")]
    edges = [(phase.start_s, phase.end_s) for phase in facts.annotations.phases]
    assert np.array(edges) == pytest.approx(np.array([(0, 3), (3, 27), (27, 90)]), abs=0.05)
    assert [(p.first, p.stop) for p in facts.annotations.phases[1:]] == [(745, 6745), (6745, 22495)]
    assert (facts.annotations.outcome, facts.recording.is_whole) == ("finished", True)


def test_reward_rates_equal_delivered_values(facts):
    given = facts.recording.feedback
    training = facts.rates[2]
    assert training.n == len(given["level"]) > 1000
    assert training.usable == np.mean(given["usable"])
    assert training.rewarded == np.mean(given["reward"])
    assert [rates.n for rates in facts.rates[:2]] == [0, 0]
    theta = facts.recording.features["frontal_midline_theta.usable"]
    index = facts.recording.features["index"]
    assert facts.rates[1].features["frontal_midline_theta"] == theta[(index >= 745) & (index < 6745)].mean()


def test_reasons_equal_the_count_of_the_session(facts):
    ended = next(event for event in facts.recording.events if event.kind == "block_ended")
    assert facts.rates[2].reasons == Counter(ended.details["withheld"])
    assert facts.rates[2].reasons.total() == np.sum(facts.recording.feedback["usable"] == 0)


def test_age_histogram_equals_numpy(facts):
    ages = facts.recording.feedback["age_s"]
    counts, edges = np.histogram(ages, 60, (0, facts.ages.edges_s[-1]))
    assert facts.ages.counts.tolist() == counts.tolist()
    assert facts.ages.edges_s == pytest.approx(edges)
    assert facts.ages.counts.sum() + facts.ages.n_older == len(ages)
    assert facts.ages.p99_s == np.percentile(ages, 99)
    assert facts.ages.filter_s == pytest.approx(0.15)


def test_spectra_equal_scipy_welch(facts):
    recording, spectra = facts.recording, facts.spectra
    channel = recording.labels.index("Oz")
    rest = [phase.name for phase in spectra.phases].index("rest")
    assert spectra.n_clean[rest, channel] == spectra.n_windows[rest] == 23
    x = recording.eeg(745, 6745)[:, channel]
    taper = np.hanning(501)[:500]
    freqs, power = welch(x, 250.0, window=taper, nperseg=500, detrend="linear")
    kept = freqs <= 45
    assert spectra.freqs_hz == pytest.approx(freqs[kept])
    assert spectra.power[rest, channel, 1:] == pytest.approx(power[kept][1:], rel=1e-9)
    peak_hz = freqs[(freqs >= 7) & (freqs <= 13)][power[(freqs >= 7) & (freqs <= 13)].argmax()]
    assert abs(peak_hz - facts.spectra.iaf_hz) <= 1.0


def test_windows_with_blinks_are_left_out(facts):
    recording, spectra = facts.recording, facts.spectra
    channel, training = recording.labels.index("Fp1"), facts.annotations.phases[2]
    x = recording.eeg(training.first, training.stop)[:, channel]
    starts = range(0, len(x) - 499, 250)
    t = np.arange(500)
    lines = [np.polynomial.Polynomial.fit(t, x[k : k + 500], 1)(t) for k in starts]
    swings = [np.ptp(x[k : k + 500] - line) for k, line in zip(starts, lines, strict=True)]
    clean = sum(swing <= MOST_UV for swing in swings)
    assert 0 < clean < len(swings)
    assert (spectra.n_clean[1, channel], spectra.n_windows[1]) == (clean, len(swings))


def test_dose_equals_the_integral_of_readings(facts):
    """The dose again, from the readings alone: ∫ dt / exp(113.4 − 28.3 ln T)."""
    readings = facts.recording.stimulus
    line_s = np.exp(113.4 - 28.3 * np.log(readings["measured_c"]))
    dose = np.trapezoid(1 / line_s, readings["time_s"])
    assert facts.doses["left forearm"] == pytest.approx(dose, rel=0.02)
    assert len(facts.stimuli) == 4
    assert [s.target_c for s in facts.stimuli] == [36, 46, 36, 46]
    assert sum(s.dose for s in facts.stimuli) == pytest.approx(dose, rel=0.02)
    assert all(s.end == "ended" and abs(s.highest_c - s.target_c) < 0.2 for s in facts.stimuli)


def test_channels_are_judged_as_in_the_session(facts):
    for channel in facts.channels:
        assert channel.states.total() == facts.recording.n_samples // 62
        assert channel.missing == 0
    x = facts.recording.eeg()[: facts.recording.n_samples // 62 * 62, 3].reshape(-1, 62)
    assert facts.channels[3].deviation_uv == pytest.approx(np.median(x.std(axis=1)))


def test_blocks_and_their_slope(trained):
    given = trained.recording.feedback
    assert [block.span.label for block in trained.blocks] == ["block 1", "block 2", "block 3"]
    assert [phase.label for phase in trained.annotations.phases[1:4]] == [
        "practice 1",
        "practice 2",
        "practice 3",
    ]
    z = []
    for block in trained.blocks:
        inside = (given["index"] >= block.span.first) & (given["index"] < block.span.stop)
        usable = given["z"][inside & (given["usable"] == 1)]
        z.append(np.mean(usable))
        assert block.z == pytest.approx(z[-1])
        assert block.rewarded == given["reward"][inside].mean()
        success = block.span.details["result"]["success"]
        assert block.success == pytest.approx(success["above_start"] / success["values"])
    slopes = trained.slopes[0]
    assert (slopes.condition, slopes.n_blocks) == ("rest", 3)
    assert slopes.z_per_block == pytest.approx(np.polyfit(range(3), z, 1)[0])


def test_rest_before_and_after_are_found(trained, facts):
    assert [rest.name for rest in trained.annotations.rests()] == ["rest_before", "rest_after"]
    assert facts.annotations.rests() is None


def test_slope_of_nothing_is_no_number():
    assert np.isnan(slope(np.array([1.0]), np.array([2.0])))
    assert np.isnan(slope(np.empty(0), np.empty(0)))
    assert slope(np.array([0.0, 1.0, np.nan]), np.array([1.0, 3.0, 9.0])) == pytest.approx(2.0)


def test_binned_values_keep_their_extremes():
    time_s = np.linspace(0, 9.999, 1000)
    values = np.sin(time_s)
    values[500] = 7.0
    middles, mean, least, most = binned(time_s, values, 10.0, 10)
    assert len(middles) == 10
    assert most[5] == 7.0
    assert least[0] == values[:100].min()
    assert mean[9] == pytest.approx(values[900:].mean())


# -- the page ----------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Collects what is open, what is referenced, and all text."""

    VOID = ("meta", "use", "path", "rect", "image", "stop", "circle", "line", "br")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.names, self.links = [], [], Counter(), []
        self.attributes, self.text = set(), []

    def handle_starttag(self, tag, attrs):
        self.names[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "xlink:href", "src")]
        self.links += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_data(self, data):
        self.text.append(data)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_well_formed_and_fetches_nothing(made):
    tags = Tags()
    tags.feed(made.html)
    assert tags.open == []
    assert "script" not in tags.names
    assert "http://" not in made.html
    assert "https://" not in made.html
    assert "@import" not in made.html
    for link in tags.links:
        assert link.startswith(("#", "data:image/png;base64,")), link
        if link.startswith("#"):
            assert link[1:] in tags.ids, link
    assert tags.names["svg"] >= 7


def test_page_has_key_figures_and_sections(made, facts):
    head = made.html[:20_000]
    assert NOTICE in head
    assert run.NOTICE == NOTICE
    answered = sum(each.value is not None for each in facts.answers)
    shares = percent(facts.share("usable")), percent(facts.share("rewarded"))
    for words in (*shares, "finished", f"{answered} / 8", "median age, plus 150 ms of filters", "simulated"):
        assert words in head, words
    for words in (
        "movement: Fz",
        "evoked response to heat onset",
        "left forearm",
        "CRED-nf",
        "heat, scales, phases",
    ):
        assert words in made.html, words
    assert facts.at("provenance", "kernels_sha256") in made.html
    assert facts.at("protocol", "sha256") in made.html
    assert len(made.html) < 1_500_000


def test_page_claims_nothing(made):
    for page in (made.html, report(session(BLOCKS, "verum_of_the_trial")).html):
        words = re.sub(r"<pre>.*?</pre>|<style>.*?</style>", "", page, flags=re.DOTALL).replace(NOTICE, "")
        found = re.search(FORBIDDEN, words, re.IGNORECASE)
        assert found is None, words[max(0, found.start() - 60) : found.end() + 60]


def test_report_never_names_the_arm():
    """The same session in another arm gives the same report, but for its date; and no hash stands for the arm."""
    pages = []
    for arm in ("verum_of_the_trial", "placebo_of_the_trial"):
        made = report(session(BLOCKS, arm))
        settings = json.loads((session(BLOCKS, arm) / "session.json").read_text())
        assert arm not in made.html + json.dumps(made.checklist)
        pages.append((made.html + json.dumps(made.checklist)).replace(settings["date"], "DATE"))
    assert pages[0] == pages[1]


def test_protocol_is_shown_without_its_arms():
    shown = without_arms(BLOCKS)
    assert "of_the_trial" not in shown
    assert shown.endswith("# its arms are left out here")
    assert 'phases = ["rest_before"' in shown
    assert without_arms(REST_ONLY) == REST_ONLY.rstrip("\n")
    told = '[[arms]]\nid = "x"\n[arms.texts]\na = """\n[no table]\nverum"""\n[study]\nid = "s"\n'
    assert without_arms(told) == '[study]\nid = "s"\n# its arms are left out here'
    assert "verum" not in without_arms('arms = [{ id = "verum" }]\n')


#: What would become markup, a template or an attribute if anything took it for one.
HOSTILE = """<script>alert(1)</script>{{7*7}}"onload="alert(1)" 'onload='x'{% include 'style.css' %}</pre><b>&amp;"""


def test_texts_from_outside_are_escaped():
    page = report(session(BLOCKS, "verum_of_the_trial")).html
    assert "A small &lt;study&gt; &amp; its session" in page
    assert "<study>" not in page


def page_with(text, folder):
    """The page of a session whose notes, labels, answers, settings and protocol hold a text."""
    cut(session(BLOCKS, "verum_of_the_trial"), 10**9, folder)
    settings = json.loads((folder / "session.json").read_text())
    settings["participant"] = settings["device"]["title"] = settings["protocol"]["title"] = text
    settings["protocol"]["assumed"] = [text]
    settings["provenance"]["compiler_flags"] = text
    (folder / "session.json").write_text(json.dumps(settings))
    (folder / "protocol.toml").write_text(f"# {text}\n{BLOCKS}")
    recording = open_session_recording(folder)
    asked = {"scale": text, "value": text, "level": text, "phase": text, "trial": 1}
    last_s = recording.events[-1].time_s
    recording.events.append(Event("rating", last_s, text, None, asked))
    recording.events.append(Event(text, last_s, text))
    tags = Tags()
    tags.feed(make_report(recording).html)
    assert tags.open == []
    return tags


def test_hostile_texts_are_shown_and_change_nothing(tmp_path):
    tags, harmless = page_with(HOSTILE, tmp_path / "hostile"), page_with("harmless", tmp_path / "harmless")
    assert tags.names == harmless.names
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert "".join(tags.text).count(HOSTILE) == "".join(harmless.text).count("harmless") > 12


def test_no_markup_is_made_in_python():
    """The page comes from templates, which escape; an f-string would not."""
    for path in Path(html.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else ()
            texts = [part.value for part in parts if isinstance(part, ast.Constant)]
            assert not any("<" in text for text in texts), f"{path.name}:{node.lineno}"


def test_template_without_its_value_is_an_error():
    with pytest.raises(UndefinedError):
        html.environment().from_string("{{ nothing }}").render()


def test_missing_numbers_are_dashes():
    assert number(float("nan")) == signed(float("nan")) == percent(float("nan")) == DASH
    assert signed(-0.0004) == "+0.00"
    assert (clock(3725, hours=True), clock(65.4, hours=True)) == ("1:02:05", "1:05")


def test_session_of_rest_alone():
    made = report(session(REST_ONLY))
    for words in (
        "There was no heat in this session",
        "Nothing was asked in this session",
        "No feedback was given in this session",
        "There was no feedback block",
    ):
        assert words in made.html, words
    states = {(box["item"], box["state"]) for box in made.checklist["boxes"]}
    assert {("4d", "author"), ("5a", "author"), ("6a", "author")} <= states


# -- sessions that broke off -------------------------------------------------------------------------------------


def test_session_that_broke_off_in_training(tmp_path):
    size = (demo() / "recording.xdf").stat().st_size
    made = report_of(cut(demo(), int(size * 0.62), tmp_path / "cut"))
    assert "broken off" in made.html[:20_000]
    assert "The recording is not whole" in made.html
    assert "The session did not close its ledger" in made.html
    assert made.checklist["whole"] is False


@pytest.mark.parametrize("n_bytes", [4, 3000, 40_000])
def test_session_that_broke_off_at_its_beginning(tmp_path, n_bytes):
    folder = cut(demo(), n_bytes, tmp_path / "cut")
    made = report_of(folder)
    assert "The recording is not whole" in made.html
    assert len(made.checklist["boxes"]) == 24


def test_session_whose_settings_are_lost(tmp_path):
    folder = cut(session(REST_ONLY), 10**9, tmp_path / "cut")
    (folder / "session.json").write_text("{")
    (folder / "protocol.toml").unlink()
    made = report_of(folder)
    assert "session.json cannot be read" in made.html
    assert "channels cannot be judged" in made.html


def test_recording_with_damaged_numbers(tmp_path):
    """Numbers near the largest there are, where there was a value."""
    folder = cut(session(REST_ONLY), 10**9, tmp_path / "cut")
    values = open_session_recording(folder).features
    value = values["posterior_alpha"][values["posterior_alpha.usable"] == 1][5]
    content = (folder / "recording.xdf").read_bytes()
    assert content.count(struct.pack("<d", value)) == 1
    damaged = content.replace(struct.pack("<d", value), struct.pack("<d", 1e300))
    (folder / "recording.xdf").write_bytes(damaged)
    assert len(report_of(folder).checklist["boxes"]) == 24


def test_report_of_no_session_is_refused(tmp_path):
    with pytest.raises(UnknownFile, match=r"has no recording\.xdf"):
        report_of(tmp_path)


# -- files -------------------------------------------------------------------------------------------------------


def test_report_and_checklist_are_written_and_replaced(tmp_path):
    folder = Path(shutil.copytree(demo(), tmp_path / "demo"))
    path = write_report(folder)
    assert path == folder / "report.html"
    assert path.read_text() == report(demo()).html, "the same recording gives the same page"
    assert json.loads((folder / "cred-nf.json").read_text())["n_boxes"] == 24
    first = path.read_text()
    path.write_text(first + "older")
    made = Report(first, report(demo()).checklist, folder)
    assert save(made) == path
    assert path.read_text() == first
    named = save(made, tmp_path / "to" / "P07.html")
    assert sorted(each.name for each in named.parent.iterdir()) == ["P07.html", "P07_cred-nf.json"]


def test_report_replaces_nothing_else(tmp_path):
    folder = session(REST_ONLY)
    recording = (folder / "recording.xdf").read_bytes()
    with pytest.raises(WrongInput, match="no earlier report; a report replaces nothing else"):
        save(report(folder), folder / "recording.xdf")
    assert (folder / "recording.xdf").read_bytes() == recording
    (tmp_path / "cred-nf.json").write_text("{}")
    with pytest.raises(WrongInput, match=r"cred-nf\.json exists and is no earlier report"):
        save(report(folder), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_report_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingFailed, match="choose another place with --out"):
        save(report(session(REST_ONLY)), tmp_path / "file" / "report.html")


def test_report_command_prints_the_path(tmp_path):
    said = invoke(report_command.command, session(REST_ONLY), "--out", tmp_path / "report.html").stdout
    assert f"report: {tmp_path / 'report.html'}" in said
    assert "of 24 boxes" in said
    assert "not whole" not in said


def test_report_command_prints_the_checklist_as_json(tmp_path):
    page = tmp_path / "report.html"
    printed = json.loads(invoke(report_command.command, session(REST_ONLY), "--out", page, "--json").stdout)
    assert printed == json.loads((tmp_path / "cred-nf.json").read_text())


def test_every_error_is_one_of_ours(tmp_path):
    (tmp_path / "recording.xdf").write_bytes(b"no XDF at all")
    with pytest.raises(NeurofbError):
        report_of(tmp_path)


def test_templates_are_package_data():
    """Files beside the modules of the package must be in the wheel, too."""
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    patterns = tomllib.loads(pyproject.read_text())["tool"]["setuptools"]["package-data"][
        "neurofb.offline.report"
    ]
    report_room = Path(html.__file__).parent
    packed = {path for pattern in patterns for path in report_room.glob(pattern)}
    assert packed == {path for path in (report_room / "templates").rglob("*") if path.is_file()}
    assert len(packed) == 16
