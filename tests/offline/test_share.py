"""A shared copy tells no computer, device or day; it is a session all the same; a copy that tells is not left."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pyxdf
from click.testing import CliRunner
from offline_parts import eventful

import neurofb
from neurofb.cli import commands
from neurofb.errors import WrongFile, WrongInput
from neurofb.offline.comparison import compare
from neurofb.offline.report.document import write_report
from neurofb.offline.rerun import compute, loop_of
from neurofb.offline.sharing.identity import Identity
from neurofb.offline.sharing.share import SHIFTS, share
from neurofb.recording.session_recording import open_session_recording
from neurofb.xdf.copy import Changes, copy_xdf

EPOCH_S = 1_795_000_000.0
SECRETS = {
    "hostname": "LAB-PC-7.uni-x.example",
    "source_id": "Muse-00:55:DA:B7:1C:2E",
    "uid": "5c1b8a7e-0000-4c44-9d55-7f3a2b1c9e11",
    "name": "Muse-1C2E99 (serial E20207AB)",
    "session_id": "visit-of-anna-k",
}
TOLD = (
    "the sender LAB-PC-7.uni-x.example (00:55:da:b7:1c:2e, 192.168.17.4) writes to /home/anna.keller/data "
    "at 2026-11-24T19:18:27"
)
DATES = ("2026-11-24T19:18:27+0000", "2026-12-01T08:30:00+0000")
#: What nobody may find in a copy, in whatever form.
WORDS = (
    *SECRETS.values(),
    "LAB-PC-7",
    "00:55:DA",
    "00:55:da",
    "E20207AB",
    "192.168.17.4",
    "anna.keller",
    "2026-11-24",
    "2026-12-01",
    "Linux-6.1-lab",
    "Xeon Lab 7",
    "uidoforig",
    "17950000",
)


def telling(folder: Path, data: Path, session: str, date: str) -> Path:
    """Return a copy of a session that tells everything: by its headers, stamps, an event, settings and a log."""
    to = data / "sourcedata" / "neurofb" / folder.name.replace("ses-1", f"ses-{session}")
    shutil.copytree(folder, to)
    (to / "recording.xdf").unlink()

    def header(given):
        named = given.name.startswith("neurofb-")
        changed = {"hostname": SECRETS["hostname"]} if named else dict(SECRETS)
        return replace(given, **changed, created_s=EPOCH_S)

    def text(document: str) -> str:
        event = json.loads(document)
        if event["kind"] in ("mark", "note"):
            event |= {
                "message": TOLD,
                "details": {"path": "C:\\Users\\anna.keller\\eeg", "uid": SECRETS["uid"]},
            }
        return json.dumps(event)

    first = open_session_recording(folder).eeg_stream.header.number
    copy_xdf(folder / "recording.xdf", to / "recording.xdf", Changes(header, text, {first: -EPOCH_S}))
    settings = json.loads((to / "session.json").read_text("utf-8"))
    settings |= {"date": date, "session": session, "uid": "uidoforig"}
    settings["provenance"] |= {"system": "Linux-6.1-lab", "processor": "Xeon Lab 7"}
    (to / "session.json").write_text(json.dumps(settings), "utf-8")
    (to / "watchdog.jsonl").write_text(json.dumps({"time_s": 1.25, "log": TOLD}) + "\n", "utf-8")
    (to / "report.html").write_text(TOLD, "utf-8")
    (to / "notes of anna.txt").write_text("hers", "utf-8")
    return to


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Return two sessions of a participant that tell everything, and what was shared of them."""
    data = tmp_path_factory.mktemp("telling")
    folders = [telling(eventful(), data, str(i + 1), date) for i, date in enumerate(DATES)]
    out = tmp_path_factory.mktemp("shared") / "copy"
    return folders, share(folders, out)


