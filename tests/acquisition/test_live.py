"""The LSL source on live streams: what comes out, what is said, and that it goes on by itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pylsl
import pytest
from lsl_senders import BOUND_S, MUSE, Pulled, Sender, outlet, unique

from neurofb.acquisition import live, outlet_search
from neurofb.acquisition.live import LslSource
from neurofb.acquisition.source import Source
from neurofb.devices import load_profile
from neurofb.errors import StreamMissing, WrongInput, WrongStream
from neurofb.lsl import inlet
from neurofb.lsl.inlet import LslClock
from neurofb.lsl.matching import StreamQuery


def opened(name: str, **options: object) -> Pulled:
    """Open the stream of this name."""
    source = LslSource(StreamQuery(name=name, **options), wait_s=BOUND_S)  # type: ignore[arg-type]
    source.start()
    return Pulled(source)


def test_source_returns_sent_samples_and_stamps() -> None:
    name = unique("Plain")
    sender = Sender(outlet(name))
    pulled = opened(name)
    source: Source = pulled.source
    assert source.labels == MUSE
    assert source.rate_hz == 256.0
    assert source.state == "waiting"
    for first in range(0, 600, 12):
        sender.send(first, 12)
    pulled.until_received(600)
    np.testing.assert_array_equal(pulled.samples, np.concatenate(sender.sent).astype(np.float32))
    assert pulled.source.state == "flowing"
    received_s = np.concatenate([chunk.received_s for chunk in pulled.chunks])
    times_s = np.concatenate([chunk.times_s for chunk in pulled.chunks])
    np.testing.assert_array_equal(received_s, sender.start_s + np.arange(600) / 256.0)
    # One computer, one clock: the sender's stamps are right but for LSL's own measure of the clock.
    assert np.abs(times_s - received_s).max() < 0.005
    assert pulled.events == []
    assert len(pulled.source.connection.offsets) >= 1
    pulled.source.stop()
    pulled.source.stop()


@pytest.mark.parametrize("value_format", ["float32", "double64", "int32", "int16", "int8", "int64"])
def test_source_reads_every_number_format(value_format: str) -> None:
    name = unique("Format")
    out = outlet(name, value_format=value_format)
    pulled = opened(name)
    values = np.arange(200 * 4).reshape(200, 4) % 100 + 1
    out.push_chunk(values, (pylsl.local_clock() + np.arange(200) / 256.0).tolist())
    pulled.until_received(200)
    np.testing.assert_array_equal(pulled.samples, values)
    pulled.source.stop()


def test_source_converts_volts_to_microvolts() -> None:
    name = unique("Volts")
    sender = Sender(outlet(name, unit="V"), scale=20e-6)
    pulled = opened(name)
    sender.send(0, 1000)
    pulled.until_received(1000)
    np.testing.assert_allclose(pulled.samples, 1e6 * sender.sent[0], rtol=1e-6)
    assert pulled.source.connection.eeg.unit_from == "V, by the stream"
    assert pulled.events == []
    pulled.source.stop()


def test_wrong_unit_is_an_event() -> None:
    name = unique("Wrong")
    sender = Sender(outlet(name, unit="microvolts"), scale=20e-6)
    pulled = opened(name)
    sender.send(0, 1000)
    pulled.until_received(1000)
    assert pulled.event("unit").details["likely_unit"] == "volts"
    pulled.source.stop()


def test_lost_samples_are_nan_and_a_gap_event() -> None:
    name = unique("Lossy")
    sender = Sender(outlet(name))
    pulled = opened(name, profile=load_profile("muse-2"))
    lost = {50, 51, 90}
    for packet in set(range(160)) - lost:
        sender.send(packet * 12, 12)
    pulled.until_received(157 * 12)
    missing = np.isnan(pulled.samples[:, 0])
    assert sorted({int(i) // 12 for i in np.flatnonzero(missing)}) == sorted(lost)
    assert missing.sum() == 36
    gaps = [event for event in pulled.events if event.kind == "gap"]
    assert [event.details["n_samples"] for event in gaps] == [24, 12]
    assert gaps[0].index == 600
    pulled.source.stop()


def test_second_sender_of_the_same_identity_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CORRECTION_EVERY_S", 0.05)
    name = unique("Twin")
    first = Sender(outlet(name))
    pulled = opened(name, profile=load_profile("muse-2"))
    first.send(0, 120)
    imposter = outlet(name)
    pulled.until(lambda: "second_sender" in pulled.kinds)
    event = pulled.event("second_sender")
    assert event.details["uid"] == imposter.get_info().uid()
    assert event.details["uid_read"] == pulled.source.connection.info.uid
    assert event.details["uid"] in event.message
    assert event.details["host"] in event.message
    assert pulled.kinds.count("second_sender") == 1
    pulled.source.stop()


def test_source_reopens_outlet_that_died() -> None:
    name = unique("Phoenix")
    first = Sender(outlet(name))
    pulled = opened(name, profile=load_profile("muse-2"))
    first.send(0, 1200)
    pulled.until(lambda: pulled.source.connection.builder.indexer.n_received >= 1200)
    first.out = None  # type: ignore[assignment]
    pulled.until(lambda: "lost" in pulled.kinds)
    assert pulled.source.state == "lost"
    assert "the outlet of" in pulled.event("lost").message
    again = Sender(outlet(name))
    pulled.until(lambda: "reopened" in pulled.kinds)
    again.start_s = first.start_s
    again.send(3600, 600)
    pulled.until_received(1800)
    samples = pulled.samples
    assert len(samples) == 4200
    assert np.isnan(samples[1200:3600]).all()
    np.testing.assert_array_equal(samples[3600:], again.sent[0].astype(np.float32))
    assert pulled.kinds.index("lost") < pulled.kinds.index("reopened") < pulled.kinds.index("resumed")
    assert pulled.event("gap").details["n_samples"] == 2400
    reopened = pulled.event("reopened")
    assert reopened.details["uid"] != reopened.details["uid_before"]
    assert reopened.details["change"] == "another outlet of the same computer"
    assert reopened.details["host"] == reopened.details["host_before"] != ""
    assert all(reopened.details[key] in reopened.message for key in ("uid", "uid_before", "host"))
    assert next(chunk.first_index for chunk in pulled.chunks if len(chunk)) == 0
    pulled.source.stop()


def test_source_takes_no_outlet_while_two_match_the_lost_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, wanted = unique("Hydra"), [2]

    def find_all(*arguments: object) -> list:
        """Find streams, but return nothing before both are seen: LSL shows them one after the other."""
        seen = inlet.find_streams(*arguments)  # type: ignore[arg-type]
        return seen if sum(facts.name == name for facts, _ in seen) >= wanted[0] else []

    kept = [outlet(name)]
    pulled = opened(name)
    monkeypatch.setattr(outlet_search, "find_streams", find_all)
    Sender(kept[0]).send(0, 300)
    pulled.until(lambda: pulled.source.state == "flowing")
    kept.clear()
    pulled.until(lambda: "lost" in pulled.kinds)
    kept += [outlet(name), outlet(name)]
    pulled.until(lambda: "several" in pulled.kinds)
    event = pulled.event("several")
    assert len(event.details["uids"]) == 2
    assert all(uid in event.message for uid in event.details["uids"])
    assert "None is taken until only one is left" in event.message
    assert pulled.source.state == "lost"
    wanted[0] = 1
    del kept[0]
    pulled.until(lambda: "reopened" in pulled.kinds)
    assert pulled.kinds.count("several") == 1
    assert pulled.event("reopened").details["uid"] in event.details["uids"]
    pulled.source.stop()


def test_source_follows_sender_with_another_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    # 100 h ahead and -33 ppm; what LSL would measure of it, this test says.
    name, ahead_s, drift = unique("Elsewhere"), 360_000.0, -33e-6
    sender = Sender(outlet(name), offset_s=ahead_s)

    def correction_s(inlet: object, timeout_s: float) -> float:
        return -(ahead_s + drift * (pylsl.local_clock() - sender.start_s))

    monkeypatch.setattr(inlet.NumericInlet, "correction_s", correction_s)
    monkeypatch.setattr(live, "CORRECTION_EVERY_S", 0.05)
    pulled = opened(name, profile=load_profile("muse-2"))
    sender.send(0, 2560)
    pulled.until(lambda: len(pulled.source.connection.offsets) > 3)
    pulled.until_received(2560)
    received_s = np.concatenate([chunk.received_s for chunk in pulled.chunks])
    times_s = np.concatenate([chunk.times_s for chunk in pulled.chunks])
    np.testing.assert_array_equal(received_s, sender.start_s + ahead_s + np.arange(2560) / 256.0)
    # As old as this computer's clock says, though measured 40 s later: 33 ppm of that are 1.3 ms.
    assert np.abs(times_s - (received_s - ahead_s)).max() < 0.003
    assert set(pulled.kinds) <= {"stale", "resumed"}  # no other clock, no gap, no jump
    measured = [offset_s for _, offset_s in pulled.source.connection.offsets]
    assert np.abs(np.array(measured) + ahead_s).max() < 0.01
    assert (np.diff(measured) > 0).all()
    pulled.source.stop()


def test_stall_is_stale_then_lost_then_resumed() -> None:
    name = unique("Stall")
    sender = Sender(outlet(name))
    pulled = opened(name)
    sender.send(0, 300)
    pulled.until(lambda: pulled.source.state == "flowing")
    pulled.until(lambda: pulled.source.state == "stale")
    pulled.until(lambda: pulled.source.state == "lost")
    assert pulled.event("stale").details["silent_s"] > 3 / 256
    assert pulled.event("lost").details["silent_s"] > 2.0
    sender.send(300, 300)
    pulled.until(lambda: "resumed" in pulled.kinds)
    assert pulled.kinds == ["stale", "lost", "resumed"]
    pulled.until_received(600)
    assert not np.isnan(pulled.samples).any()
    # Nothing is sent any more: where the rest is fetched late, that is a silence of its own, and true.
    assert pulled.kinds[3:] in ([], ["stale"])
    assert pulled.event("resumed").details["silent_s"] > 2.0
    pulled.source.stop()


def test_start_refuses_two_streams_of_one_name() -> None:
    name = unique("Twin")
    kept = [outlet(name, source_id="same"), outlet(name, source_id="same")]
    with pytest.raises(StreamMissing, match=f"(?s)found {len(kept)}:.*Say which"):
        LslSource(StreamQuery(name=name), wait_s=10.0).start()


def test_start_without_stream_lists_those_seen() -> None:
    name = unique("Other")
    kept = outlet(name)
    with pytest.raises(
        StreamMissing, match=f"(?s)no stream named 'nobody' came up in 1 s. Seen meanwhile:.*{name}"
    ):
        LslSource(StreamQuery(name="nobody"), wait_s=1.0).start()
    assert kept.channel_count == 4


def test_start_refuses_stream_that_contradicts_profile() -> None:
    name = unique("Small")
    kept = outlet(name, (), n_channels=3)
    with pytest.raises(WrongStream, match="its channels 3 are not TP9"):
        LslSource(StreamQuery(name=name, profile=load_profile("muse-2")), wait_s=10.0).start()
    assert kept.channel_count == 3


def test_source_before_start_has_no_labels() -> None:
    source = LslSource(StreamQuery(name="x"))
    assert source.state == "waiting"
    with pytest.raises(WrongInput, match=r"known after start\(\)"):
        source.pull()
    with pytest.raises(WrongInput, match=r"known after start\(\)"):
        _ = source.labels
    source.stop()


def test_lsl_clock_reads_and_waits_on_lsl_time() -> None:
    clock = LslClock()
    before_s = pylsl.local_clock()
    clock.wait_until(before_s + 0.01)
    assert clock.now_s() >= before_s + 0.01
    clock.wait_until(before_s)


def needs(package: str) -> None:
    """Skip if an independent sender is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")


