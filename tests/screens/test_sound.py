"""The sound: what the stand-in would have played is listened to, for every course of feedback. No Qt, no device."""

import copy
import re
import types
import wave

import numpy as np
import pytest
import stand_in
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.clock import ManualClock
from neurofb.errors import StreamLost, StreamMissing, UnknownFile, WrongFile, WrongInput
from neurofb.screens.sound import process, synthesis
from neurofb.screens.sound.cues import Score
from neurofb.screens.sound.loudness import (
    LOUDNESS_LIMIT_LUFS,
    PEAK_LIMIT,
    jump_limit,
    k_weighting,
    largest_jump,
    loudness_lufs,
)
from neurofb.screens.sound.player import DevicePlayer, SilentDevice, device_of, open_player
from neurofb.screens.sound.process import Received, SessionInlet, SessionSound, SoundOptions
from neurofb.screens.sound.soundscape import Soundscape
from neurofb.screens.sound.wav_file import read_speech
from neurofb.status import SessionStatus

RATE_HZ = 16_000
FRESH = Soundscape(seed=3, rate_hz=RATE_HZ)
LENGTH_S = 5.0


def fresh():
    return copy.deepcopy(FRESH)


def at(seconds):
    return round(seconds * RATE_HZ)


def envelope_of(row):
    """A soundscape whose loops are constants: what is heard of it is the gain of one of them, times that of all."""
    made = fresh()
    made._loops = [np.full(len(x), float(i == row), np.float32) for i, x in enumerate(made._loops)]
    return made


times = st.floats(0, LENGTH_S, allow_nan=False)
orders = st.one_of(
    st.tuples(st.just("follow"), st.floats(0, 1), st.booleans()),
    st.tuples(st.just("follow"), st.sampled_from([0.0, 1.0]), st.just(True)),
    st.tuples(st.just("silence"), st.booleans()),
    st.tuples(st.just("ring"), st.sampled_from(["reward", *synthesis.CHIMES])),
    st.tuples(st.just("neutral")),
    st.tuples(st.just("rewards")),
)
traces = st.lists(st.tuples(times, orders), max_size=60).map(lambda each: sorted(each, key=lambda x: x[0]))


def order(made, trace):
    """Ask for all of a trace; a burst is thirty rewards at 20 Hz."""
    asked = []
    for time_s, (name, *rest) in trace:
        if name == "rewards":
            asked += [(time_s + i / 20, "ring", ["reward"]) for i in range(30)]
        else:
            asked.append((time_s, name, rest))
    for time_s, name, rest in sorted(asked, key=lambda x: x[0]):
        getattr(made, name)(*rest, at=at(time_s))


@settings(max_examples=80, deadline=None)
@given(traces)
def test_sound_stays_within_peak_jump_and_loudness(trace):
    made = fresh()
    order(made, trace)
    heard = made.render(at(LENGTH_S + 2))
    assert largest_jump(heard) <= jump_limit(RATE_HZ)
    assert np.max(np.abs(heard)) <= PEAK_LIMIT
    assert loudness_lufs(heard, RATE_HZ) <= LOUDNESS_LIMIT_LUFS


@settings(max_examples=60, deadline=None)
@given(traces, st.integers(0, 3))
def test_gains_move_no_faster_than_50_ms_ramp(trace, row):
    """Bells and chimes aside: their own attack is looked at below."""
    made = envelope_of(row)
    order(made, [each for each in trace if each[1][0] not in ("ring", "rewards")])
    heard = made.render(at(LENGTH_S))
    steepest = 1 / (synthesis.RAMP_S * RATE_HZ)
    assert np.max(np.abs(np.diff(heard))) <= steepest
    # Nor does the slope break: within a sample it changes by less than a hundredth of the steepest.
    assert np.max(np.abs(np.diff(heard, 2))) <= 0.01 * steepest


