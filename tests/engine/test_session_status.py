"""The status as the engine makes it: the real state of the recording reaches the operator's banner."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from session_parts import START_S, command, run
from xdf_parts import SmallSession

from neurofb.engine.session_log import SessionLog
from neurofb.errors import RecordingFailed
from neurofb.recording import disk_state, writer
from neurofb.recording.session_recording import open_session_recording
from neurofb.status import SessionStatus
from neurofb.views.operator import operator_view
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

#: A simulated session in a folder, in a process that may not write more than so much into a file (0: as much as it
#: wants); each status goes to standard output as it goes to LSL.
SESSION = """
import resource, signal, sys
from pathlib import Path
from neurofb.clock import ManualClock
from neurofb.engine.assembly import Hooks, assemble
from neurofb.engine.planning import Asked, plan_session
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
plan = plan_session(Asked("demo", "simulated", "P01", seed=1, data=folder, simulate=True))
show = Hooks(on_status=lambda status: print(status.to_json()))
sys.exit(assemble(plan, ManualClock(1000.0), show, publish=False).engine.run().exit_code)
"""


def statuses_of_a_session(folder: Path, limit: int = 0) -> tuple[int, list[SessionStatus]]:
    done = subprocess.run(
        [sys.executable, "-c", SESSION, folder, str(limit)], capture_output=True, text=True, timeout=100
    )
    return done.returncode, [SessionStatus.from_json(line) for line in done.stdout.splitlines()]


def banner(status: SessionStatus) -> str:
    found = operator_view(Snapshot(100.0, status, 0.1), Wording("en"), uid=status.session).banner
    return "" if found is None else found.text


def test_recording_is_ok_on_a_disk_that_works(tmp_path):
    ran = run(tmp_path)
    assert all(each["recording"]["ok"] for each in ran.statuses)
    last = ran.statuses[-1]["recording"]
    assert last["why"] == ""
    assert last["free_bytes"] > disk_state.LEAST_FREE_BYTES
    assert 0 <= last["queued_bytes"] <= last["bytes"]


def test_failed_write_reaches_the_banner(tmp_path):
    code, statuses = statuses_of_a_session(tmp_path, limit=300_000)
    assert code == 3
    assert statuses[0].recording.ok
    assert banner(statuses[0]) != "THE RECORDING FAILS"
    last = statuses[-1]
    assert not last.recording.ok
    assert banner(last).startswith("THE RECORDING FAILS: File too large")
    assert "bytes are safe on the disk" in banner(last)


def test_full_file_system_reaches_the_banner_before_and_when_it_is_full(tmp_path):
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root to mount a small file system")
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", tmp_path], capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        code, statuses = statuses_of_a_session(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert code == 3
    running = [banner(each) for each in statuses if each.state == "running"]
    assert any(
        each == "THE RECORDING FAILS: 0 MB are free on the disk; needed are 100 MB" for each in running
    )
    assert banner(statuses[-1]).startswith("THE RECORDING FAILS: No space left on device")


def test_little_free_space_reaches_the_banner(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_state, "LEAST_FREE_BYTES", 10**18)
    ran = run(tmp_path)
    assert ran.outcome.exit_code == 0
    shown = [banner(SessionStatus.from_json(json.dumps(each))) for each in ran.statuses]
    assert any(text.startswith("THE RECORDING FAILS") and "MB are free" in text for text in shown)


class SlowDisk:
    """A disk whose syncs stand still from one time of the session to another, and otherwise take none of it."""

    def __init__(self, from_s: float, to_s: float) -> None:
        self.from_s, self.to_s = from_s, to_s
        self.answers = threading.Event()
        self.answers.set()

    def fsync(self, file: int) -> None:
        if threading.current_thread().name == "neurofb-recorder-sync":
            assert self.answers.wait(60), "never let go"
        _FSYNC(file)

    def prepare(self, assembled) -> None:
        recorder = assembled.session_log._recorder
        recorder._waits = False  # as on a real clock: the disk's seconds are those of the session

        def look(now_s: float) -> None:
            if self.from_s <= now_s - START_S < self.to_s:
                self.answers.clear()
                return
            self.answers.set()
            for _ in range(3000):
                if recorder.state(now_s).queued_bytes == 0:
                    return
                recorder._progress.wait(0.01)
                recorder._progress.clear()
            raise AssertionError("the disk took nothing")

        assembled.engine._each_step = (*assembled.engine._each_step, look)


_FSYNC = os.fsync


def test_slow_sync_reaches_the_banner_holds_heat_and_is_over_with_it(tmp_path, monkeypatch):
    disk = SlowDisk(2.0, 5.0)
    monkeypatch.setattr(os, "fsync", disk.fsync)
    ran = run(tmp_path, [(7.0, command("end"))], prepare=disk.prepare)
    assert ran.outcome.exit_code == 0
    shown = {
        each["clock_s"] - START_S: banner(SessionStatus.from_json(json.dumps(each))) for each in ran.statuses
    }
    slow = [
        time_s for time_s, text in shown.items() if text.startswith("THE RECORDING FAILS: the disk has not")
    ]
    assert min(slow) == pytest.approx(2.0 + disk_state.LATE_SYNC_S, abs=0.4)
    assert max(slow) == pytest.approx(5.0, abs=0.4)
    assert slow == [time_s for time_s in shown if min(slow) <= time_s <= max(slow)]
    (late,) = ran.of_kind("sync_late")
    assert late["time_s"] - START_S == pytest.approx(2.0 + disk_state.LATE_SYNC_S, abs=0.4)
    states = [(e["details"]["after"], e["time_s"] - START_S) for e in ran.of_kind("state")]
    paused, running = states[2], states[3]
    assert (paused[0], running[0]) == ("paused", "running")
    assert paused[1] == pytest.approx(2.0 + disk_state.SILENT_SYNC_S, abs=0.4)
    assert running[1] == pytest.approx(5.0, abs=0.4)


def replace_file(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"another")


#: What may happen to the file and its folder while a session runs.
DAMAGES = {
    "file deleted": (lambda path: path.unlink(), "is gone: No such file"),
    "folder deleted": (lambda path: shutil.rmtree(path.parent), "is gone: No such file"),
    "folder renamed": (
        lambda path: path.parent.rename(path.parent.with_name("moved")),
        "is gone: No such file",
    ),
    "dataset renamed": (
        lambda path: path.parents[3].rename(path.parents[3].with_name("moved")),
        "is gone: No such",
    ),
    "file cut": (lambda path: os.truncate(path, 100), "the file has"),
    "file replaced": (replace_file, "another file stands in the place"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_recording_reaches_the_banner_and_ends_the_session(tmp_path, damage):
    act, words = DAMAGES[damage]

    def prepare(assembled):
        acts = assembled.engine._each_step
        path, done = assembled.folder.recording, []

        def damaging(now_s):
            if now_s > START_S + 5 and path.exists() and not done:
                done.append(now_s)
                act(path)

        assembled.engine._each_step = (*acts, damaging)

    ran = run(tmp_path / "data", prepare=prepare)
    assert ran.outcome.exit_code == RecordingFailed.exit_code
    assert "the recording fails: " in ran.outcome.message
    assert ran.statuses[-1]["state"] == "aborted"
    shown = banner(SessionStatus.from_json(json.dumps(ran.statuses[-1])))
    assert shown.startswith("THE RECORDING FAILS: ")
    assert words in shown


def test_folder_that_is_moved_at_the_very_end_is_no_success(tmp_path):
    def prepare(assembled):
        path, end = assembled.folder.path, assembled.engine._on_end
        assembled.engine._on_end = lambda: (end(), path.rename(path.with_name("moved")))

    ran = run(tmp_path, [(5, command("end"))], prepare=prepare)
    assert ran.outcome.exit_code == RecordingFailed.exit_code
    assert "is gone: No such file" in ran.outcome.message


def test_late_sync_is_an_event_and_a_banner(tmp_path, monkeypatch):
    """A sync that takes 2.6 s: told once when it takes longer than a second, and once when it is over."""
    lets_go, statuses = threading.Event(), []
    fsync, flush = os.fsync, SessionLog.flush
    monkeypatch.setattr(writer, "sync_folder", lambda folder: None)
    monkeypatch.setattr(writer.os, "fsync", lambda file: lets_go.wait(60) and fsync(file))

    def observed(session_log: SessionLog) -> None:
        now_s, recorder = session_log._clock.now_s(), session_log._recorder
        recorder._waits = False  # its seconds measure this disk
        flush(session_log)
        statuses.append(session_log.recorder_state(now_s))
        if now_s > 1002.6:
            lets_go.set()  # and from now on the disk is faster than the clock
            while recorder._written < recorder.n_bytes:
                recorder._progress.wait(0.01)

    monkeypatch.setattr(SessionLog, "flush", observed)
    SmallSession(tmp_path, n_steps=60).session_log.close()
    session = open_session_recording(tmp_path)
    told = [event for event in session.events if event.kind.startswith("sync_")]
    assert [event.kind for event in told] == ["sync_late", "sync_resumed"]
    assert 1001.0 < told[0].time_s < 1001.7
    assert "a power cut now costs that much of the recording" in told[0].message
    assert "the disk syncs again, after more than 2." in told[1].message
    assert told[1].details["sync_age_s"] > 2.0
    late = [each.why for each in statuses if not each.is_ok]
    assert late
    assert all(why.startswith("the disk has not answered for ") for why in late)
    assert statuses[-1].is_ok