def test_source_reads_mne_lsl_player_in_volts(tmp_path: Path) -> None:
    needs("mne_lsl")
    import mne

    name = unique("player")
    rng = np.random.default_rng(0)
    data = 20e-6 * rng.standard_normal((3, 2560))
    raw = mne.io.RawArray(data, mne.create_info(["Fz", "Cz", "Pz"], 256.0, "eeg"), verbose="error")
    raw.save(tmp_path / "file_raw.fif", fmt="double", verbose="error")
    # Its PlayerLSL in a process of its own; it has its own copy of liblsl.
    script = f"""
        import sys
        from mne_lsl.player import PlayerLSL
        with PlayerLSL({str(tmp_path / "file_raw.fif")!r}, chunk_size=16, name={name!r}):
            sys.stdin.read()
    """
    with independent(script) as _:
        pulled = opened(name)
        assert pulled.source.connection.info.units == ("0", "0", "0")
        assert pulled.source.labels == ("Fz", "Cz", "Pz")
        pulled.until_received(900)
        pulled.source.stop()
    # The player begins anywhere; every sample of ours is one of the file's, in µV, in order.
    found = pulled.samples[~np.isnan(pulled.samples[:, 0])]
    expected = 1e6 * data.T
    start = int(np.abs(expected[:, 0] - found[0, 0]).argmin())
    np.testing.assert_allclose(found, expected[(start + np.arange(len(found))) % 2560], atol=1e-3)
    assert "unit" not in pulled.kinds


