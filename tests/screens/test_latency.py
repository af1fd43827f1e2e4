"""The latency test: delays that are known are found again, and what cannot be found is refused in words."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsl_senders import unique
from screen_parts import SimulatedChannel

from neurofb.clock import ManualClock
from neurofb.commands.latency import guide_and_measure
from neurofb.errors import StreamMissing, UnknownName, WrongInput, WrongShape, WrongStream
from neurofb.lsl.inlet import LslClock
from neurofb.lsl.matching import StreamInfo
from neurofb.lsl.outlet import Channel, NumericOutlet
from neurofb.screens.latency import measurement
from neurofb.screens.latency.analysis import evened, find_delays, store
from neurofb.screens.latency.marks import (
    CLICK_S,
    LEAST_GAP_S,
    Clicks,
    Pattern,
    click,
)
from neurofb.screens.latency.measurement import DelayTest
from neurofb.screens.sound.player import SilentDevice

KINDS = ("screen", "sound")


def recorded(simulated, *, rate_hz=1000.0, n_marks=60, seed=0, start_s=500.0):
    """A recording that begins a second before the marks: samples, stamps, marks, true delays."""
    pattern = Pattern.make(seed, n_marks)
    marks_s = start_s + 1.0 + pattern.offsets_s
    stamps_s = start_s + 0.37 / rate_hz + np.arange(round((pattern.length_s + 2.5) * rate_hz)) / rate_hz
    samples, delays_s = simulated.record(stamps_s, marks_s, pattern.on_s)
    return samples, stamps_s, marks_s, delays_s


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from([250.0, 500.0, 1000.0, 2048.0]),
    st.floats(0, 0.3),
    st.sampled_from([0.0, 0.004, 0.01]),
    st.sampled_from([0.01, 0.1]),
    st.floats(-3, 3),
    st.booleans(),
    st.integers(0, 1000),
)
def test_delays_are_found_within_tolerance(kind, rate_hz, delay_s, jitter_s, noise, drift, inverted, seed):
    """With 5 % of the marks missed: each within a sample (1 ms at 1,000 Hz), and in the middle within half of one.

    Where delays differ by more than a sample, their median is that of a single mark, and as exact as that.
    """
    simulated = SimulatedChannel(
        kind, delay_s, jitter_s, noise=noise, drift=drift, missed=0.05, inverted=inverted, seed=seed
    )
    samples, stamps_s, marks_s, true_s = recorded(simulated, rate_hz=rate_hz, seed=seed)
    found = find_delays(samples, stamps_s, marks_s, kind)
    assert np.array_equal(np.isnan(found.delays_s), np.isnan(true_s))
    assert found.n_missed == 3
    assert np.nanmax(np.abs(found.delays_s - true_s)) <= 1 / rate_hz
    assert abs(np.nanmedian(found.delays_s - true_s)) <= 0.55 / rate_hz
    assert abs(found.median_s - np.nanmedian(true_s)) <= 1 / rate_hz
    assert found.polarity == (-1 if inverted and kind == "screen" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_median_at_1000_hz_is_within_a_millisecond_in_strong_noise(kind):
    for seed in range(5):
        simulated = SimulatedChannel(kind, 0.048, 0.003, noise=0.25, drift=1.0, missed=0.05, seed=seed)
        samples, stamps_s, marks_s, true_s = recorded(simulated, seed=seed)
        found = find_delays(samples, stamps_s, marks_s, kind)
        assert abs(found.median_s - np.nanmedian(true_s)) <= 1e-3
        assert found.n_missed <= 6


def test_delays_are_found_with_mains_and_flickering_backlight():
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen", 0.033))
    with_mains = samples + 40 * np.sin(2 * np.pi * 50 * stamps_s)
    assert find_delays(with_mains, stamps_s, marks_s, "screen").median_s == pytest.approx(0.033, abs=1e-3)
    flickering = np.where((samples > 350) & (stamps_s * 240 % 1 < 0.5), 100.0, 0.0)
    assert find_delays(flickering, stamps_s, marks_s, "screen").median_s == pytest.approx(0.033, abs=2e-3)


def test_slow_screen_delay_counts_from_half_rise():
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen", 0.05, noise=0.0))
    slow = np.convolve(samples, np.ones(20) / 20)[: len(samples)]  # 20 ms from dark to bright
    slow[:20] = slow[20]
    assert find_delays(slow, stamps_s, marks_s, "screen").median_s == pytest.approx(0.06, abs=1e-3)


def test_marks_in_gaps_or_outside_are_missed():
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen", 0.04), n_marks=40)
    samples[10_000:10_100] = np.nan
    keep = (stamps_s < marks_s[20] - 0.1) | (stamps_s > marks_s[20] + 0.3)
    keep &= stamps_s < marks_s[38]
    found = find_delays(samples[keep], stamps_s[keep], marks_s, "screen")
    assert np.isnan(found.delays_s[[20, 38, 39]]).all()
    assert found.n_missed <= 4
    assert np.nanmax(np.abs(found.delays_s - 0.04)) < 2e-3


NOISE = np.random.default_rng(5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other",
    [
        lambda t: NOISE.standard_normal(len(t)),
        lambda t: np.cumsum(NOISE.standard_normal(len(t))),
        lambda t: np.sin(2 * np.pi * 50 * t),
        lambda t: (t % 1 < 0.5) * 1.0,
        lambda t: recorded(SimulatedChannel("screen"), seed=77)[0][: len(t)],
    ],
    ids=["noise", "walk", "mains", "blinking", "another pattern"],
)
def test_recording_without_marks_is_refused(kind, other):
    _, stamps_s, marks_s, _ = recorded(SimulatedChannel(kind), seed=3, n_marks=40)
    with pytest.raises(WrongStream, match=r"marks cannot be found .*stands out from chance.*\?"):
        find_delays(other(stamps_s[:20_000]), stamps_s[:20_000], marks_s, kind)


def test_delay_beyond_the_longest_is_refused():
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen", 0.9))
    with pytest.raises(WrongStream, match="no delay from 0 to 600 ms"):
        find_delays(samples, stamps_s, marks_s, "screen")


def test_negative_delay_is_refused_as_wrong_clock():
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen", 0.02))
    with pytest.raises(WrongStream, match=r"8\d ms before they were ordered.*LSL's clock"):
        find_delays(samples, stamps_s - 0.1, marks_s, "screen")


def test_mostly_missed_marks_are_refused():
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen", 0.02))
    samples[stamps_s > marks_s[25] - 0.1] = samples[0]
    with pytest.raises(WrongStream, match=r"marks (cannot be found|can be told apart)"):
        find_delays(samples, stamps_s, marks_s, "screen")


def test_inconsistent_input_is_refused():
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen"))
    with pytest.raises(WrongInput, match=r"'screen' or 'sound', found 'smell'"):
        find_delays(samples, stamps_s, marks_s, "smell")
    with pytest.raises(WrongShape, match="a stamp for each sample"):
        find_delays(samples[1:], stamps_s, marks_s, "screen")
    with pytest.raises(WrongInput, match="at least 3 marks, found 2"):
        find_delays(samples, stamps_s, marks_s[:2], "screen")
    with pytest.raises(
        WrongStream, match=r"recorded from 1500.* it stopped, or its time stamps are of another clock"
    ):
        find_delays(samples, stamps_s + 1000, marks_s, "screen")
    with pytest.raises(WrongStream, match=r"recorded from nothing"):
        find_delays(np.zeros(0), np.zeros(0), marks_s, "screen")
    with pytest.raises(WrongStream, match=r"channel is flat: every sample is 7\. Does the photodiode"):
        find_delays(np.full(len(samples), 7.0), stamps_s, marks_s, "screen")
    with pytest.raises(WrongStream, match=r"channel is flat.*Does the cable"):
        find_delays(np.zeros(len(samples)), stamps_s, marks_s, "sound")
    with pytest.raises(WrongStream, match=r"has 25 samples a second; needed are 50"):
        find_delays(samples[::40], stamps_s[::40], marks_s, "screen")


def test_arrival_stamps_are_evened_except_gaps():
    rng = np.random.default_rng(0)
    true_s = 10 + np.arange(5000) / 250
    jittered = true_s + 0.02 * rng.random(5000)
    even = evened(jittered, 250.0)
    assert np.max(np.abs(even - true_s - 0.01)) < 1e-3
    gap = np.concatenate([true_s[:2000], true_s[2000:] + 3.0])
    assert evened(gap, 250.0) is gap
    assert evened(jittered, 0.0) is jittered


def test_pattern_is_seeded_and_changes_at_most_three_times_a_second():
    one, same, other = Pattern.make(1), Pattern.make(1), Pattern.make(2)
    assert np.array_equal(one.offsets_s, same.offsets_s)
    assert not np.array_equal(one.offsets_s, other.offsets_s)
    changes = np.sort(np.concatenate([one.offsets_s, one.offsets_s + one.on_s]))
    assert np.min(changes[3:] - changes[:-3]) > 1.0  # four are never within a second
    assert np.min(np.diff(one.offsets_s)) >= LEAST_GAP_S > CLICK_S
    with pytest.raises(WrongInput, match="10 to 300 marks, asked for 5"):
        Pattern.make(0, 5)


@pytest.mark.parametrize("late", [0, 480, 4800])
def test_clicks_of_silent_device_begin_when_ordered(late):
    """A player on a manual clock, a loopback that is ``late`` samples at 48,000 Hz late."""
    clock, clicks, pattern = ManualClock(30.0), Clicks(), Pattern.make(4, 20)
    player = SilentDevice(clicks, clock, keep=True)
    marks_s = measurement.click_through(player, clicks, pattern, clock)
    heard = np.concatenate([np.zeros(late), player.heard.astype(float)])
    stamps_s = 30.0 + np.arange(len(heard)) / 48_000
    found = find_delays(heard, stamps_s, marks_s, "sound")
    assert found.n_missed == 0
    # The click's edge is a millisecond long and half way at half of that.
    assert found.delays_s == pytest.approx(np.full(20, late / 48_000 + 0.0005), abs=1e-4)


def test_click_has_zero_sum_and_same_samples_in_any_blocks():
    assert np.sum(click(48_000)) == pytest.approx(0, abs=1e-9)
    heard = []
    for block in (64, 256, 1000):
        clicks, out = Clicks(), []
        clicks.ring()
        for _ in range(4000 // block + 1):
            out.append(np.full(block, 9.0))
            clicks.render_into(out[-1])
        heard.append(np.concatenate(out)[:4000])
    assert np.array_equal(heard[0], heard[1])
    assert np.array_equal(heard[0], heard[2])
    assert np.array_equal(heard[0][: len(click(48_000))], click(48_000))
    assert not np.any(heard[0][len(click(48_000)) :])


def test_results_are_stored_without_overwriting(tmp_path):
    samples, stamps_s, marks_s, _ = recorded(SimulatedChannel("screen", 0.05, missed=0.1), n_marks=20)
    document = find_delays(samples, stamps_s, marks_s, "screen").document({"stream": "Photo"})
    paths = [store(tmp_path, document) for _ in range(3)]
    assert [path.name for path in paths] == ["latency.json", "latency_2.json", "latency_3.json"]
    read = json.loads(paths[0].read_text("utf-8"))
    assert read == document
    assert read["stream"] == "Photo"
    assert read["median_ms"] == pytest.approx(50, abs=1)
    assert (read["n_marks"], read["n_missed"], read["delays_ms"].count(None)) == (20, 2, 2)
    assert read["q1_ms"] <= read["median_ms"] <= read["q3_ms"]
    assert read["iqr_ms"] == pytest.approx(read["q3_ms"] - read["q1_ms"], abs=0.002)
    with pytest.raises(WrongInput, match="no session folder .*recording.xdf"):
        store(tmp_path / "nowhere", document)


# The terminal


def facts(labels=(), n=1):
    return StreamInfo("Photo", "AUX", "", "u", "lab", n, 1000.0, "float32", labels)


def test_channel_is_chosen_by_label_or_number():
    assert measurement.column_of(facts(), None) == (0, "1")
    assert measurement.column_of(facts(("EEG", "light"), 2), "light") == (1, "light")
    assert measurement.column_of(facts(("EEG", "light"), 2), "1") == (0, "EEG")
    with pytest.raises(WrongInput, match=r"has 2 channels; say which with --channel: EEG, light"):
        measurement.column_of(facts(("EEG", "light"), 2), None)
    with pytest.raises(UnknownName, match=r"no channel 'ligth'; did you mean 'light'"):
        measurement.column_of(facts(("EEG", "light"), 2), "ligth")


@pytest.fixture
def photodiode():
    """A stream of two channels, the second a photodiode, and how it records a pattern in no time."""
    name = unique("photodiode")
    outlet = NumericOutlet(name, [Channel("EEG", "none"), Channel("light", "none")], 1000.0, "AUX", name)

    def present(pattern, clock):
        start_s = clock.now_s() - pattern.length_s - 5.0
        marks_s = start_s + 1.0 + pattern.offsets_s
        stamps_s = np.arange(start_s, marks_s[-1] + 2.0, 1e-3)
        light, _ = SimulatedChannel("screen", 0.042, missed=0.05, inverted=True).record(
            stamps_s, marks_s, pattern.on_s
        )
        outlet.push(np.column_stack([np.zeros(len(light)), light]), stamps_s)
        return marks_s

    yield name, present
    outlet.close()


def test_latency_is_measured_over_lsl(photodiode, tmp_path, capsys):
    name, present = photodiode
    options = DelayTest("screen", name, "light", tmp_path, marks=40, wait_s=20.0)
    guide_and_measure(options, True, LslClock(), present)
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["median_ms"] == pytest.approx(42, abs=1)
    assert (document["n_marks"], document["n_missed"], document["polarity"]) == (40, 2, -1)
    assert (document["channel"], document["kind"]) == ("light", "screen")
    assert json.loads((tmp_path / "latency.json").read_text("utf-8")) == document
    assert "Lay the photodiode on it" in shown.err
    assert "stored: " in shown.err
    guide_and_measure(options, False, LslClock(), present)
    shown = capsys.readouterr().out
    assert "marks found\t38 of 40" in shown
    assert "delay, median\t4" in shown
    assert (tmp_path / "latency_2.json").exists()


def test_measurement_failures_have_messages(photodiode, tmp_path):
    name, present = photodiode
    clock = LslClock()
    with pytest.raises(WrongInput, match="say which stream records the marks"):
        measurement.measure(DelayTest(), clock, present)
    with pytest.raises(WrongInput, match="no session folder"):
        measurement.measure(DelayTest(stream=name, session_folder=tmp_path / "x"), clock, present)
    with pytest.raises(StreamMissing, match="no stream named 'no such'"):
        measurement.measure(DelayTest(stream="no such", wait_s=0.1), clock, present)
    options = DelayTest(stream=name, channel="light", wait_s=20.0)
    with pytest.raises(WrongInput, match="ended after 2 marks"):
        measurement.measure(options, clock, lambda pattern, clock: np.array([1.0, 2.0]))
    with pytest.raises(WrongStream, match=r"channel is flat"):
        measurement.measure(DelayTest(stream=name, channel="EEG", wait_s=20.0), clock, present)


def test_sound_latency_without_device_is_refused(monkeypatch):
    from neurofb.screens.sound import player

    def none():
        raise ModuleNotFoundError("sounddevice")

    monkeypatch.setattr(player, "_load", none)
    with pytest.raises(
        StreamMissing, match=r"cannot be measured without sound\. NO SOUND: .*neurofb\[sound\]"
    ):
        measurement.presenter(DelayTest("sound"))(Pattern.make(0, 10), ManualClock())


def test_patch_turns_white_at_every_mark(monkeypatch):
    pytest.importorskip("PySide6.QtWidgets", reason="the patch needs Qt", exc_type=ImportError)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    from neurofb.screens.latency import photodiode_patch

    class Hurried(ManualClock):
        """Every look at it takes a second, so that everything is due."""

        def now_s(self):
            self.advance(1.0)
            return super().now_s()

    seen = []
    drawn = photodiode_patch.PatchWindow.paintEvent

    def noted(window, event):
        drawn(window, event)
        seen.append(window._is_on)

    monkeypatch.setattr(photodiode_patch.PatchWindow, "paintEvent", noted)
    marks_s = photodiode_patch.show(Pattern.make(0, 10), Hurried(), at_once=True)
    assert len(marks_s) == 10
    assert np.all(np.diff(marks_s) > 0)
    changes = [is_on for i, is_on in enumerate(seen) if not i or is_on != seen[i - 1]]
    assert changes.count(True) in (10, 11)  # it is white before it begins, if it was painted then
    assert not math.isnan(marks_s[0])


def test_patch_without_display_is_refused(monkeypatch):
    pytest.importorskip("PySide6.QtWidgets", reason="the patch needs Qt", exc_type=ImportError)
    from neurofb.screens.latency import photodiode_patch

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(photodiode_patch.sys, "platform", "linux")
    with pytest.raises(StreamMissing, match="no display: neither DISPLAY nor WAYLAND_DISPLAY is set"):
        photodiode_patch.show(Pattern.make(0, 10), ManualClock())
