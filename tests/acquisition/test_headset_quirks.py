"""The twelve ways in which headsets and their programs lie: what the user is told and what is recorded.

Each test makes the quirk with a plain outlet, or takes it from a recording in which it was found.
"""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pylsl
import pytest
import pyxdf
from lsl_senders import BOUND_S, MUSE, Pulled, Sender, outlet, unique

from neurofb.acquisition.chunking import ChunkBuilder, PacketFormat
from neurofb.acquisition.clock_offset import ClockOffset
from neurofb.acquisition.live import LslSource
from neurofb.devices import load_profile
from neurofb.errors import StreamMissing, WrongStream
from neurofb.lsl.inlet import LslClock, find_streams
from neurofb.lsl.matching import StreamInfo, StreamQuery, choose, eeg_columns
from neurofb.simulation.sender import Sender as SimulatedSender
from neurofb.simulation.sender import SendPlan


def opened(name: str, profile: str | None = None, type_: str | None = None) -> Pulled:
    """Open the stream of this name as that of a device."""
    query = StreamQuery(name=name, type=type_, profile=load_profile(profile) if profile else None)
    source = LslSource(query, wait_s=BOUND_S)
    source.start()
    return Pulled(source)


def recorded(path: Path, name: str | None = None, type_: str = "EEG") -> tuple[np.ndarray, np.ndarray, float]:
    """Return values, raw stamps and rate of a stream in an XDF file."""
    streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, synchronize_clocks=False, verbose=False)
    for stream in streams:
        info = stream["info"]
        if info["type"][0] == type_ and name in (None, info["name"][0]):
            values = np.asarray(stream["time_series"], dtype=float)
            return values, np.asarray(stream["time_stamps"]), float(info["nominal_srate"][0])
    raise LookupError(f"no stream {name} {type_} in {path}")


def taken_in(
    values: np.ndarray, stamps_s: np.ndarray, rate_hz: float, line: PacketFormat
) -> tuple[ChunkBuilder, np.ndarray, list]:
    """Pass a recorded stream through a chunk builder in chunks of odd sizes."""
    builder = ChunkBuilder(tuple(f"C{i}" for i in range(values.shape[1])), rate_hz, line)
    sizes = itertools.cycle((7, 12, 31))
    chunks, at = [], 0
    while at < len(values):
        step = next(sizes)
        chunks.append(builder.push(values[at : at + step], stamps_s[at : at + step]))
        at += step
    chunks.append(builder.flush())
    return builder, np.concatenate([chunk.samples for chunk in chunks]), builder.pop_events()


def test_1_streams_of_one_source_id_are_kept_apart() -> None:
    name = unique("Muse")
    kept = [
        outlet(name, source_id="Muse_00:55"),
        outlet(name, ("X", "Y", "Z"), "g", rate_hz=52.0, type_="ACC", source_id="Muse_00:55"),
    ]
    pulled = opened(name, "muse-2")
    assert pulled.source.connection.info.type == "EEG"
    assert opened(name, type_="eeg").source.labels == MUSE
    # When the EEG dies, the motion stream of the same source_id is not taken for it.
    del kept[0]
    pulled.until(lambda: "lost" in pulled.kinds)
    kept.append(outlet(name, source_id="Muse_00:55"))
    pulled.until(lambda: "reopened" in pulled.kinds)
    assert pulled.source.connection.info.type == "EEG"
    pulled.source.stop()


def test_2_missing_labels_and_unit_come_from_profile_or_are_refused() -> None:
    name = unique("obci_eeg")
    sender = Sender(outlet(name, (), n_channels=8, rate_hz=250.0), rate_hz=250.0)
    pulled = opened(name, "openbci-cyton")
    assert pulled.source.labels == load_profile("openbci-cyton").labels
    assert (
        pulled.source.connection.eeg.unit_from
        == "microvolts, by the profile of OpenBCI Cyton (the stream does not say its unit)"
    )
    sender.send(0, 1000)
    pulled.until_received(1000)
    np.testing.assert_allclose(pulled.samples, sender.sent[0], rtol=1e-6)
    pulled.source.stop()
    with pytest.raises(WrongStream, match="does not name its channels"):
        opened(name)


