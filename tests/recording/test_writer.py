"""The recorder, held against readers that are not ours, against failing disks, and against itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from xdf_parts import FORMATS, SmallSession, assert_same, by_pyxdf, header, numbers, record

from neurofb.errors import RecordingFailed, WrongInput, WrongShape
from neurofb.recording import writer
from neurofb.recording.writer import Recorder
from neurofb.xdf import encoding
from neurofb.xdf.file import read_xdf_file
from neurofb.xdf.headers import StreamHeader


def stamps(n: int, rate_hz: float = 100.0) -> np.ndarray:
    return 1000.0 + np.arange(n) / rate_hz + np.random.default_rng(3).uniform(0, 1e-3, n)


@pytest.fixture
def every_format(tmp_path: Path) -> tuple[Path, list]:
    streams = [(header(form, form, 3), numbers(form, 333, 3), stamps(333)) for form in FORMATS]
    words = [f"{{'text': '{i} µ'}}" * (i % 90) for i in range(333)]
    streams.append((header("words", "string", 1, 0.0), words, stamps(333)))
    return record(tmp_path / "all.xdf", streams), streams


def test_pyxdf_reads_every_format_bit_equal(every_format) -> None:
    path, streams = every_format
    theirs = by_pyxdf(path)
    assert len(theirs) == len(streams)
    for number, (head, values, stamps_s) in enumerate(streams, 1):
        found = theirs[number]
        assert found["info"]["name"] == [head.name]
        np.testing.assert_array_equal(found["time_stamps"], stamps_s)
        if head.dtype is None:
            assert [row[0] for row in found["time_series"]] == values
        else:
            assert np.asarray(found["time_series"]).dtype == values.dtype
            np.testing.assert_array_equal(found["time_series"], values)
        footer = found["footer"]["info"]
        assert int(footer["sample_count"][0]) == 333
        assert float(footer["first_timestamp"][0]) == stamps_s[0]
        assert float(footer["last_timestamp"][0]) == stamps_s[-1]


def test_own_reader_reads_appended_samples(every_format) -> None:
    path, streams = every_format
    file = read_xdf_file(path)
    assert file.is_whole
    theirs = by_pyxdf(path)
    for stream, (_, values, stamps_s) in zip(file.streams, streams, strict=True):
        assert_same(stream, theirs[stream.header.number])
        np.testing.assert_array_equal(stream.stamps_s(100, 170), stamps_s[100:170])
        if stream.header.dtype is not None:
            np.testing.assert_array_equal(stream.values(49, 151), values[49:151])
            pieces = list(stream.pieces(70))
            np.testing.assert_array_equal(np.concatenate([piece for piece, _ in pieces]), values)
            np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), stamps_s)
        else:
            assert stream.texts(10, 12) == [[values[10]], [values[11]]]


def test_header_holds_all_fields(tmp_path: Path) -> None:
    head = header(
        "näme <&>", n_channels=2, units=("microvolts", "uV"), source_id="me\0", uid="u1", hostname="pc",
        desc={"amplifier": {"model": "M & <N>"}, "layout": '{"a": [1]}'},
    )  # fmt: skip
    path = record(tmp_path / "a.xdf", [(head, numbers("float32", 9, 2), stamps(9))])
    read = read_xdf_file(path).stream("näme <&>").header
    assert (read.labels, read.units) == (("C1", "C2"), ("microvolts", "uV"))
    assert (read.source_id, read.uid, read.hostname, read.rate_hz) == ("me", "u1", "pc", 100.0)
    assert read.desc["amplifier"] == {"model": "M & <N>"}
    assert read.desc["layout"] == '{"a": [1]}'
    channels = by_pyxdf(path)[1]["info"]["desc"][0]["channels"][0]["channel"]
    assert [channel["unit"][0] for channel in channels] == ["microvolts", "uV"]


def test_clock_offsets_are_written_with_their_times(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header())
    recorder.append(stream, numbers("float32", 5, 2), stamps(5))
    for i in range(4):
        recorder.append_offset(stream, 100.0 + 5 * i, -0.125 * i)
    recorder.close()
    measured = [[100.0 + 5 * i, -0.125 * i] for i in range(4)]
    assert read_xdf_file(tmp_path / "a.xdf").streams[0].offsets.tolist() == measured
    theirs = by_pyxdf(tmp_path / "a.xdf")[1]
    assert np.column_stack((theirs["clock_times"], theirs["clock_values"])).tolist() == measured


def test_same_data_and_clock_write_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        session = SmallSession(tmp_path / name)
        session.session_log.close()
        contents.append((tmp_path / name / "recording.xdf").read_bytes())
    assert contents[0] == contents[1]
    assert len(contents[0]) == session.recorder.n_bytes


def test_chunks_end_where_the_clock_says(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    recorder = Recorder(path, flush_s=0.5, waits=True)
    stream = recorder.add_stream(header())
    for i in range(100):
        recorder.append(stream, numbers("float32", 1, 2), np.array([float(i)]))
        recorder.flush(i * 0.1)
    recorder.close()
    stored = read_xdf_file(path).streams[0]._chunks
    assert [stored[i].n_samples for i in range(3)] == [6, 5, 5]
    assert path.read_bytes().count(encoding.BOUNDARY_MARK) >= 5


def test_late_flush_keeps_the_schedule(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.xdf", flush_s=0.5, waits=True)
    stream = recorder.add_stream(header())
    for now_s in (0.0, 0.4, 1.7, 1.9, 2.05):
        recorder.append(stream, numbers("float32", 1, 2), np.array([now_s]))
        recorder.flush(now_s)
    recorder.close()
    stored = read_xdf_file(tmp_path / "a.xdf").streams[0]._chunks
    assert [place.n_samples for place in stored] == [3, 2], "due are 0.5, 2.0, 2.5"


def test_recorder_refuses_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    path.write_text("mine")
    with pytest.raises(RecordingFailed, match=r"a\.xdf cannot be made: File exists; choose another folder"):
        Recorder(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "values, stamps_s, error, words",
    [
        (np.zeros((3, 2)), np.zeros(3), WrongInput, "'made' takes float32, found float64"),
        (np.zeros((3, 3), "f4"), np.zeros(3), WrongShape, r"takes samples of shape \(n, 2\), found \(3, 3\)"),
        (np.zeros((3, 2), "f4"), np.zeros(2), WrongShape, "2 time stamps need as many samples, found 3"),
    ],
)
def test_recorder_refuses_wrong_samples(tmp_path: Path, values, stamps_s, error, words) -> None:
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header())
    with pytest.raises(error, match=words):
        recorder.append(stream, values, stamps_s)
    recorder.close()
    assert read_xdf_file(tmp_path / "a.xdf").streams[0].n_samples == 0


@pytest.mark.parametrize(
    "more, words",
    [
        ({"form": "int24"}, "no channel format 'int24' in XDF; there are: float32"),
        ({"n_channels": 0}, "'made' has no channels"),
        ({"units": ("uV",)}, "has 2 channels and 1 units"),
    ],
)
def test_recorder_refuses_wrong_headers(more, words) -> None:
    with pytest.raises(WrongInput, match=words):
        header(**more)


# -- disks that fail ---------------------------------------------------------------------------------------------


def fill(recorder: Recorder, n_steps: int = 10_000) -> str:
    """Record until the disk fails; give what is said."""
    stream = recorder.add_stream(header(n_channels=8))
    values = numbers("float32", 500, 8)
    for i in range(n_steps):
        try:
            recorder.append(stream, values, i * 0.5 + np.arange(500) / 1000.0)
            recorder.flush(0.5 * i)
        except RecordingFailed as error:
            recorder.close()  # quiet: it was told
            recorder.close()
            return str(error)
    raise AssertionError("the disk never failed")


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from neurofb.errors import RecordingFailed
from neurofb.recording.writer import Recorder
from neurofb.xdf.headers import StreamHeader
from neurofb.xdf.headers import StreamHeader
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
recorder = Recorder(Path(sys.argv[1]), waits=True)
stream = recorder.add_stream(StreamHeader("made", "EEG", "float32", 100.0, tuple("ABCDEFGH")))
values = np.load(sys.argv[2])
try:
    for i in range(10_000):
        recorder.append(stream, values, i * 0.5 + np.arange(500) / 1000.0)
        recorder.flush(0.5 * i)
except RecordingFailed as error:
    print(error)
recorder.close()
"""