def test_strict_bounds_are_within_limits():
    """Whatever happens, at whatever rate: the sum of all parts at their worst."""
    for rate_hz in (16_000, 44_100, 48_000):
        made = FRESH if rate_hz == RATE_HZ else Soundscape(0, rate_hz)
        peak, jump = made.bounds(spoken=False)
        assert peak <= PEAK_LIMIT
        assert jump <= jump_limit(rate_hz)
        peak, jump = made.bounds(spoken=True)
        assert peak <= PEAK_LIMIT
        assert jump <= 2 * jump_limit(rate_hz)
    size = {name: 10 ** (each.lufs / 20) for name, each in synthesis.BUDGETS.items()}
    loops = np.array([size[name] for name in synthesis.LOOPS])
    bed = max(float(synthesis.blend(level) @ loops) for level in np.linspace(0, 1, 101))
    together = bed + synthesis.BELLS_TOGETHER * size["bell"] + size["chime"]
    assert 20 * np.log10(together) <= LOUDNESS_LIMIT_LUFS


def test_jump_check_detects_switched_gain():
    made = fresh()
    made.follow(1.0, True)
    heard = made.render(at(3))
    heard[np.argmax(np.abs(heard)) :] = 0.0
    assert largest_jump(heard) > 2 * largest_jump(made.render(at(3)))
    assert np.max(np.abs(np.diff(np.array([0.0] * 9 + [1.0] * 9)))) > 1 / (0.05 * RATE_HZ)


@pytest.mark.parametrize("ring", ["reward", *synthesis.CHIMES])
def test_bells_and_chimes_swell_for_50_ms(ring):
    without, with_it = fresh(), fresh()
    for made in (without, with_it):
        made.follow(0.5, True)
        made.render(at(2))
    start = with_it.position
    with_it.ring(ring)
    difference = with_it.render(at(1)) - without.render(at(1))
    assert not np.any(difference[: (-start) % 256])
    size = np.abs(difference)
    top = np.max(size[: at(0.38)])  # the first note
    begins = np.argmax(size > 0)
    assert np.argmax(size > 0.9 * top) - begins >= at(0.05)
    assert np.max(size[begins : begins + at(0.01)]) < 0.1 * top


def test_burst_of_rewards_is_no_louder_than_bells_in_turn():
    without, burst = fresh(), fresh()
    for i in range(200):
        burst.ring("reward", at=at(1 + i / 40))
    difference = burst.render(at(8)) - without.render(at(8))
    one = np.max(np.abs(synthesis.bells(RATE_HZ)[0]))
    assert np.max(np.abs(difference)) <= synthesis.BELLS_TOGETHER * one
    assert burst.n_dropped == 200 - 7  # of 5 s, one in 0.8 s