def test_3_unix_stamps_are_replaced_by_arrival_times() -> None:
    name = unique("Unix")
    sender = Sender(outlet(name), offset_s=1_636_233_170.0)
    pulled = opened(name, "muse-2")
    for first in range(0, 600, 12):
        sender.send(first, 12)
    pulled.until_received(600)
    event = pulled.event("foreign_clock")
    assert "stamps its samples with unix time (seconds since 1970)" in event.message
    assert "--lsltime" in event.message
    received_s = np.concatenate([chunk.received_s for chunk in pulled.chunks])
    times_s = np.concatenate([chunk.times_s for chunk in pulled.chunks])
    assert received_s[np.isfinite(received_s)].min() > 1.6e9  # as they came
    assert abs(times_s[-1] - pylsl.local_clock()) < 60.0
    assert len(pulled.samples) >= 600
    pulled.source.stop()


def test_4_backwards_stamps_and_rates_off_nominal_in_recordings(data_dir: Path) -> None:
    path = data_dir / "muse_xdf_labrecorder" / "sub-P002_ses-S001_task-Default_run-001_eeg.xdf"
    values, stamps_s, rate_hz = recorded(path, type_="ACC")
    assert (np.diff(stamps_s) < 0).any()
    _, samples, events = taken_in(values, stamps_s, rate_hz, PacketFormat())
    assert len(samples) == len(values)
    kinds = [event.kind for event in events]
    assert "backwards" in kinds
    assert "gap" not in kinds
    assert "the smooth clock does not" in next(e.message for e in events if e.kind == "backwards")


@pytest.mark.parametrize("file", ["P001", "P002", "P003", "P023", "P031", "P032", "P050"])
def test_4_recorded_muse_eeg_has_neither_gaps_nor_jumps(data_dir: Path, file: str) -> None:
    path = data_dir / "muse_xdf_labrecorder" / f"sub-{file}_ses-S001_task-Default_run-001_eeg.xdf"
    values, stamps_s, rate_hz = recorded(path)
    builder, samples, events = taken_in(values[:, :4], stamps_s, rate_hz, PacketFormat(12, "gap"))
    assert len(samples) == len(values)
    assert builder.indexer.n_missing == 0
    assert not {"gap", "clock_jump", "rate"} & {event.kind for event in events}


def test_5_zero_filled_packets_are_nan() -> None:
    name = unique("Zeros")
    sender = Sender(outlet(name))
    pulled = opened(name, "muse-2")
    for packet in range(100):
        values = sender.rng.normal(0, 20, (12, 4))
        if packet == 30:
            values[:, 2] = 0.0
        if packet == 60:
            values[:] = 0.0
        if packet == 70:
            values[3, 1] = 0.0  # a zero may happen
        sender.send(12 * packet, 12, values)
    pulled.until_received(1200)
    missing = np.isnan(pulled.samples)
    assert missing.sum(axis=0).tolist() == [12, 12, 24, 12]
    assert missing[360:372, 2].all()
    zeros = [event for event in pulled.events if event.kind == "zeros"]
    assert [event.message for event in zeros] == [
        "12 samples were filled with zeros in AF8",
        "12 samples were filled with zeros in TP9, AF7, AF8, TP10",
    ]
    assert len(pulled.samples) == 1200
    pulled.source.stop()


@pytest.mark.parametrize("stands_in", [True, False])
def test_5_repeated_packet_is_left_out(stands_in: bool) -> None:
    rng = np.random.default_rng(0)
    values, stamps_s = rng.normal(0, 20, (2400, 4)), 1000.0 + np.arange(2400) / 256.0
    if stands_in:  # for one that was lost
        values[1212:1224] = values[1200:1212]
    else:  # beside it, with the same stamps
        order = np.r_[0:1212, 1200:1212, 1212:2400]
        values, stamps_s = values[order], stamps_s[order]
    _, samples, events = taken_in(values, stamps_s, 256.0, PacketFormat(12))
    assert len(samples) == 2400
    assert np.isnan(samples[:, 0]).sum() == (12 if stands_in else 0)
    repeat = next(event for event in events if event.kind == "repeat")
    assert repeat.message == "12 samples came twice; the second is left out"