def assert_readable(path: Path, words: str) -> None:
    safe = int(re.search(r"(\d+) bytes are safe", words)[1])
    stream = read_xdf_file(path).streams[0]
    assert stream.n_samples >= 500
    assert stream.n_samples % 500 == 0
    np.testing.assert_array_equal(stream.values(0, 500), numbers("float32", 500, 8))
    assert path.stat().st_size == safe


def test_full_disk_raises_and_written_samples_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    np.save(tmp_path / "values.npy", numbers("float32", 500, 8))
    done = subprocess.run(
        [sys.executable, "-c", FULL, path, tmp_path / "values.npy"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "cannot go on: File too large" in done.stdout, done.stderr
    assert "make room or choose another disk" in done.stdout
    assert path.stat().st_size == 1_000_000
    assert_readable(path, done.stdout)
    assert read_xdf_file(path).problems[0].startswith("the file was broken off or is damaged from byte")


def test_full_file_system_raises(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root to mount a small file system")
    where = tmp_path / "small"
    where.mkdir()
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", where], capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        words = fill(Recorder(where / "a.xdf", waits=True))
        assert "cannot go on: No space left on device" in words
        assert_readable(where / "a.xdf", words)
    finally:
        subprocess.run(["umount", where], check=True)


READ_ONLY = """
import os, sys
from pathlib import Path
from neurofb.errors import RecordingFailed
from neurofb.recording.folder import SessionFolder
from neurofb.recording.writer import Recorder
from neurofb.xdf.headers import StreamHeader
folder = Path(sys.argv[1])
if os.geteuid() == 0:  # root may write everywhere: somebody else tries
    os.setuid(65534)
for make in (lambda: Recorder(folder / "a.xdf"), lambda: SessionFolder.create(folder, "P1", "1", "demo")):
    try:
        make()
    except RecordingFailed as error:
        print(error)
"""


def test_read_only_folder_raises() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o555)
        said = subprocess.run(
            [sys.executable, "-c", READ_ONLY, made], capture_output=True, text=True, check=True
        ).stdout
        assert not list(folder.iterdir())
        folder.chmod(0o755)
    first, second = said.splitlines()
    assert re.search(r"a\.xdf cannot be made: Permission denied; choose another folder with --data", first)
    assert re.search(
        r"no folder for the session can be made in .*: Permission denied; choose another", second
    )


def test_hanging_disk_raises_by_callers_clock(tmp_path: Path, monkeypatch) -> None:
    lets_go, at_it = threading.Event(), threading.Event()
    write = os.write

    def slow(file: int, content: bytes) -> int:
        at_it.set()
        lets_go.wait(60)
        return write(file, content)

    monkeypatch.setattr(writer.os, "write", slow)
    monkeypatch.setattr(writer, "CLOSE_AFTER_FAILURE_S", 0.01)
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header())
    at_it.wait(60)
    for i in range(12):  # the first flush that finds it busy is that at 0.5 s
        recorder.append(stream, numbers("float32", 5, 2), stamps(5))
        recorder.flush(0.5 * i)
    with pytest.raises(RecordingFailed, match="cannot go on: the disk has not answered for 5 s. 0 bytes"):
        recorder.flush(6.0)
    recorder.close()
    lets_go.set()
    recorder._sync_thread.join(60)
    assert not recorder._sync_thread.is_alive()


def wait_until_taken(recorder: Recorder) -> None:
    while recorder._taken < recorder.n_bytes and recorder._failure is None:
        recorder._progress.wait(0.01)


def test_samples_are_written_while_a_sync_hangs(tmp_path: Path, monkeypatch) -> None:
    """A kill at any moment of a sync of 4.6 s costs what was appended since the last flush, 0.1 s before."""
    lets_go = threading.Event()
    monkeypatch.setattr(writer, "sync_folder", lambda folder: None)
    monkeypatch.setattr(writer.os, "fsync", lambda file: lets_go.wait(60))
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header(rate_hz=100.0))
    values, stamps_s = numbers("float32", 460, 2), np.arange(460) / 100.0
    recorder.flush(0.0)
    for i in range(460):
        recorder.append(stream, values[i : i + 1], stamps_s[i : i + 1])
        recorder.flush((i + 1) / 100.0)
        if i % 50 == 7:
            wait_until_taken(recorder)
            left = read_xdf_file(tmp_path / "a.xdf").streams[0]  # what a kill would leave
            assert 0 <= i + 1 - left.n_samples <= 10
            np.testing.assert_array_equal(left.values(), values[: left.n_samples])
    assert recorder.state(4.6).why == "the disk has not answered for 4.5 s"
    lets_go.set()
    recorder.close()
    assert read_xdf_file(tmp_path / "a.xdf").is_whole
    assert recorder.state(4.7).queued_bytes == 0


