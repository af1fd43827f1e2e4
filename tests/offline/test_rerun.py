"""A recorded session once more: equal to the last bit, whatever happened in it; and every change is found."""

import json
import os
import shutil

import numpy as np
import pytest
from command_line import invoke
from offline_parts import PROTOCOL, protocol, session
from session_parts import command

from neurofb.commands import rerun
from neurofb.errors import UnknownFile, WrongFile, WrongInput
from neurofb.offline.comparison import compare, relative_difference, same_bits, what_differs
from neurofb.offline.rerun import compute, instructions, loop_of
from neurofb.offline.what_if import what_if
from neurofb.protocol.design import load_protocol
from neurofb.recording.session_recording import open_session_recording

#: For a headset without a midline.
TEMPORAL = PROTOCOL.replace(
    'preset = "frontal_midline_theta"',
    'name = "alpha"\nkind = "power"\nat = { region = "temporal" }\nband = ["iaf-2", "iaf+2"]',
).replace('feature = "frontal_midline_theta"', 'feature = "alpha"')


def again(folder, **settings):
    recording = open_session_recording(folder)
    return compare(recording, compute(recording, loop_of(recording)), **settings)


def check(folder, as_json=False, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return invoke(rerun.command, folder, "--check", *words, *(["--json"] if as_json else []))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return session(tmp_path_factory.mktemp("recorded")).folder


@pytest.fixture
def copied(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    "faults, device, kinds",
    [
        (("loss@22+1", "loss=0.004"), "simulated", {"gap"}),
        (("stall@22+3",), "simulated", {"stale"}),
        (("disconnect@22+6",), "simulated", {"state"}),
        (("loss=0.02",), "muse-2", set()),
        (("off@20+6:Fz", "saturation@27+1"), "simulated", {"channel_left"}),
        (("jump@22+0.4", "jitter=0.02", "drift=200"), "simulated", set()),
    ],
    ids=["loss", "stall", "disconnect", "zeros", "contact", "clock"],
)
def test_rerun_with_headset_faults_is_bit_equal(tmp_path, faults, device, kinds):
    text = TEMPORAL if device == "muse-2" else PROTOCOL
    ran = session(tmp_path, text=text, headset_faults=faults, device=device)
    assert ran.outcome.kind == "finished", ran.outcome.message
    assert kinds <= {event["kind"] for event in ran.events}
    verdict = again(ran.folder)
    assert verdict.is_equal, verdict.difference
    assert verdict.demands_bits
    assert verdict.n_same_bits == verdict.n_values + verdict.n_feedback > 1000
    assert verdict.n_reasons > 3


def test_rerun_with_pause_is_bit_equal(tmp_path):
    acts = [
        (5.0, command("pause")),
        (7.0, command("resume")),
        (28.0, command("pause")),
        (30.0, command("resume")),
    ]
    ran = session(tmp_path, acts)
    told = [each.do for each in instructions(open_session_recording(ran.folder).events)]
    assert told.count("discard") == 1
    assert told.count("start_block") == 2
    assert again(ran.folder).is_equal
    assert [block.condition for block in _blocks(ran.folder)] == ["rest", "rest"]


def _blocks(folder):
    recording = open_session_recording(folder)
    return compute(recording, loop_of(recording)).blocks


def test_rerun_with_earlier_baseline_is_bit_equal(tmp_path, recorded):
    text = PROTOCOL[: PROTOCOL.index("[[phases]]")] + PROTOCOL[PROTOCOL.rindex("[[phases]]") :]
    ran = session(tmp_path, text=text, baseline=recorded, seed=3)
    recording = open_session_recording(ran.folder)
    assert recording.settings["given"]["baselines"]
    assert "collect" not in [each.do for each in instructions(recording.events)]
    verdict = again(ran.folder)
    assert verdict.is_equal, verdict.difference
    assert recording.feedback["usable"].sum() > 100


def test_rerun_of_session_ended_by_heat_is_bit_equal(tmp_path):
    ran = session(tmp_path, thermode_faults=("stuck@24",))
    assert ran.outcome.kind == "aborted"
    assert again(ran.folder).is_equal


def test_rerun_check_prints_equality_and_exits_0(recorded):
    result = check(recorded)
    assert result.exit_code == 0
    assert "equal to the last bit: " in result.stdout
    assert result.stderr == ""
    result = check(recorded, as_json=True)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["equal"]
    assert document["bits_demanded"]
    assert document["rows"]["same_bits"] == document["rows"]["features"] + document["rows"]["feedback"]
    assert document["difference"] is None


def flip(folder, stream, column, change=None):
    """Change a number of the record by its lowest bit, or by a factor; give its sample."""
    table = getattr(open_session_recording(folder), stream)
    content = bytearray((folder / "recording.xdf").read_bytes())
    for row in range(len(table["index"]) // 2, len(table["index"])):
        value = table[column][row]
        found = content.count(value.tobytes())
        if np.isfinite(value) and value not in (0.0, 0.5, 1.0) and found == 1:
            break
    at = content.index(value.tobytes())
    if change is None:
        content[at] ^= 1
    else:
        content[at : at + 8] = np.float64(value * change).tobytes()
    (folder / "recording.xdf").write_bytes(content)
    return int(table["index"][row])


@pytest.mark.parametrize("column", ["level", "z", "success_index"])
def test_rerun_finds_a_single_changed_bit(copied, column):
    index = flip(copied, "feedback", column)
    result = check(copied)
    assert result.exit_code == 2
    said = result.stderr
    assert f"first difference: feedback, '{column}' at sample {index} " in said
    assert said.count("0x1") == 2
    difference = again(copied).difference
    assert (difference.stream, difference.column, difference.index) == ("feedback", column, index)
    assert difference.recorded != difference.now
    assert invoke(rerun.command, copied, "--json").exit_code == 0  # told, but no error unless it is asked for


def test_rerun_finds_a_changed_eeg_sample(copied):
    recording = open_session_recording(copied)
    at = recording.n_samples // 2
    samples = recording.eeg_stream.values(at, at + 1)
    content = (copied / "recording.xdf").read_bytes()
    assert content.count(samples.tobytes()) == 1
    changed = samples.copy()
    changed[0, recording.labels.index("Fz")] += 10
    (copied / "recording.xdf").write_bytes(content.replace(samples.tobytes(), changed.tobytes()))
    difference = again(copied).difference
    assert difference.stream == "features"
    assert at <= difference.index < at + 100


def test_rerun_finds_a_changed_reason(copied):
    content = (copied / "recording.xdf").read_bytes()
    changed = content.replace(b"evoked response to heat onset", b"evoked response to heat ONSET")
    assert changed != content
    (copied / "recording.xdf").write_bytes(changed)
    difference = again(copied).difference
    assert (difference.stream, difference.column) == ("reasons", "why")
    assert difference.recorded.startswith("evoked response to heat ONSET (from sample")


def _elsewhere(folder, **changed):
    settings = json.loads((folder / "session.json").read_text("utf-8"))
    settings["provenance"] |= changed
    (folder / "session.json").write_text(json.dumps(settings), "utf-8")


def test_rerun_on_another_processor_tolerates_last_bits(copied):
    _elsewhere(copied, processor="Another 3000", kernels_sha256="0" * 64)
    verdict = again(copied)
    assert verdict.is_equal
    assert not verdict.demands_bits
    flip(copied, "feedback", "z")
    verdict = again(copied)
    assert verdict.is_equal
    assert verdict.n_same_bits == verdict.n_values + verdict.n_feedback - 1
    assert 0 < verdict.worst < 1e-12
    result = check(copied)
    assert result.exit_code == 0
    said = result.stdout
    assert "another processor (Another 3000 then, " in said
    assert "another build of the kernels (000000000000… then, " in said
    assert "equal within 1e-09" in said
    index = flip(copied, "feedback", "level", 1 + 1e-6)
    difference = again(copied).difference
    assert (difference.column, difference.index) == ("level", index)


def test_bit_equality_depends_on_kernels_processor_and_libraries():
    here = {"kernels_sha256": "a", "machine": "m", "processor": "p", "packages": {"numpy": "1", "scipy": "2"}}
    assert list(what_differs(here, here)) == []
    assert list(what_differs({**here, "python": "3"}, here)) == []
    other = {**here, "packages": {"numpy": "1", "scipy": "3"}}
    assert list(what_differs(other, here)) == ["another scipy (3 then, 2 now)"]


def test_bits_and_relative_differences():
    a = np.array([1.0, np.nan, 0.0, 2.0, np.inf])
    b = np.array([1.0, -np.nan, -0.0, np.nan, np.inf])
    assert same_bits(a, b).tolist() == [True, True, False, False, True]
    assert relative_difference(a, b).tolist() == [0.0, 0.0, 0.0, np.inf, 0.0]
    near = relative_difference(np.array([1.0, 1.0, 1e-12]), np.array([1.0, 1.0 + 1e-8, 2e-12]))
    np.testing.assert_allclose(near, [0, 1e-8, 1e-12], rtol=1e-6)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.77, 0.9, 0.995])