def test_source_reads_mne_lsl_command_in_volts(tmp_path: Path) -> None:
    needs("mne_lsl")
    import mne

    name = unique("command")
    data = 20e-6 * np.random.default_rng(1).standard_normal((2, 1280))
    raw = mne.io.RawArray(data, mne.create_info(["C3", "C4"], 256.0, "eeg"), verbose="error")
    raw.save(tmp_path / "file_raw.fif", fmt="double", verbose="error")
    script = """
        import sys
        from importlib.metadata import entry_points
        (command,) = entry_points(group="console_scripts", name="mne-lsl")
        sys.exit(command.load()())
    """
    # It plays until its input closes.
    arguments = ["player", str(tmp_path / "file_raw.fif"), "-n", name, "-c", "16"]
    with independent(script, *arguments):
        pulled = opened(name)
        pulled.until_received(600)
        pulled.source.stop()
    assert pulled.source.labels == ("C3", "C4")
    assert pulled.source.connection.eeg.unit_from == "0, by the stream"
    found = pulled.samples[~np.isnan(pulled.samples[:, 0])]
    expected = 1e6 * data.T
    start = int(np.abs(expected[:, 0] - found[0, 0]).argmin())
    np.testing.assert_allclose(found, expected[(start + np.arange(len(found))) % 1280], atol=1e-3)


