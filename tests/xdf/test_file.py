"""Reading: the same as pyxdf reads, from files of every kind; broken ones as far as they make sense."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from session_parts import run
from xdf_parts import (
    SmallSession,
    assert_same,
    by_pyxdf,
    foreign_file,
    foreign_samples,
    header,
    numbers,
    record,
)

from neurofb.clock import ManualClock
from neurofb.devices import load_profile
from neurofb.engine.session_log import LogColumns, SessionLog
from neurofb.errors import UnknownFile, WrongFile, WrongInput
from neurofb.loop.loop import Output
from neurofb.recording.session_recording import open_session_recording
from neurofb.recording.writer import Recorder
from neurofb.simulation.faults import parse_faults
from neurofb.simulation.head import Head, HeadSettings
from neurofb.simulation.headset import Headset, settings_of
from neurofb.simulation.source import SimulatedSource
from neurofb.xdf import encoding
from neurofb.xdf.file import read_xdf_file

LONG = bool(os.environ.get("NEUROFB_LONG"))


# -- files of other programs -------------------------------------------------------------------------------------


def test_real_files_equal_pyxdf_or_list_problems(data_dir: Path) -> None:
    paths = sorted(data_dir.glob("*/*.xdf"))
    assert len(paths) >= 10
    n_compared = 0
    for path in paths:
        file = read_xdf_file(path)
        if "odd" in path.parent.name and path.name != "minimal.xdf":
            assert file.problems, path
            assert not file.is_whole
            continue
        theirs = by_pyxdf(path)
        assert {stream.header.number for stream in file.streams} == set(theirs)
        for stream in file.streams:
            assert_same(stream, theirs[stream.header.number])
            n_compared += stream.n_samples
    assert n_compared > 50_000


@pytest.mark.parametrize(
    "name, words",
    [
        (
            "labrecorder_made_here/killed_no_footer.xdf",
            "no footer for all streams: the recording was broken off",
        ),
        (
            "labrecorder_made_here/truncated_muse_P001_60000bytes.xdf",
            "broken off or is damaged from byte 59833",
        ),
        ("labrecorder_made_here/multi_format_reconnect.xdf", "no footer for 'eeg_int64'"),
        ("xdf_rs_odd/chunk_length_lie.xdf", "a header cannot be read: a header is no XML"),
        ("xdf_rs_odd/out_of_order_sample_chunk.xdf", "its header counts '0' channels"),
    ],
)
def test_damaged_real_file_lists_its_problem(data_dir: Path, name: str, words: str) -> None:
    assert any(words in problem for problem in read_xdf_file(data_dir / name).problems)


def test_deduced_and_mixed_stamps_equal_pyxdf(tmp_path: Path) -> None:
    head = header(form="int16", n_channels=3, rate_hz=128.0)
    values, rng = numbers("int16", 400, 3), np.random.default_rng(0)
    stamps_s = [i / 128 if rng.random() < 0.2 or i in (0, 200) else None for i in range(400)]
    stamps_s[250:400] = [None] * 150
    chunks = [encoding.stream_header(9, head)]
    for start, wide in ((0, 1), (100, 4), (200, 8), (300, 4)):
        at = slice(start, start + 100)
        chunks.append(foreign_samples(9, values[at], stamps_s[at], wide))
    full = [float(s) for s in range(400, 500)]
    chunks += [foreign_samples(9, values[:100], full), foreign_samples(9, values[:50], [None] * 50, 1)]
    path = foreign_file(tmp_path / "a.xdf", *chunks)
    stream = read_xdf_file(path).streams[0]
    assert stream.n_samples == 550
    assert_same(stream, by_pyxdf(path)[9])
    np.testing.assert_array_equal(stream.stamps_s(95, 410), stream.stamps_s()[95:410])
    np.testing.assert_array_equal(stream.values(295, 305), values[295:305])


def test_texts_of_several_channels_and_lengths_equal_pyxdf(tmp_path: Path) -> None:
    head = header(form="string", n_channels=2, rate_hz=0.0)
    rows = [["a", ""], ["µ" * 200, "b" * 300], ["", "z"]]
    path = foreign_file(
        tmp_path / "a.xdf", encoding.stream_header(1, head), foreign_samples(1, rows, [1.0, None, 2.5], 1)
    )
    stream = read_xdf_file(path).streams[0]
    assert stream.texts() == rows
    assert_same(stream, by_pyxdf(path)[1])
    with pytest.raises(WrongInput, match="'made' holds texts, not numbers; read its texts"):
        stream.values()


def test_texts_of_a_numeric_stream_are_refused(tmp_path: Path) -> None:
    path = record(tmp_path / "a.xdf", [(header(), numbers("float32", 5, 2), np.arange(5.0))])
    with pytest.raises(WrongInput, match="holds numbers, not texts"):
        read_xdf_file(path).streams[0].texts()
    with pytest.raises(UnknownFile, match="has no stream 'maid'; did you mean 'made'"):
        read_xdf_file(path).stream("maid")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"PK\3\4", "no XDF file: it does not begin with 'XDF:'"),
        (b"\x1f\x8b\x08", "unpack it with gunzip first"),
    ],
)
def test_file_without_magic_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.xdf").write_bytes(content)
    with pytest.raises(WrongFile, match=words):
        read_xdf_file(tmp_path / "a.xdf")
    with pytest.raises(UnknownFile, match=r"no recording .*b\.xdf"):
        read_xdf_file(tmp_path / "b.xdf")


# -- broken files ------------------------------------------------------------------------------------------------


def whole(tmp_path: Path, n: int = 1000) -> tuple[Path, np.ndarray]:
    values = numbers("float32", n, 2)
    return record(tmp_path / "a.xdf", [(header(), values, np.arange(n) / 100.0)]), values


def test_damaged_chunk_loses_only_its_own_samples(tmp_path: Path) -> None:
    path, values = whole(tmp_path)
    content = bytearray(path.read_bytes())
    stored = read_xdf_file(path).streams[0]._chunks[4]
    content[stored.body - 4] ^= 1  # its count of samples
    path.write_bytes(content)
    file = read_xdf_file(path)
    kept = np.concatenate((values[:250], values[300:]))  # the first chunk has two steps
    np.testing.assert_array_equal(file.streams[0].values(), kept)
    assert file.streams[0].holes == [250]
    assert "are damaged and were left out" in file.problems[0]
    assert "'made' has 950 samples, but its footer counts 1000" in file.problems


def test_broken_length_resumes_at_next_boundary(tmp_path: Path) -> None:
    path, values = whole(tmp_path)
    content = bytearray(path.read_bytes())
    stored = read_xdf_file(path).streams[0]._chunks[4]
    start = stored.body - 4 - 1 - 4 - 2 - 4  # the chunk's length
    struct.pack_into("<I", content, start, 0xFFFFFFF0)
    path.write_bytes(content)
    file = read_xdf_file(path)
    read = file.streams[0].values()
    assert 850 <= len(read) < 1000
    np.testing.assert_array_equal(read[:250], values[:250])
    np.testing.assert_array_equal(read[250:], values[1000 - len(read) + 250 :])
    assert file.broken_off_at is None


def test_wrong_length_within_file_is_detected(tmp_path: Path) -> None:
    path, values = whole(tmp_path)
    content = bytearray(path.read_bytes())
    stored = read_xdf_file(path).streams[0]._chunks[4]
    start = stored.body - 4 - 1 - 4 - 2 - 4
    struct.pack_into("<I", content, start, struct.unpack_from("<I", content, start)[0] + 500)
    path.write_bytes(content)
    read = read_xdf_file(path).streams[0].values()
    assert len(read) >= 850
    np.testing.assert_array_equal(read[:250], values[:250])


def test_damaged_stamp_flag_loses_no_sample(tmp_path: Path) -> None:
    path, values = whole(tmp_path)
    content = bytearray(path.read_bytes())
    stored = read_xdf_file(path).streams[0]._chunks[4]
    content[stored.body + 17 * 3] ^= 0xFF
    path.write_bytes(content)
    np.testing.assert_array_equal(read_xdf_file(path).streams[0].values(), values)


def test_impossible_counts_allocate_no_memory(tmp_path: Path) -> None:
    huge = struct.pack("<IBQ", 1, 8, 2**62)
    many = header().to_xml().replace(b"<channel_count>2<", b"<channel_count>2000000000<")
    path = foreign_file(
        tmp_path / "a.xdf",
        encoding.chunk(encoding.STREAM_HEADER, struct.pack("<I", 1), many),
        encoding.chunk(encoding.SAMPLES, huge, b"\x08" * 64),
        struct.pack("<BQH", 8, 2**63, encoding.SAMPLES),
    )
    file = read_xdf_file(path)
    assert not file.streams
    assert "its header counts '2000000000' channels; 1 to 4096 can be" in file.problems[0]
    assert file.broken_off_at is not None


def test_xml_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><info><name>&b;</name></info>'
    path = foreign_file(
        tmp_path / "a.xdf",
        encoding.chunk(encoding.STREAM_HEADER, struct.pack("<I", 1), bomb),
        encoding.boundary(),
    )
    assert any("defines XML entities" in problem for problem in read_xdf_file(path).problems)


def test_many_broken_chunks_are_skipped_fast(tmp_path: Path) -> None:
    """One search for a mark serves all: else 20,000 damaged chunks before 40 MB would take hours."""
    bad = encoding.chunk(encoding.SAMPLES, struct.pack("<IBI", 1, 4, 7), b"\0" * 5)
    path = foreign_file(tmp_path / "a.xdf", encoding.stream_header(1, header()), bad * 20_000)
    with path.open("ab") as file:
        file.write(encoding.chunk(encoding.SAMPLES, struct.pack("<IBI", 1, 4, 1), b"\0" * 40_000_000))
    before_s = time.process_time()
    file = read_xdf_file(path)
    assert file.streams[0].n_samples == 0
    assert time.process_time() - before_s < 60.0
    assert len(file.problems) < 50, "problems are for people"


def test_file_changed_after_opening_raises(tmp_path: Path) -> None:
    path, _ = whole(tmp_path)
    stream = read_xdf_file(path).streams[0]
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(WrongFile, match="has changed since it was opened; open it again"):
        stream.values()


# -- sessions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["int16", "float32", "double64", "int32"])
def test_session_eeg_is_rebuilt_bit_equal(tmp_path: Path, form: str) -> None:
    made = SmallSession(tmp_path, form=form)
    made.session_log.close()
    session = open_session_recording(tmp_path)
    assert (session.labels, session.rate_hz, session.n_samples) == (("Fz", "Oz"), 100.0, len(made.expected))
    assert session.eeg().tobytes() == made.expected.tobytes()
    for start, stop in ((0, 1), (17, 18), (100, 700), (1700, None), (-50, None), (5, 5), (9, 3)):
        assert session.eeg(start, stop).tobytes() == made.expected[start:stop].tobytes()
    index = np.arange(session.n_samples)
    np.testing.assert_allclose(session.times_s(), 1000.0 + index / 100.0, rtol=0, atol=1e-9)
    np.testing.assert_allclose(session.times_s(700, 702), 1000.0 + index[700:702] / 100.0, rtol=0, atol=1e-9)
    received_s = session.received_s()
    gone = np.isnan(made.expected).all(axis=1)
    np.testing.assert_array_equal(np.isnan(received_s), gone)
    assert [event.details["step"] for event in session.events] == list(range(0, 200, 10))
    assert session.events[3].message == "step 30: µ"
    assert [session.index_of(1000.0 + i / 100.0) for i in (0, 555, 5000)] == [0, 555, 5000]
    assert session.is_whole
    assert session.lost_s is None


def test_lost_session_files_are_listed_as_problems(tmp_path: Path) -> None:
    SmallSession(tmp_path, n_steps=20).session_log.close()
    session = open_session_recording(tmp_path / "recording.xdf")
    assert (session.settings, session.protocol_text, session.baseline, session.ratings) == ({}, "", None, [])
    assert any("session.json cannot be read" in problem for problem in session.problems)
    assert any("protocol.toml cannot be read" in problem for problem in session.problems)
    (tmp_path / "session.json").write_text('{"seed": 1')
    assert open_session_recording(tmp_path).settings == {}


def test_open_session_refuses_foreign_recording(tmp_path: Path) -> None:
    path, _ = whole(tmp_path)
    with pytest.raises(WrongFile, match="is no session of neurofb: it has no stream 'neurofb-placement'"):
        open_session_recording(path)
    with pytest.raises(UnknownFile, match=r"has no recording\.xdf: it is no session"):
        open_session_recording(tmp_path)


def test_eeg_after_damaged_chunk_keeps_its_index(tmp_path: Path) -> None:
    made = SmallSession(tmp_path)
    made.session_log.close()
    path = tmp_path / "recording.xdf"
    content = bytearray(path.read_bytes())
    stored = read_xdf_file(path).streams[0]._chunks[12]
    content[stored.body - 4] ^= 1
    path.write_bytes(content)
    session = open_session_recording(tmp_path)
    read, there = session.eeg(), ~np.isnan(session.received_s())
    assert session.n_samples == len(made.expected)
    np.testing.assert_array_equal(read[there], made.expected[there])
    n_lost = int((~there).sum() - np.isnan(made.expected).all(axis=1).sum())
    assert n_lost == stored.n_samples
    assert f"{n_lost} samples of EEG are lost to damage of the file and are NaN" in session.problems


def test_eeg_with_unknown_index_is_nan(tmp_path: Path) -> None:
    made = SmallSession(tmp_path)
    made.session_log.close()
    path = tmp_path / "recording.xdf"
    content = bytearray(path.read_bytes())
    for number in (12, 20):
        stored = read_xdf_file(path).streams[0]._chunks[number]
        content[stored.body - 4] ^= 1
    path.write_bytes(content)
    session = open_session_recording(tmp_path)
    read = session.eeg()
    known = ~np.isnan(session.received_s())
    np.testing.assert_array_equal(read[known], made.expected[: len(read)][known])
    assert 100 < known.sum() < len(made.expected)
    assert any("damaged in several places" in problem for problem in session.problems)
    assert session.lost_s > 1.0


FAULTS = ("stall@20+1", "loss@35+0.4", "disconnect@40+3", "flat@30+4:Fz", "jump@50+0.3", "off@60+5:Oz")
SESSIONS = {
    "quiet": {},
    "many troubles": {"headset_faults": FAULTS},
    "packets lost throughout": {
        "headset_faults": ("loss=0.05", "jitter=0.01"),
        "device": "unicorn-hybrid-black",
    },
}


@pytest.mark.parametrize("asked", SESSIONS.values(), ids=SESSIONS)
def test_session_eeg_equals_what_the_engine_pushed(tmp_path: Path, asked) -> None:
    pushed = []

    def listen(assembled) -> None:
        loop = assembled.engine._recorded_loop.loop
        push = loop.push

        def noted(chunk):
            pushed.append(chunk)
            return push(chunk)

        loop.push = noted

    ran = run(tmp_path, prepare=listen, **asked)
    session = open_session_recording(ran.folder)
    expected = np.concatenate([chunk.samples for chunk in pushed])
    assert session.is_whole, session.problems
    assert len(expected) > 5000
    assert session.eeg().tobytes() == expected[: session.n_samples].tobytes()
    assert np.isnan(expected[session.n_samples :]).all()
    received_s = np.concatenate([chunk.received_s for chunk in pushed])[: session.n_samples]
    np.testing.assert_array_equal(session.received_s(), received_s)
    times_s = np.concatenate([chunk.times_s for chunk in pushed])[: session.n_samples]
    np.testing.assert_allclose(session.times_s(), times_s, rtol=0, atol=1e-3)
    assert [event.to_json() for event in session.events] == [
        row[0] for row in ran.streams["neurofb-events"]["time_series"]
    ]
    np.testing.assert_array_equal(session.feedback["level"], ran.column("neurofb-feedback", "level"))
    np.testing.assert_array_equal(session.features["index"], ran.column("neurofb-features", "index"))
    np.testing.assert_array_equal(session.stimulus["target_c"], ran.column("neurofb-stimulus", "target_c"))
    assert session.settings["participant"] == "P01"
    assert session.protocol_text == ran.assembled.folder.path.joinpath("protocol.toml").read_text("utf-8")
    assert [rating["time_s"] for rating in session.ratings] == [e["time_s"] for e in ran.of_kind("rating")]
    if ran.outcome.kind == "finished":
        assert len(session.ratings) == 8
        assert session.sites == ("left forearm",)
        assert session.baseline["baselines"]
    n_missing = int(np.isnan(session.received_s()).sum())
    assert (n_missing > 100) == bool(asked)


def test_zero_packets_are_nan_on_grid_and_kept_as_received(tmp_path: Path) -> None:
    profile, clock = load_profile("muse-2"), ManualClock(1000.0)
    head = Head(
        [profile.position(label) for label in profile.labels], 256.0, HeadSettings(), labels=profile.labels
    )
    faults = parse_faults(("loss=0.2", "stall@3+1", "disconnect@6+1")).headset
    headset = Headset(head, settings_of(profile, seed=3, faults=faults, loss=0.2), profile.labels, 1000.0)
    source = SimulatedSource(headset, profile.labels, clock, keep_raw=True)
    source.start()
    columns = LogColumns(source.stream_info, source.eeg_columns, {})
    session_log = SessionLog(Recorder(tmp_path / "recording.xdf", waits=True), None, clock, columns)
    pushed, received = [], []
    for _ in range(400):
        clock.advance(0.03)
        batch = source.pull()
        pushed.append(batch.chunk)
        received += [block.values for block in batch.raw]
        session_log.write(batch, Output([], []))
        session_log.flush()
    session_log.close()
    session = open_session_recording(tmp_path)
    expected = np.concatenate([chunk.samples for chunk in pushed])
    assert session.eeg().tobytes() == expected[: session.n_samples].tobytes()
    assert session.eeg_stream.values().tobytes() == np.concatenate(received).tobytes()
    blank = np.isnan(expected) & ~np.isnan(np.concatenate([chunk.received_s for chunk in pushed]))[:, None]
    assert blank.sum() > 500
    assert not blank.all(axis=1).all()
    assert (session.eeg_stream.values() == 0).sum() >= blank.sum()


def test_mnelab_reads_session_eeg(tmp_path: Path) -> None:
    reader = pytest.importorskip("mnelab.io.xdf", reason="mnelab is not installed")
    ran = run(tmp_path)
    session = open_session_recording(ran.folder)
    raw = reader.read_raw_xdf(str(session.path), [session.eeg_stream.header.number])
    assert tuple(raw.ch_names) == session.labels
    eeg = session.eeg()
    np.testing.assert_allclose(raw.get_data().T[: len(eeg)] * 1e6, eeg, rtol=1e-9, atol=1e-9)


# -- anything at all ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list[bytes]:
    """Give a session, and a file as others write it: stamps left out, texts, footers missing."""
    folder = tmp_path_factory.mktemp("small")
    made = SmallSession(folder, n_steps=60)
    made.session_log.close()
    values = numbers("int32", 90, 2)
    other = foreign_file(
        folder / "other.xdf",
        encoding.stream_header(1, header(form="int32", n_channels=2)),
        encoding.stream_header(2, header("words", "string", 1, 0.0)),
        encoding.stream_header(3, header("late", "double64", 1, 10.0)),
        *(
            part
            for i in range(9)
            for part in (
                foreign_samples(1, values[10 * i : 10 * i + 10], [i * 0.1] + [None] * 9, (1, 4, 8)[i % 3]),
                foreign_samples(2, [["word " * i], ["µ"]], [i * 0.1, None], 1),
                encoding.clock_offset(1, i * 1.0, 0.5),
                encoding.boundary(),
            )
        ),
        encoding.stream_footer(1, 0.0, 0.9, 90, [(0.0, 0.5)]),
    )
    return [(folder / "recording.xdf").read_bytes(), other.read_bytes()]


def read_everything(path: Path) -> None:
    """Read all there is: errors only of ours, and only on opening."""
    try:
        file = read_xdf_file(path)
    except WrongFile:
        return
    for stream in file.streams:
        if stream.header.dtype is None:
            assert len(stream.texts()) == stream.n_samples
        elif stream.n_samples:
            assert len(stream.values()) == len(stream.stamps_s()) == stream.n_samples
    try:
        session = open_session_recording(path)
    except WrongFile:
        return
    stop = min(session.n_samples, 100_000)
    assert (
        len(session.eeg(0, stop)) == len(session.times_s(0, stop)) == len(session.received_s(0, stop)) == stop
    )
    assert session.features.keys() | session.feedback.keys() | session.stimulus.keys() >= {"time_s"}
    assert isinstance(session.events, list)
    assert isinstance(session.ratings, list)
    assert isinstance(session.problems, tuple)


def mangle(content: bytes, edits) -> bytes:
    """Change single bytes, cut out, double, insert and turn around pieces."""
    out = bytearray(content)
    for kind, at, n in edits:
        at %= len(out) or 1
        if kind == "set":
            out[at : at + 1] = bytes((n & 0xFF,))
        elif kind == "cut":
            del out[at : at + n]
        elif kind == "insert":
            out[at:at] = bytes(n)
        elif kind == "double":
            out[at:at] = out[at : at + n]
        else:
            out[at : at + n] = out[at : at + n][::-1]
    return bytes(out)


def examine(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        read_everything(path)
    except BaseException:
        path.with_name(f"find-{len(content)}-{hash(content) & 0xFFFF:04x}.xdf").write_bytes(content)
        raise


KINDS = ("set", "set", "set", "cut", "insert", "double", "turn")
_edit = st.tuples(
    st.sampled_from(KINDS), st.one_of(st.integers(0, 6000), st.integers(0, 2**24)), st.integers(0, 300)
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 1), edits=st.lists(_edit, max_size=12))
def test_arbitrary_bytes_are_read_or_refused(corpus, tmp_path_factory, which, edits) -> None:
    examine(tmp_path_factory.getbasetemp() / "mangled.xdf", mangle(corpus[which], edits))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 10**6), value=st.integers(1, 255))
def test_damaged_byte_loses_nothing_before_it(corpus, tmp_path_factory, at, value) -> None:
    path = tmp_path_factory.getbasetemp() / "one.xdf"
    content = bytearray(corpus[0])
    path.write_bytes(content)
    before = {
        stream.name: (
            sum(p.n_samples for p in stream._chunks if p.body + p.size <= at % len(content)),
            stream,
        )
        for stream in read_xdf_file(path).streams
    }
    known = {name: (n, stream.stamps_s(0, n)) for name, (n, stream) in before.items()}
    content[at % len(content)] ^= value
    path.write_bytes(content)
    if at % len(content) < 4:
        with pytest.raises(WrongFile, match="is no XDF file"):
            read_xdf_file(path)
        return
    found = {stream.header.number: stream for stream in read_xdf_file(path).streams}
    for number, (name, (n, stamps_s)) in enumerate(known.items(), 1):
        if n:
            np.testing.assert_array_equal(found[number].stamps_s(0, n), stamps_s, err_msg=name)


FINDS = {
    "magic alone": (b"", "the file has no stream"),
    "header without a number": (encoding.chunk(encoding.STREAM_HEADER), "a header cannot be read"),
    "header without text": (encoding.chunk(encoding.STREAM_HEADER, bytes(4)), "a header cannot be read"),
    "header that is a text alone": (
        encoding.chunk(encoding.STREAM_HEADER, bytes(4), b"<info>a</info>"),
        "its header names the channel format ''",
    ),
    "samples without a number": (encoding.chunk(encoding.SAMPLES, b"\1"), "bytes 4 to 12 are damaged"),
    "samples of nobody": (encoding.chunk(encoding.SAMPLES, bytes(4), b"\1\0"), "1 chunks belong to stream 0"),
    "footer of nobody": (encoding.chunk(encoding.STREAM_FOOTER, bytes(4)), "1 chunks belong to stream 0"),
    "offset that is too short": (
        encoding.chunk(encoding.CLOCK_OFFSET, bytes(9)),
        "bytes 4 to 20 are damaged",
    ),
    "mark that is none": (encoding.chunk(encoding.BOUNDARY, bytes(16)), "bytes 4 to 27 are damaged"),
    "length of no known size": (b"\2\2\0\0\0", "from byte 4 of 9"),
    "length of nothing": (b"\1\0\0\0", "from byte 4 of 8"),
    "tag of nobody": (encoding.chunk(77, b"abc"), "bytes 4 to 14 are damaged"),
    "length that ends with the file": (b"\4\7", "from byte 4 of 6"),
}


@pytest.mark.parametrize("content, words", FINDS.values(), ids=FINDS)
def test_small_wrong_files_list_their_problem(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.xdf").write_bytes(encoding.MAGIC + content)
    problems = read_xdf_file(tmp_path / "a.xdf").problems
    assert any(words in problem for problem in problems), problems
    read_everything(tmp_path / "a.xdf")


@pytest.mark.skipif(not LONG, reason="ten minutes: with NEUROFB_LONG=1")
@pytest.mark.timeout(900)
def test_arbitrary_damage_for_ten_minutes(corpus, tmp_path: Path) -> None:
    seed = int(os.environ.get("NEUROFB_SEED", "0"))
    rng, until_s, n = np.random.default_rng(seed), time.monotonic() + 600, 0
    while time.monotonic() < until_s:
        content = corpus[int(rng.integers(len(corpus)))]
        edits = [
            (
                KINDS[int(rng.integers(len(KINDS)))],
                int(rng.integers(6000 if rng.random() < 0.5 else len(content))),
                int(rng.choice((rng.integers(4), rng.integers(256), rng.integers(300)))),
            )
            for _ in range(int(rng.integers(1, 12)))
        ]
        examine(tmp_path / "mangled.xdf", mangle(content, edits))
        n += 1
    print(f"{n} files")
    assert n > 1000