@settings(max_examples=10, deadline=None)
@given(traces)
def test_samples_are_equal_in_any_blocks(trace):
    heard = []
    for block in (64, 256, 1000):
        made = fresh()
        order(made, trace)
        pieces = [made.render(block) for _ in range(at(LENGTH_S) // block + 1)]
        heard.append(np.concatenate(pieces)[: at(LENGTH_S)])
    assert np.array_equal(heard[0], heard[1])
    assert np.array_equal(heard[0], heard[2])


def test_samples_with_orders_are_equal_in_any_blocks():
    heard = []
    for block in (64, 256, 1000):
        made, pieces = fresh(), []
        for i in range(128_000 // block):
            if i * block % 32_000 == 0:  # where blocks of all three sizes begin
                made.follow(i * block / 128_000, True, at=i * block)
                made.ring("reward", at=i * block)
            pieces.append(made.render(block))
        heard.append(np.concatenate(pieces))
    assert np.array_equal(heard[0], heard[1])
    assert np.array_equal(heard[0], heard[2])


def test_sound_is_seeded():
    again, other = Soundscape(3, RATE_HZ), Soundscape(4, RATE_HZ)
    first = fresh().render(4000)
    assert np.array_equal(first, again.render(4000))
    assert not np.allclose(first, other.render(4000))


def spectrum_centre(made):
    made.render(at(1))
    power = np.abs(np.fft.rfft(made.render(at(20)))) ** 2
    return float(power @ np.fft.rfftfreq(at(20), 1 / RATE_HZ) / power.sum())


def heard_at(level, usable=True):
    made = fresh()
    made.follow(level, usable)
    return made


def test_timbre_follows_level_and_neutral_differs_from_low():
    low, middle, high = (spectrum_centre(heard_at(level)) for level in (0.0, 0.5, 1.0))
    neutral = spectrum_centre(heard_at(0.0, usable=False))
    assert low > 1.2 * middle > 1.2 * 1.2 * high
    assert abs(neutral - middle) < 0.2 * (low - middle)


def test_level_without_number_is_neutral():
    assert np.array_equal(heard_at(float("nan")).render(9999), heard_at(0.9, usable=False).render(9999))


def test_loudness_hardly_depends_on_level():
    """A low level must not be heard as switched off, nor a high one as an alarm."""
    loud = []
    for level in (0.0, 0.5, 1.0):
        made = heard_at(level)
        made.render(at(1))
        loud.append(loudness_lufs(made.render(at(30)), RATE_HZ))
    assert max(loud) - min(loud) < 6
    assert min(loud) > -36


def test_pause_is_silent_and_ends_softly():
    made = fresh()
    made.render(at(2))
    made.ring("phase")
    made.silence(True)
    assert np.any(made.render(at(0.3)))
    made.render(at(3))
    assert not np.any(made.render(at(1)))
    made.silence(False)
    assert np.max(np.abs(made.render(at(0.02)))) < 0.01
    made.render(at(2))
    assert loudness_lufs(made.render(at(2)), RATE_HZ) > -40


def test_volume_only_lowers():
    half, full = Soundscape(3, RATE_HZ, volume=0.5).render(9000), fresh().render(9000)
    assert np.allclose(half, 0.5 * full, atol=1e-15)
    with pytest.raises(WrongInput, match=r"volume is 0 to 1 .*found 1\.5"):
        Soundscape(volume=1.5)


def test_wrong_orders_are_refused():
    with pytest.raises(WrongInput, match=r"nothing called 'gong' can ring; there are: reward, phase"):
        fresh().ring("gong")
    with pytest.raises(WrongInput, match=r"16000 to 192000 Hz, asked for 8000 Hz"):
        Soundscape(rate_hz=8000)


def test_k_weighting_equals_standard():
    """BS.1770: a full-scale sine of 997 Hz reads −3.01; and its printed coefficients at 48,000 Hz."""
    sine = np.sin(2 * np.pi * 997 * np.arange(96_000) / 48_000)
    assert loudness_lufs(sine, 48_000) == pytest.approx(-3.01, abs=0.01)
    frequencies = np.array([20.0, 100.0, 1000.0, 5000.0, 15_000.0])
    z = np.exp(-2j * np.pi * frequencies / 48_000)
    shelf = np.polyval([1.19839281085285, -2.69169618940638, 1.53512485958697], z)
    shelf = shelf / np.polyval([0.73248077421585, -1.69065929318241, 1], z)
    high = np.polyval([1, -2, 1], z) / np.polyval([0.99007225036621, -1.99004745483398, 1], z)
    assert np.allclose(k_weighting(frequencies, 48_000), np.abs(shelf * high), rtol=1e-6)
    assert loudness_lufs(np.zeros(100), 48_000) < -100
    assert loudness_lufs(np.zeros(0), 48_000) < -100


# Recordings


def write_wav(path, x, rate_hz=22_050, width=2, channels=1):
    whole = np.round(np.repeat(x, channels) * (2.0 ** (8 * width - 1) - 1)).astype("<i4")
    data = (whole << 8 * (4 - width)).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 4 - width :]
    if width == 1:
        data = data + np.uint8(128)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate_hz, 0, "NONE", ""))
        file.writeframes(data.tobytes())
    return path