def test_only_synced_bytes_count_as_safe(tmp_path: Path, monkeypatch) -> None:
    goes_on, fsync = threading.Semaphore(0), os.fsync
    monkeypatch.setattr(writer, "sync_folder", lambda folder: None)
    monkeypatch.setattr(writer.os, "fsync", lambda file: goes_on.acquire() and fsync(file))
    recorder = Recorder(tmp_path / "a.xdf")
    wait_until_taken(recorder)
    before = recorder.n_bytes
    stream = recorder.add_stream(header())
    wait_until_taken(recorder)
    recorder.append(stream, numbers("float32", 5, 2), stamps(5))
    assert recorder.state(0.0).queued_bytes == recorder.n_bytes
    goes_on.release()
    while not recorder._written:
        recorder._progress.wait(0.01)
    assert before <= recorder._written <= recorder.n_bytes
    for _ in range(10):
        goes_on.release()
    recorder.close()
    assert recorder.state(0.0).queued_bytes == 0


def test_state_of_a_recording_on_a_disk_that_works(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header())
    for i in range(10):
        recorder.append(stream, numbers("float32", 5, 2), stamps(5))
        recorder.flush(0.5 * i)
    recorder.close()
    state = recorder.state(5.0)
    assert (state.is_ok, state.why, state.queued_bytes) == (True, "", 0)
    assert (state.write_age_s, state.sync_age_s) == (0.0, 0.0)
    assert state.n_bytes == (tmp_path / "a.xdf").stat().st_size
    assert state.free_bytes is not None