def test_rerun_of_broken_off_recording_is_equal_to_its_end(copied, share):
    file = copied / "recording.xdf"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    whole = len(open_session_recording(copied).features["index"])
    verdict = again(copied)
    assert verdict.is_equal, verdict.difference
    assert verdict.n_values == whole > 50
    assert any("broken off; it is compared as far as it goes" in note for note in verdict.notes)


@pytest.mark.skipif(not os.environ.get("NEUROFB_FUZZ"), reason="NEUROFB_FUZZ=1: two hundred cuts, a minute")
def test_rerun_of_recording_cut_at_any_byte_is_equal_to_its_end(copied):
    file = copied / "recording.xdf"
    content = file.read_bytes()
    for at in np.random.default_rng(1).integers(4, len(content), 200).tolist():
        file.write_bytes(content[:at])
        verdict = again(copied)
        assert verdict.is_equal, (at, verdict.difference)


def test_rerun_finds_difference_before_the_end_of_a_broken_recording(copied):
    index = flip(copied, "feedback", "level")
    file = copied / "recording.xdf"
    file.write_bytes(file.read_bytes()[:-2000])
    assert again(copied).difference.index == index


def test_what_if_compares_blocks_with_another_protocol(tmp_path, recorded):
    recording = open_session_recording(recorded)
    same = load_protocol(protocol(tmp_path))
    (block,) = what_if(recording, same)
    assert block.delivered == block.other
    assert block.alike == pytest.approx(1)
    assert block.delivered.rewards == int(recording.feedback["reward"].sum()) > 0
    harder = PROTOCOL.replace("[baseline]", '[feedback.threshold]\nrule = "fixed"\nz = 3.0\n\n[baseline]')
    path = protocol(tmp_path, harder, "harder.toml")
    (block,) = what_if(recording, load_protocol(path))
    assert block.other.rewards < block.delivered.rewards
    assert block.other.level < block.delivered.level
    result = invoke(rerun.command, recorded, "--protocol", path)
    assert result.exit_code == 0
    said = result.stdout
    assert "1 rest, 16–" in said
    assert "\nnote: the EEG answered the feedback that was delivered" in said
    result = invoke(rerun.command, recorded, "--protocol", path, "--json")
    assert result.exit_code == 0
    (document,) = json.loads(result.stdout)["blocks"]
    assert document["other"]["rewards"] == block.other.rewards