@pytest.mark.parametrize("width, channels", [(1, 1), (2, 1), (2, 2), (3, 1), (4, 2)])
def test_wav_recordings_are_read(tmp_path, width, channels):
    wave_form = 0.5 * np.sin(2 * np.pi * 300 * np.arange(22_050) / 22_050)
    x = read_speech(write_wav(tmp_path / "a.wav", wave_form, 22_050, width, channels), RATE_HZ)
    assert len(x) == RATE_HZ
    wanted = 0.5 * np.sin(2 * np.pi * 300 * np.arange(RATE_HZ) / RATE_HZ)
    assert np.max(np.abs(x - wanted)[100:-100]) < (0.01 if width == 1 else 1e-3)


def test_wrong_recordings_are_refused(tmp_path):
    write_wav(tmp_path / "breath.wav", np.ones(10))
    with pytest.raises(UnknownFile, match=r"no recording .*breth\.wav; did you mean 'breath\.wav'"):
        read_speech(tmp_path / "breth.wav", RATE_HZ)
    (tmp_path / "text.wav").write_text("no sound at all")
    with pytest.raises(WrongFile, match=r"text\.wav is no WAV file with plain samples"):
        read_speech(tmp_path / "text.wav", RATE_HZ)
    (tmp_path / "nothing.wav").write_bytes(b"")
    with pytest.raises(WrongFile, match=r"nothing\.wav is no WAV file"):
        read_speech(tmp_path / "nothing.wav", RATE_HZ)
    with pytest.raises(WrongFile, match=r"lasts 0 s; needed is more than 0 s"):
        read_speech(write_wav(tmp_path / "empty.wav", np.ones(0)), RATE_HZ)
    with pytest.raises(WrongFile, match=r"silent from begin to end"):
        read_speech(write_wav(tmp_path / "quiet.wav", np.zeros(100)), RATE_HZ)


@pytest.mark.parametrize("seed", range(4))
def test_speech_stays_within_limits_for_any_recording(seed):
    rng = np.random.default_rng(seed)
    made = fresh()
    made.follow(1.0, True)
    made.ring("instruction")
    made.ring("reward")
    made.speak(rng.choice([-1.0, 1.0], at(2)) if seed % 2 else np.sin(np.arange(at(2)) / 9) * 5)
    made.ring("reward", at=at(4))
    made.hush(at=at(3.5) + 1000 * seed)
    heard = made.render(at(8))
    assert np.max(np.abs(heard)) <= PEAK_LIMIT
    assert largest_jump(heard) <= 2 * jump_limit(RATE_HZ)
    assert loudness_lufs(heard, RATE_HZ) <= LOUDNESS_LIMIT_LUFS


def test_speech_follows_chime_lowers_loops_and_can_be_cut():
    without, spoken, cut = fresh(), fresh(), fresh()
    for made in (without, spoken, cut):
        made.ring("phase")
    for made in (spoken, cut):
        made.speak(np.sin(np.arange(at(3)) / 3))
    cut.hush(at=at(4))
    plain, whole, short = (made.render(at(9)) for made in (without, spoken, cut))
    assert np.array_equal(plain[: at(2.0)], whole[: at(2.0)])
    assert np.std(whole[at(3) : at(5)]) > 1.5 * np.std(plain[at(3) : at(5)])
    assert np.array_equal(short[: at(4)], whole[: at(4)])
    assert np.std(short[at(4.5) : at(5)]) < 1.1 * np.std(plain[at(4.5) : at(5)])


# The stand-in and the device


def test_silent_device_renders_due_samples():
    clock = ManualClock(100.0)
    player = SilentDevice(fresh(), clock, keep=True)
    player.step()
    player.start()
    lengths = []
    for step_s in (0.0, 0.010, 0.0001, 0.5, 1.0):
        clock.advance(step_s)
        player.step()
        lengths.append(len(player.heard))
    assert lengths == [0, 160, 162, 8162, 24162]
    assert np.array_equal(player.heard, fresh().render(24162).astype(np.float32))
    player.stop()
    clock.advance(1.0)
    player.step()
    assert len(player.heard) == 24162