def test_6_dead_aux_is_left_out_and_rails_stay(data_dir: Path) -> None:
    muse = load_profile("muse-2")
    stream = StreamInfo(
        "Muse", "EEG", "m", "u", "h", 5, 256.0, "float32", (*MUSE, "AUX_RIGHT"), ("microvolts",) * 5
    )
    where = eeg_columns(stream, muse)
    assert where.labels == MUSE
    path = data_dir / "muse_xdf_labrecorder" / "sub-P002_ses-S001_task-Default_run-001_eeg.xdf"
    values, stamps_s, rate_hz = recorded(path)
    assert not values[:, 4].any()  # the AUX
    _, samples, _ = taken_in(values[:, list(where.columns)], stamps_s, rate_hz, PacketFormat(12, "gap"))
    # A clipped value is for the quality check to judge; here it must arrive as it is.
    np.testing.assert_array_equal(samples, values[:, :4])
    assert muse.rails_uv is not None
    assert samples.min() == muse.rails_uv[0]
    assert samples.max() == pytest.approx(muse.rails_uv[1], abs=0.01)


@pytest.mark.parametrize("level_uv", [-109_000.0, 4200.0, 725.0])
def test_7_levels_raise_no_unit_event_and_pass_unchanged(level_uv: float) -> None:
    name = unique("Level")
    sender = Sender(outlet(name))
    pulled = opened(name)
    sender.send(0, 1000, level_uv + sender.rng.normal(0, 20, (1000, 4)))
    pulled.until_received(1000)
    assert pulled.kinds == []
    np.testing.assert_allclose(pulled.samples, sender.sent[0], rtol=1e-6)
    pulled.source.stop()


def test_8_rows_that_are_no_eeg_are_left_out() -> None:
    name = unique("EmotivDataStream-EEG")
    profile = load_profile("emotiv-epoc-x")
    labels = ("Timestamp", "Counter", "Interpolate", *profile.labels, "HardwareMarker", "Markers")
    sender = Sender(outlet(name, labels, "", rate_hz=128.0), rate_hz=128.0)
    pulled = opened(name, "emotiv-epoc-x")
    values = 4200.0 + sender.rng.normal(0, 20, (640, 19))
    values[:, 1] = np.arange(640) % 128
    lost = np.zeros(640, dtype=bool)
    lost[300:303] = True
    stamps_s = sender.start_s + np.arange(640) / 128.0
    sender.out.push_chunk(values[~lost].astype(np.float32), stamps_s[~lost].tolist())
    pulled.until_received(637)
    assert pulled.source.labels == profile.labels
    np.testing.assert_array_equal(np.isnan(pulled.samples[:, 0]), lost)
    np.testing.assert_allclose(pulled.samples[~lost], values[~lost, 3:17], rtol=1e-6)
    assert pulled.event("gap").details["found_by"] == "the counter"
    pulled.source.stop()


def test_9_stream_that_never_sends_is_an_event() -> None:
    name = unique("Silent")
    kept = outlet(name)
    pulled = opened(name)
    pulled.until(lambda: "silent" in pulled.kinds)
    assert pulled.source.state == "silent"
    assert f"connected to {name!r}, no sample in 5 s: look whether" in pulled.event("silent").message
    assert kept.channel_count == 4
    assert pulled.kinds == ["silent"]
    pulled.source.stop()


def test_10_spellings_of_type_and_unit_are_understood() -> None:
    labels = ("Fz", "Cz")
    for spelled, (unit, scale) in zip(
        ("EEG", "eeg", "Eeg ", "eeg"), (("microvolts", 1), ("uV", 1), ("V", 1e6), ("-6", 1)), strict=True
    ):
        stream = StreamInfo("n", spelled, "s", "u", "h", 2, 256.0, "double64", labels, (unit, unit))
        assert choose([stream], StreamQuery(), 1.0) is stream
        assert eeg_columns(stream).scale_uv.tolist() == [scale, scale]