@pytest.mark.parametrize("call, ages_s", [("write", (2.5, 2.5)), ("fsync", (0.0, 2.5))])
def test_state_of_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch, call: str, ages_s) -> None:
    """Written and synced are told apart, by the caller's clock; nothing waits for the disk to be asked."""
    lets_go, at_it = threading.Event(), threading.Event()
    real = getattr(os, call)

    def slow(*given):
        at_it.set()
        lets_go.wait(60)
        return real(*given)

    recorder = Recorder(tmp_path / "a.xdf")
    while recorder._written < recorder.n_bytes:
        recorder._progress.wait(0.01)
    monkeypatch.setattr(writer.os, call, slow)
    stream = recorder.add_stream(header())
    at_it.wait(60)
    if call == "fsync":
        while recorder._taken < recorder.n_bytes:
            recorder._progress.wait(0.01)
    recorder.flush(10.0)
    recorder.flush(10.5)
    assert recorder.state(11.0).is_ok
    assert not recorder.state(11.6).is_ok
    state = recorder.state(13.0)
    assert state.why == "the disk has not answered for 2.5 s"
    if call == "write":
        assert (state.write_age_s, state.sync_age_s) == ages_s
    assert state.queued_bytes > 0
    lets_go.set()
    recorder.append(stream, numbers("float32", 5, 2), stamps(5))
    recorder.close()
    assert recorder.state(14.0).is_ok