class FakeStream:
    def __init__(self, sd, **settings):
        self.settings, self.latency, self.active = settings, 0.02, False
        sd.opened = self

    def start(self):
        self.active = True

    def close(self):
        self.active = False


def fake_sounddevice(outputs=("Speakers",)):
    sd = types.SimpleNamespace(PortAudioError=type("PortAudioError", (Exception,), {}))
    facts = [{"index": i, "name": name, "max_output_channels": 8} for i, name in enumerate(outputs)]

    def query(device=None, kind=None):
        if kind is None:
            return facts
        if not facts or (isinstance(device, str) and device not in outputs):
            raise ValueError(f"No output device matching {device!r}")
        return facts[0]

    sd.query_devices, sd.OutputStream = query, lambda **settings: FakeStream(sd, **settings)
    return sd


OK = types.SimpleNamespace(output_underflow=False)


def test_device_gets_soundscape_on_each_channel():
    sd = fake_sounddevice()
    player = open_player(fresh(), ManualClock(), load=lambda: sd)
    player.start()
    out = np.full((10_000, 2), 9.0, np.float32)
    sd.opened.settings["callback"](out, len(out), None, types.SimpleNamespace(output_underflow=True))
    assert np.array_equal(out[:, 0], fresh().render(10_000).astype(np.float32))
    assert np.array_equal(out[:, 0], out[:, 1])
    assert player.n_underflows == 1
    assert player.latency_s == 0.02
    player.step()
    player.stop()
    with pytest.raises(StreamLost, match=r"device 'Speakers' does not play any more; was it unplugged"):
        player.step()


def test_device_thread_failure_is_silence_then_error():
    class Broken:
        rate_hz = 48_000.0

        def render_into(self, out):
            raise RuntimeError("no more")

    sd = fake_sounddevice()
    player = DevicePlayer(Broken(), sd)
    player.start()
    out = np.full((300, 2), 9.0, np.float32)
    for _ in range(2):
        sd.opened.settings["callback"](out, 300, None, OK)
        assert not np.any(out)
    with pytest.raises(StreamLost, match="sound could not be made.*no more"):
        player.step()


def no_package():
    raise ModuleNotFoundError("No module named 'sounddevice'")


def no_library():
    raise OSError("PortAudio library not found")


@pytest.mark.parametrize(
    "load, words",
    [
        (no_package, r"pip install 'neurofb\[sound\]'"),
        (no_library, "apt install libportaudio2"),
        (lambda: fake_sounddevice(()), "no sound device the system's own .*there are: none"),
    ],
)
def test_missing_device_prints_notice_and_renders_silently(load, words):
    said = []
    player = open_player(fresh(), ManualClock(), load=load, echo=said.append)
    assert isinstance(player, SilentDevice)
    (notice,) = said
    assert notice.startswith("NO SOUND: ")
    assert re.search(words, notice)


def test_named_device_must_exist():
    with pytest.raises(StreamMissing, match=r"no sound device 'Phones' .*there are: 0: Speakers"):
        open_player(fresh(), ManualClock(), device="Phones", load=fake_sounddevice)
    assert [device_of(each) for each in (None, "3", "Phones")] == [None, 3, "Phones"]
    with pytest.raises(WrongInput, match="found an empty text"):
        device_of(" ")


# A session


def status(**changes):
    """Return a status in a phase that has just begun."""
    phase = {"name": "training", "kind": "training", "index": 1, "sound": None, "start_s": 311.0}
    changes["phase"] = phase | changes.get("phase", {})
    return stand_in.status(**changes)