def contents(out: Path) -> dict[str, bytes]:
    found = {str(path): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {
        path: gzip.decompress(content) if path.endswith(".gz") else content for path, content in found.items()
    }


def test_original_tells_everything_and_the_copy_nothing(shared):
    folders, made = shared
    for folder in folders:
        content = b"".join(contents(folder).values())
        assert [word for word in WORDS if word.encode() not in content and not word[:4].isdigit()] == []
    told = [
        (path, word)
        for path, content in contents(made.out).items()
        for word in WORDS
        if word.encode() in content
    ]
    assert told == []
    assert [
        word for word in WORDS for path in made.out.rglob("*") if word in str(path.relative_to(made.out))
    ] == []


def test_report_of_the_copy_tells_nothing_either(shared, tmp_path):
    _, made = shared
    folder = shutil.copytree(made.out / made.sessions[0], tmp_path / "session")
    page = write_report(folder)
    content = page.read_bytes() + (page.parent / "cred-nf.json").read_bytes()
    assert b"not shared" in content
    assert [word for word in WORDS if word.encode() in content] == []


def test_one_shift_of_dates_for_all_sessions_of_a_participant(shared):
    folders, made = shared
    true = [datetime.datetime.fromisoformat(date) for date in DATES]
    moved = [
        datetime.datetime.fromisoformat(
            json.loads((made.out / each / "session.json").read_text("utf-8"))["date"]
        )
        for each in made.sessions
    ]
    assert moved[1] - moved[0] == true[1] - true[0]
    assert all(1900 < each.year < 1925 for each in moved)
    kept = json.loads((folders[0].parent / SHIFTS).read_text("utf-8"))
    assert true[0] - moved[0] == datetime.timedelta(seconds=kept["P01"])
    assert not list(made.out.rglob(SHIFTS))


def test_later_session_of_a_participant_gets_the_same_shift(shared, tmp_path):
    folders, made = shared
    again = share(folders[1:], tmp_path / "later")
    assert (again.out / again.sessions[0] / "session.json").read_bytes()
    dates = [
        json.loads((one.out / one.sessions[-1] / "session.json").read_text("utf-8"))["date"]
        for one in (made, again)
    ]
    assert dates[0] == dates[1]


def test_copy_computes_to_the_same_bits_and_reads_everywhere(shared):
    folders, made = shared
    original = open_session_recording(folders[0])
    copy = open_session_recording(made.out / made.sessions[0])
    assert copy.is_whole
    assert copy.eeg().tobytes() == original.eeg().tobytes()
    np.testing.assert_array_equal(copy.times_s(), original.times_s())
    received = original.received_s()
    assert np.nanmin(received) > EPOCH_S
    assert np.nanmin(copy.received_s()) < 1.0
    np.testing.assert_array_equal(np.diff(copy.received_s()), np.diff(received))
    assert compare(copy, compute(copy, loop_of(copy))).is_equal
    raw = neurofb.read_session(made.out / made.sessions[0]).raw()
    assert raw.n_times == original.n_samples
    assert raw.info["meas_date"].year < 1925
    streams, _ = pyxdf.load_xdf(made.out / made.sessions[0] / "recording.xdf")
    assert {each["info"]["hostname"][0] for each in streams} == {None}


def test_copied_dataset_passes_the_validator(shared):
    _, made = shared
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("bids-validator-deno", path=places)
    if program is None:
        pytest.skip("bids-validator-deno is not installed: pip install bids-validator-deno")
    ran = subprocess.run([program, str(made.out), "--json"], capture_output=True, text=True)
    issues = json.loads(ran.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_summary_lists_what_was_removed_left_out_and_is_to_be_looked_at(shared):
    _, made = shared
    summary = json.loads((made.out / "sourcedata" / "neurofb" / "share.json").read_text("utf-8"))
    for kind in (
        "host name",
        "source_id",
        "uid",
        "date",
        "processor",
        "operating system",
        "hardware address",
        "path",
    ):
        assert summary["removed"][kind] >= 1, kind
    assert any(name.endswith("notes of anna.txt") for name in summary["left_out"])
    assert any(name.endswith("report.html") for name in summary["left_out"])
    assert all("ses-" in each["where"] for each in summary["look_at"])


def test_copy_that_still_tells_is_not_left(shared, tmp_path, monkeypatch):
    folders, _ = shared
    clean = Identity.clean
    monkeypatch.setattr(
        Identity, "clean", lambda self, text: text if text.startswith("the sender") else clean(self, text)
    )
    with pytest.raises(WrongFile, match=r"the copy is not kept: it still tells .*recording\.xdf: 'LAB-PC-7"):
        share(folders[:1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_recording_is_not_shared(shared, tmp_path):
    folders, _ = shared
    folder = shutil.copytree(folders[0], tmp_path / "data" / folders[0].name)
    content = bytearray((folder / "recording.xdf").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    (folder / "recording.xdf").write_bytes(content)
    with pytest.raises(WrongFile):
        share([folder], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_broken_off_recording_is_shared_up_to_its_end(shared, tmp_path):
    folders, _ = shared
    folder = shutil.copytree(folders[0], tmp_path / "data" / folders[0].name)
    content = (folder / "recording.xdf").read_bytes()
    (folder / "recording.xdf").write_bytes(content[: len(content) // 2])
    made = share([folder], tmp_path / "out")
    copy = open_session_recording(made.out / made.sessions[0])
    assert copy.eeg().tobytes() == open_session_recording(folder).eeg().tobytes()


def test_nothing_is_overwritten(shared, tmp_path):
    with pytest.raises(WrongInput, match="is there already, and nothing is overwritten"):
        share(shared[0], tmp_path)


def test_command_prints_what_was_removed(shared, tmp_path):
    folders, _ = shared
    data = folders[0].parents[2]
    shown = CliRunner().invoke(commands, ["share", str(data), "--out", str(tmp_path / "a"), "--json"])
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.output)
    assert len(document["sessions"]) == 2
    assert document["removed"]["host name"] >= 1
    assert not [word for word in WORDS if word in shown.output]


@pytest.mark.parametrize(
    "text",
    [
        "the headset 00-55-DA-B7-1C-2E is lost",
        "it answers from 10.0.0.17",
        "ask a.keller@lab.example",
        "written to /home/anna/x.xdf",
        "written to D:\\data\\anna",
        "at 2026-11-24T19:18:27.5+01:00",
        "at 1795000000.25",
    ],
)
def test_what_looks_like_an_address_path_or_time_is_removed(text):
    cleaned = Identity(set()).clean(text)
    assert "removed" in cleaned
    assert cleaned.split("removed")[0] + "removed" == cleaned[: cleaned.index("removed") + 7]
    assert not any(part in cleaned for part in ("55-DA", "10.0.0", "keller", "anna", "19:18", "17950"))


def test_words_that_name_nobody_stay():
    identity = Identity({"simulated"})
    identity.add_stream("simulated", "simulated", "", "vm")
    text = "phase 2 of 10 at 1089.976 s: a simulated heat of 46.0 °C, Fp1 and the vmrk file, 8/8 °C/s"
    assert identity.clean(text) == text
    assert identity.clean("vm") == "removed"