@pytest.mark.parametrize(
    "damage, why",
    [
        (Path.unlink, "is gone: No such file"),
        (lambda path: path.rename(path.with_name("b.xdf")), "is gone: No such file"),
        (lambda path: os.truncate(path, 10), "the file has "),
        (lambda path: (path.unlink(), path.write_text("other")), "another file stands in the place of"),
    ],
    ids=["deleted", "moved", "cut", "replaced"],
)
def test_state_of_a_file_that_somebody_changed(tmp_path: Path, damage, why: str) -> None:
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header())
    while recorder._written < recorder.n_bytes:
        recorder._progress.wait(0.01)
    damage(tmp_path / "a.xdf")
    recorder.append(stream, numbers("float32", 5, 2), stamps(5))
    recorder.close()
    assert why in recorder.state(1.0).why


def test_file_that_is_cut_just_before_a_write_is_noticed(tmp_path: Path, monkeypatch) -> None:
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header())
    while recorder._written < recorder.n_bytes:
        recorder._progress.wait(0.01)
    write = os.write

    def cuts(file: int, content: bytes) -> int:
        os.truncate(tmp_path / "a.xdf", 10)
        return write(file, content)

    monkeypatch.setattr(writer.os, "write", cuts)
    recorder.append(stream, numbers("float32", 5, 2), stamps(5))
    recorder.close()
    assert "the file has " in recorder.state(1.0).why


def test_state_of_a_failed_recording(tmp_path: Path, monkeypatch) -> None:
    def fails(file: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.os, "write", fails)
    recorder = Recorder(tmp_path / "a.xdf")
    recorder._thread.join(60)
    assert recorder.state(1.0).why == "No space left on device"
    assert not recorder.state(1.0).is_ok
    with pytest.raises(RecordingFailed):
        recorder.close()


def test_slow_disk_is_no_failure(tmp_path: Path, monkeypatch) -> None:
    steps = threading.Semaphore(0)
    write = os.write

    def slow(file: int, content: bytes) -> int:
        steps.acquire()
        return write(file, content)

    monkeypatch.setattr(writer.os, "write", slow)
    recorder = Recorder(tmp_path / "a.xdf")
    stream = recorder.add_stream(header())
    for i in range(40):
        recorder.append(stream, numbers("float32", 5, 2), stamps(5))
        recorder.flush(0.5 * i)
        if i % 6 == 5:
            before = recorder._written
            steps.release()
            while recorder._written == before:
                recorder._progress.wait(0.01)
    for _ in range(100):
        steps.release()
    recorder.close()
    assert read_xdf_file(tmp_path / "a.xdf").is_whole


def test_close_raises_failure_not_yet_reported(tmp_path: Path, monkeypatch) -> None:
    def fails(file: int, content: bytes) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer.os, "write", fails)
    recorder = Recorder(tmp_path / "a.xdf")
    recorder._thread.join(60)
    with pytest.raises(RecordingFailed, match="cannot go on: Input/output error. 0 bytes are safe"):
        recorder.close()
    recorder.close()


def test_append_after_failure_raises(tmp_path: Path, monkeypatch) -> None:
    def fails(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer.os, "fsync", fails)
    recorder = Recorder(tmp_path / "a.xdf")
    while recorder._failure is None:
        recorder._progress.wait(0.01)
    with pytest.raises(RecordingFailed, match="Input/output error"):
        recorder.append(recorder.add_stream(header()), numbers("float32", 5, 2), stamps(5))
    recorder.close()