class Played:
    """A session's sound on a manual clock: documents in, what was heard out."""

    def __init__(self, **options):
        self.clock, self.said, self.coming = ManualClock(50.0), [], []
        self.player = SilentDevice(fresh(), self.clock, keep=True)
        self.orders = []
        self.score = Score(self.player._renderer, echo=self.said.append, **options)
        for name in ("follow", "neutral", "silence", "ring", "speak", "hush"):
            self._note(name)
        self.session = SessionSound(self, self.score, self.player, self.clock, self.said.append)
        self.player.start()

    def _note(self, name):
        made, act = self.player._renderer, getattr(self.player._renderer, name)

        def noted(*given):
            self.orders.append((name, *given))
            return act(*given)

        setattr(made, name, noted)

    def pull(self):
        came, self.coming = self.coming, []
        rows = [x for x in came if isinstance(x, tuple)]
        return Received([x for x in came if isinstance(x, SessionStatus)], rows)

    def close(self):
        pass

    def run(self, seconds, every=None):
        for _ in range(round(seconds / 0.05)):
            self.coming += [] if every is None else [every]
            self.clock.advance(0.05)
            self.going = self.session.step()
        return self

    def rung(self):
        return [each[1] for each in self.orders if each[0] == "ring"]


def test_score_plays_level_and_rings_each_reward_once():
    played = Played()
    played.run(0.5, status())
    played.run(0.5, (0.9, 1.0, 1.0))
    played.run(0.5, (0.8, 0.0, 1.0))
    played.run(0.5, (0.7, 1.0, 1.0))
    assert played.rung() == ["phase", "reward", "reward"]
    assert ("follow", 0.9, True) in played.orders
    assert len(played.player.heard) == at(2.0)


def test_feedback_rows_precede_status():
    played = Played().run(0.1, status())
    played.orders.clear()
    played.run(0.3, (0.9, 0.0, 1.0))
    played.run(0.2, status())
    assert {each[1] for each in played.orders} == {0.9}
    played.run(1.0, status())
    assert played.orders[-1] == ("follow", 0.5, True)


def test_rewards_can_be_left_out():
    played = Played(rewards=False).run(0.2, status()).run(0.2, (0.9, 1.0, 1.0))
    assert played.rung() == ["phase"]


@pytest.mark.parametrize(
    "changes",
    [
        {"feedback": {"on": True, "mode": "continuous", "level": 0.1, "reward": True, "usable": False}},
        {"feedback": {"on": False, "mode": "continuous", "level": 0.1, "reward": True, "usable": True}},
        {"feedback": {"on": True, "mode": "summary", "level": 0.1, "reward": True, "usable": True}},
        {"feedback": {"on": True, "mode": "continuous", "level": None, "reward": True, "usable": True}},
    ],
)
def test_withheld_feedback_is_neutral_without_rewards(changes):
    played = Played().run(1.0, status())
    played.orders.clear()
    played.run(1.0, status(**changes))
    assert played.orders == [("neutral",), ("follow", pytest.approx(float("nan"), nan_ok=True), False, None)]


def test_rows_are_ignored_in_summary_mode():
    played = Played().run(0.2, status(feedback={"on": True, "mode": "summary"}))
    played.orders.clear()
    played.run(1.0, (0.9, 1.0, 1.0))
    assert played.orders == []


def test_silent_session_fades_to_neutral_then_silence_and_returns():
    played = Played().run(1.0, status())
    played.orders.clear()
    played.run(1.5)
    assert [each[0] for each in played.orders] == ["neutral", "follow"]
    played.run(18)
    assert played.orders[-1] == ("silence", True)
    assert [line for line in played.said if line.startswith("waiting for the session")]
    assert not np.any(played.player.heard[-at(0.5) :])
    played.run(2.0, status())
    assert played.said[-1] == "the session is there"
    assert loudness_lufs(played.player.heard[-at(0.5) :], RATE_HZ) > -40


def test_pause_is_silent_and_prompt_chimes_once():
    played = Played().run(1.0, status(prompt=stand_in.prompt(id="p1")))
    assert played.rung() == ["phase", "question"]
    played.run(4.0, status(state="paused", prompt=stand_in.prompt(id="p2")))
    assert not np.any(played.player.heard[-at(0.2) :])
    assert played.rung() == ["phase", "question"]
    played.run(2.0, status())
    assert np.any(played.player.heard[-at(0.2) :])