def test_what_if_refuses_protocol_that_cannot_follow(tmp_path, recorded):
    head, tail = PROTOCOL[: PROTOCOL.index("[feedback]")], PROTOCOL[PROTOCOL.index("[baseline]") :]
    text = head + tail.replace("training", "transfer").replace('feedback = "rest"\n', "")
    with pytest.raises(WrongInput, match=r"'short-heat' has no \[feedback\] table"):
        what_if(open_session_recording(recorded), load_protocol(protocol(tmp_path, text)))
    with pytest.raises(WrongInput, match="leave one out"):
        check(recorded, protocol="demo")


def test_rerun_refuses_sessions_without_settings(copied, tmp_path):
    with pytest.raises(UnknownFile, match=r"has no recording\.xdf"):
        check(tmp_path)
    (copied / "session.json").unlink()
    with pytest.raises(WrongFile, match=r"has no settings: .* session\.json"):
        check(copied)


def test_rerun_refuses_instructions_out_of_order(recorded):
    events = open_session_recording(recorded).events
    told = [event for event in events if event.kind == "loop"]
    with pytest.raises(WrongFile, match=r"not in order: '\w+' at sample \d+ comes after 'end_block'"):
        instructions(told[::-1])


def test_rerun_reports_progress(recorded):
    recording, told = open_session_recording(recorded), []
    compute(recording, loop_of(recording), lambda done, of: told.append((done, of)))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (recording.n_samples, recording.n_samples)