def test_11_offset_between_two_computers_is_corrected(data_dir: Path) -> None:
    # Recorded by LabRecorder, with the clock reset on the way: 180 hours back at one point.
    values, stamps_s, rate_hz = recorded(data_dir / "xdf_example_files" / "clock_resets.xdf", "BioSemi")
    jumps = np.flatnonzero(np.abs(np.diff(stamps_s)) > 100.0)
    assert len(jumps) == 1
    builder, samples, events = taken_in(values, stamps_s, rate_hz, PacketFormat())
    assert builder.indexer.n_received == len(values)
    assert np.isfinite(samples[:, 0]).sum() == len(values)
    (event,) = (e for e in events if e.kind == "clock_jump" and abs(e.details["jump_s"]) > 100.0)
    assert event.details["jump_s"] == pytest.approx(np.diff(stamps_s)[jumps[0]], abs=1.0)


@pytest.mark.parametrize("rate_hz", [256.0, 1000.0])
@pytest.mark.parametrize("seed", range(2))
def test_11_drift_between_two_computers_is_corrected_for_ten_minutes(seed: int, rate_hz: float) -> None:
    # 100 h ahead, -33 ppm, and a measured offset that scatters by 1.8 ms: found in a recording.
    rng, n = np.random.default_rng(seed), int(600 * rate_hz)
    true_s = 5000.0 + np.arange(n) / rate_hz
    to_ours_s = -360_000.0 + 33e-6 * (true_s - 5000.0)
    their_s = true_s - to_ours_s
    asked = {i: to_ours_s[i] + rng.normal(0.0, 1.8e-3) for i in range(0, n, int(5 * rate_hz))}
    builder, offset = ChunkBuilder(("A",), rate_hz), ClockOffset(asked[0])
    chunks = []
    for i in range(0, n, 20):
        if i in asked:
            offset.add(true_s[i], asked[i])
        values, stamps_s = rng.normal(0.0, 20.0, (20, 1)), their_s[i : i + 20]
        chunks.append(builder.push(values, stamps_s + offset.base_s, stamps_s))
        offset.correct(chunks[-1].times_s)
    chunks.append(builder.flush())
    offset.correct(chunks[-1].times_s)
    times = np.concatenate([chunk.times_s for chunk in chunks])
    np.testing.assert_array_equal(np.concatenate([chunk.received_s for chunk in chunks]), their_s)
    assert (np.diff(times) > 0).all()
    error_s = np.abs(times - true_s)[true_s > 5030.0]
    assert np.quantile(error_s, 0.95) < 0.002
    assert error_s.max() < 0.005
    # A measurement that scatters by two periods makes no gap of samples that all came.
    assert builder.indexer.n_missing == 0
    assert builder.pop_events() == []
    # Asked only once, the drift alone would be off by more.
    assert abs(to_ours_s[-1] - to_ours_s[0]) > 0.015


def test_11_second_sender_continues_the_times_of_the_first() -> None:
    offset = ClockOffset(10.0)
    for i in range(20):
        offset.add(100.0 + 5.0 * i, 10.0 + 1e-4 * 5.0 * i)
        offset.correct(np.arange(100.0 + 5.0 * i, 105.0 + 5.0 * i, 0.1))
    correction_s = offset.correction_s
    assert correction_s == pytest.approx(0.01, abs=0.001)
    offset.reopen(-70.0)
    # A sample taken at 200 s on our clock has the stamp 270 on its own.
    times_s = np.array([270.0 + offset.base_s])
    offset.correct(times_s)
    assert times_s[0] == pytest.approx(200.0, abs=1e-9)
    assert offset.correction_s == pytest.approx(correction_s, abs=1e-9)