def test_session_end_chimes_and_score_is_over():
    played = Played().run(1.0, status())
    played.run(1.0, status(state="finished"))
    assert played.going
    assert played.rung()[-1] == "end"
    played.run(4.0)
    assert not played.going


def test_abort_is_silent():
    played = Played().run(1.0, status()).run(4.0, status(state="aborted"))
    assert not played.going
    assert not np.any(played.player.heard[-at(0.5) :])


def test_instructions_are_chimed_and_spoken_if_recorded(tmp_path):
    write_wav(tmp_path / "breath.wav", np.sin(np.arange(22_050) / 9))
    phase = {"name": "welcome", "kind": "instruction", "index": 0, "sound": "breath.wav"}
    played = Played(speech=tmp_path).run(0.5, status(phase=phase))
    assert played.rung() == ["instruction"]
    assert [each[0] for each in played.orders].count("speak") == 1
    played = Played(speech=tmp_path).run(0.5, status(phase=phase | {"sound": "other.wav"}))
    assert played.rung() == ["instruction"]
    assert [line for line in played.said if "a chime instead: no recording" in line]
    played = Played(speech=tmp_path).run(0.5, status(phase=phase | {"sound": "sit as you like"}))
    assert (played.rung(), played.said) == (["instruction"], [])


def test_late_start_within_phase_chimes_nothing():
    phase = {"name": "training", "kind": "training", "index": 1, "start_s": 60.0}
    assert Played().run(0.5, status(phase=phase, now_s=90.0)).rung() == []
    played = Played().run(0.5, status(phase=phase, now_s=60.1))
    assert played.rung() == ["phase"]
    assert played.run(0.5, status(phase=phase | {"index": 2}, now_s=99.0)).rung() == ["phase", "phase"]


def test_session_over_lsl_plays_only_new_data(session, until):
    from neurofb.lsl.inlet import LslClock
    from neurofb.views.session_client import SessionClient

    client = SessionClient(session.uid, "sound", LslClock(), process.WANTED)
    inlet, statuses, rows = SessionInlet(client), [], []

    def hear():
        received = inlet.pull()
        statuses.extend(received.statuses)
        rows.extend(received.rows)

    def begin():
        session.status(message="one")
        session.feedback(0.25)
        until_seen = client.snapshot()
        return until_seen.status is not None and until_seen.feedback is not None

    until(lambda: None, begin)
    hear()
    assert (len(statuses), rows) == (1, [(0.25, 0.0, 1.0)])
    until(hear, lambda: not client.snapshot().missing)
    statuses.clear()
    session.status(message="two")
    for level in (0.5, 0.75):
        session.feedback(level, reward=True)
    until(hear, lambda: rows[-1][0] == 0.75)
    until(hear, lambda: statuses and statuses[-1].message == "two")
    assert rows[-2:] == [(0.5, 1.0, 1.0), (0.75, 1.0, 1.0)]
    inlet.close()


def test_sound_process_runs_until_session_ends():
    class Inlet:
        n = 0

        def pull(self):
            self.n += 1
            return Received([status(state="running" if self.n < 100 else "finished")])

        def close(self):
            self.n = -1

    inlet, clock = Inlet(), ManualClock()
    process.run("uid", clock, SoundOptions(silent=True), inlet=inlet, echo=lambda line: None)
    assert inlet.n == -1
    assert clock.now_s() == pytest.approx(0.99 + process.LINGER_S, abs=0.05)


def test_audition_plays_from_begin_to_end():
    clock, said = ManualClock(), []
    process.audition(clock, SoundOptions(silent=True), echo=said.append, length_s=3.0)
    assert clock.now_s() == pytest.approx(4.0, abs=0.06)
    assert "set the headphones" in said[0]