def test_source_reads_brainflow_board_in_microvolts() -> None:
    needs("brainflow")
    name = unique("synthetic")
    script = f"""
        import sys, threading, numpy as np, pylsl
        from brainflow.board_shim import BoardShim, BrainFlowInputParams
        board = BoardShim(-1, BrainFlowInputParams())
        info = pylsl.StreamInfo({name!r}, "EEG", 4, 250.0, "float32", {name!r})
        channels = info.desc().append_child("channels")
        for label in ("Fz", "Cz", "Pz", "Oz"):
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", "uV")
        outlet = pylsl.StreamOutlet(info)
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        board.prepare_session()
        board.start_stream()
        while not ended.wait(0.02):
            data = board.get_board_data()
            if data.shape[1]:
                outlet.push_chunk(np.ascontiguousarray(data[1:5].T))
        board.release_session()
    """
    with independent(script) as _:
        pulled = opened(name)
        pulled.until_received(1500)
        rate_hz = pulled.source.rate_hz
        pulled.source.stop()
    samples = pulled.samples
    samples = samples[np.isfinite(samples).all(axis=1)][-1000:]
    # Row k is a sine of 5k Hz whose amplitude is 10k times the root of 2, with noise.
    for k in (1, 2, 3, 4):
        wave = samples[:, k - 1] - samples[:, k - 1].mean()
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
        assert np.fft.rfftfreq(len(wave), 1 / rate_hz)[spectrum.argmax()] == pytest.approx(5 * k, abs=0.6)
        assert wave.std() == pytest.approx(10 * k, rel=0.4)
    assert "unit" not in pulled.kinds


class independent:
    """Run a sender in a process of its own, until the block ends."""

    def __init__(self, script: str, *arguments: str) -> None:
        self.command = [sys.executable, "-c", textwrap.dedent(script), *arguments]

    def __enter__(self) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)
        return self.process

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=BOUND_S)
        finally:
            self.process.kill()
            self.process.wait()