def test_12_own_streams_describe_themselves_fully() -> None:
    name = unique("Own")
    plan = SendPlan(load_profile("simulated"), seed=3, name=name)
    before_s = pylsl.local_clock()
    sender = SimulatedSender(plan, LslClock())
    seen = {
        facts.name: (facts, info) for facts, info in find_streams(StreamQuery(name=f"{name}-truth"), BOUND_S)
    }
    pulled = opened(name)
    truth_facts, truth_info = seen[f"{name}-truth"]
    truth_inlet = pylsl.StreamInlet(truth_info)
    truth = truth_inlet.info(timeout=BOUND_S)
    eeg = pulled.source.connection.info
    for facts in (eeg, truth_facts):
        assert facts.value_format in ("float32", "double64")
        assert len(facts.labels) == len(facts.units) == facts.n_channels
        assert all(facts.labels)
        assert all(facts.units)
        assert len(set(facts.labels)) == facts.n_channels
    assert set(eeg.units) == {"microvolts"}
    assert None not in (truth.get_channel_types() or [None])
    # Unique on the network, and the same when the program starts again.
    assert eeg.source_id != truth_facts.source_id
    assert "" not in (eeg.source_id, truth_facts.source_id)
    other = SimulatedSender(SendPlan(load_profile("simulated"), seed=4, name=name), LslClock())
    assert other.source_id != eeg.source_id
    other.close()
    sending = threading.Thread(target=sender.run, args=(3.0,))
    sending.start()
    pulled.until(lambda: pulled.source.connection.builder.indexer.n_received >= 250)
    sending.join()
    received_s = np.concatenate([chunk.received_s for chunk in pulled.chunks])
    assert before_s < np.nanmin(received_s)
    assert np.nanmax(received_s) <= pylsl.local_clock()
    again = SimulatedSender(plan, LslClock())
    assert again.source_id == eeg.source_id
    again.close()
    pulled.source.stop()


def test_recorded_reconnection_is_a_gap_of_its_length(data_dir: Path) -> None:
    # LabRecorder waited 13 s for an outlet that had died and went on in the same stream.
    path = data_dir / "labrecorder_made_here" / "multi_format_reconnect.xdf"
    values, stamps_s, rate_hz = recorded(path, "eeg_float32")
    builder, samples, events = taken_in(values, stamps_s, rate_hz, PacketFormat())
    (gap,) = (event for event in events if event.kind == "gap")
    largest_s = np.diff(stamps_s).max()
    assert gap.details["n_samples"] == round(largest_s * rate_hz) - 1
    assert len(samples) == len(values) + builder.indexer.n_missing
    assert gap.index == np.diff(stamps_s).argmax() + 1


@pytest.mark.parametrize("file", ["killed_no_footer.xdf", "truncated_muse_P001_60000bytes.xdf"])
def test_broken_off_recordings_are_read_to_their_end(data_dir: Path, file: str) -> None:
    values, stamps_s, rate_hz = recorded(data_dir / "labrecorder_made_here" / file)
    builder, samples, _ = taken_in(values, stamps_s, rate_hz, PacketFormat())
    assert builder.indexer.n_missing == 0
    np.testing.assert_array_equal(samples, values)


def test_streams_without_samples_are_empty(data_dir: Path) -> None:
    values, stamps_s, _ = recorded(
        data_dir / "labrecorder_made_here" / "multi_format_reconnect.xdf", "silent"
    )
    assert len(values) == 0
    _, samples, events = taken_in(values.reshape(0, 4), stamps_s, 160.0, PacketFormat())
    assert samples.shape == (0, 4)
    assert events == []


def test_same_name_and_source_id_on_two_computers_are_listed() -> None:
    streams = [
        StreamInfo("WS-default", "EEG", "41", uid, host, 21, 300.0, "float32", ("Fz",) * 21)
        for uid, host in (("a", "lab1"), ("b", "lab2"))
    ]
    with pytest.raises(StreamMissing, match=r"(?s)found 2:.*on lab1.*on lab2.*predicate"):
        choose(streams, StreamQuery(name="WS-default"), 2.0)