# -- other readers -----------------------------------------------------------------------------------------------

LIBXDF = r"""
#include <xdf.h>
#include <cstdio>
int main(int, char** a) {
    Xdf x; x.load_xdf(a[1]);
    for (auto& s : x.streams) {
        printf("%s %s %d %zu\n", s.info.name.c_str(), s.info.channel_format.c_str(), s.info.channel_count,
               s.time_stamps.size());
        for (double t : s.time_stamps) printf("%.17g ", t);
        printf("\n");
        for (auto& c : s.time_series) { for (auto v : c) printf("%.9g ", (double) v); printf("\n"); }
    }
}
"""


def test_libxdf_reads_same_values(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None or not Path("/usr/include/xdf.h").exists():
        pytest.skip("libxdf is not installed (Debian: libxdf-dev and g++)")
    values, stamps_s = numbers("float32", 120, 3), stamps(120)
    path = record(tmp_path / "a.xdf", [(header(n_channels=3), values, stamps_s)])
    (tmp_path / "r.cpp").write_text(LIBXDF)
    built = [compiler, "-std=c++14", "-O0", "r.cpp", "-o", "r", "-lxdf"]
    subprocess.run(built, cwd=tmp_path, check=True, capture_output=True)
    shown = subprocess.run([tmp_path / "r", path], capture_output=True, text=True, check=True).stdout
    lines = shown[shown.index("made float32") :].splitlines()
    assert lines[0] == "made float32 3 120"
    np.testing.assert_array_equal(np.array(lines[1].split(), float), stamps_s)
    read = np.array([line.split() for line in lines[2:5]], float).T
    np.testing.assert_array_equal(read.astype("f4"), values)


def test_mnelab_reads_our_eeg(tmp_path: Path) -> None:
    reader = pytest.importorskip("mnelab.io.xdf", reason="mnelab is not installed")
    head = header(n_channels=3, units=("microvolts",) * 3)
    values = (20 * np.random.default_rng(0).standard_normal((500, 3))).astype("f4")
    path = record(tmp_path / "a.xdf", [(head, values, 1000.0 + np.arange(500) / 100.0)])
    raw = reader.read_raw_xdf(str(path), [1])
    assert raw.ch_names == ["C1", "C2", "C3"]
    np.testing.assert_allclose(raw.get_data().T * 1e6, values, rtol=1e-6)
    assert abs(raw.info["sfreq"] - 100.0) < 1e-6


def test_memory_stays_flat_in_long_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.xdf", waits=True)
    stream = recorder.add_stream(header(n_channels=8))
    values = numbers("float32", 125, 8)

    def run(first: int, n: int) -> None:
        for i in range(first, first + n):
            recorder.append(stream, values, i * 0.5 + np.arange(125) / 250.0)
            recorder.flush(0.5 * i)

    tracemalloc.start()
    run(0, 500)
    before = tracemalloc.get_traced_memory()[0]
    run(500, 20_000)
    recorder.close()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (tmp_path / "a.xdf").stat().st_size > 100e6
    assert after - before < 1e6


def test_recorder_refuses_nonsense(tmp_path):
    recorder = Recorder(tmp_path / "a.xdf")
    with pytest.raises(WrongInput, match="a recorded stream of text has one channel; 'two' has 2"):
        recorder.add_stream(StreamHeader("two", "Markers", "string", 0.0, ("a", "b")))
    stream = recorder.add_stream(StreamHeader("x", "EEG", "double64", 0.0, ("a",)))
    with pytest.raises(WrongInput, match="no stream 0 was begun; there are 1 to 1"):
        recorder.append(0, np.zeros((1, 1)), np.zeros(1))
    recorder.close()
    with pytest.raises(WrongInput, match="is closed; nothing can be appended"):
        recorder.append(stream, np.zeros((1, 1)), np.zeros(1))
