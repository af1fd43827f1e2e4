"""The simulated head: the same bits for any chunking, and every stated peak, size and coupling is there."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import signal

from neurofb.devices.electrodes import positions
from neurofb.errors import UnknownName, WrongInput
from neurofb.simulation.artifacts import NO_ARTIFACTS, Artifact, ArtifactSettings, BadContact
from neurofb.simulation.head import BLOCK, Head, HeadSettings, HeadSignal, HeatReaction
from neurofb.simulation.noise import NoiseSettings, power_law_sos
from neurofb.simulation.pulses import PulseLaw, PulseTrain, hann, random_stream
from neurofb.simulation.rhythms import REGIONS, Coupling, Rhythm, resting_rhythms
from neurofb.simulation.scalp import spread

RATE_HZ = 250.0
MONTAGE = (
    "Fp1",
    "Fp2",
    "F3",
    "Fz",
    "F4",
    "F7",
    "F8",
    "C3",
    "Cz",
    "C4",
    "T7",
    "T8",
    "P3",
    "Pz",
    "P4",
    "O1",
    "Oz",
    "O2",
)
SILENCE = NoiseSettings(background_uv=0.0, electrode_uv_rthz=0.0, line_uv=0.0)


def heat_at(times_s: np.ndarray) -> np.ndarray:
    """48 °C from 3 s on."""
    return np.where(times_s >= 3.0, 48.0, 32.0)


def quiet(**settings: object) -> HeadSettings:
    """Give a head without noise or artifacts, for looking at one thing."""
    return HeadSettings(**({"noise": SILENCE, "artifacts": NO_ARTIFACTS} | settings))  # type: ignore[arg-type]


def in_pieces(head: Head, sizes: list[int]) -> list[HeadSignal]:
    return [head.generate(size) for size in sizes]


def band_rms(x: np.ndarray, low_hz: float, high_hz: float, rate_hz: float = RATE_HZ) -> np.ndarray:
    freqs, psd = signal.welch(x, rate_hz, nperseg=int(2 * rate_hz), axis=0)
    inside = (freqs >= low_hz) & (freqs <= high_hz)
    return np.sqrt(psd[inside].sum(axis=0) * (freqs[1] - freqs[0]))


# the same bits


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_samples_do_not_depend_on_chunking(sizes: list[int]) -> None:
    contact = BadContact("C3", 1.0, 0.5, "noisy")
    settings = HeadSettings(
        seed=3,
        eyes=((0.0, "open"), (2.0, "closed")),
        artifacts=ArtifactSettings(scheduled=(Artifact("sweat", 0.5, 10.0),), contacts=(contact,)),
        reference=("A1", "A2"),
    )
    n_samples = sum(sizes)
    whole = Head(("Fz", "C3", "O1"), RATE_HZ, settings, heat_at).generate(n_samples)
    pieces = in_pieces(Head(("Fz", "C3", "O1"), RATE_HZ, settings, heat_at), sizes)
    assert [piece.first_index for piece in pieces] == list(np.cumsum([0, *sizes[:-1]]))
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in pieces]), whole.samples)
    for name in ("amplitude_uv", "phase_rad", "artifacts", "pain", "temperature_c", "eyes_closed"):
        joined = np.concatenate([getattr(piece.truth, name) for piece in pieces])
        np.testing.assert_array_equal(joined, getattr(whole.truth, name), err_msg=name)


def test_single_samples_equal_whole_blocks() -> None:
    whole = Head(MONTAGE, RATE_HZ).generate(2 * BLOCK + 7).samples
    head = Head(MONTAGE, RATE_HZ)
    single = [head.generate(1).samples for _ in range(2 * BLOCK + 7)]
    np.testing.assert_array_equal(np.concatenate(single), whole)


def test_head_is_seeded() -> None:
    first, same, other = (
        Head(MONTAGE, RATE_HZ, HeadSettings(seed=seed)).generate(500).samples for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(np.corrcoef(first[:, 0], other[:, 0])[0, 1]) < 0.5
    assert not np.array_equal(first, other)


def test_disabling_one_part_does_not_change_others() -> None:
    everything = Head(("Fz",), RATE_HZ, HeadSettings(artifacts=NO_ARTIFACTS)).generate(1000).samples
    no_rhythms = (
        Head(("Fz",), RATE_HZ, HeadSettings(artifacts=NO_ARTIFACTS, rhythms=())).generate(1000).samples
    )
    rhythms = Head(("Fz",), RATE_HZ, quiet()).generate(1000).samples
    np.testing.assert_allclose(no_rhythms + rhythms, everything, atol=1e-9)


def test_gain_applies_from_next_sample() -> None:
    head, untouched = Head(("Oz",), RATE_HZ, quiet()), Head(("Oz",), RATE_HZ, quiet())
    head.generate(100)
    untouched.generate(100)
    head.set_gain("posterior.alpha", 3.0)
    after, before = head.generate(50), untouched.generate(50)
    column = head.rhythm_names.index("posterior.alpha")
    np.testing.assert_allclose(after.truth.amplitude_uv[:, column], 3 * before.truth.amplitude_uv[:, column])
    assert head.gain("posterior.alpha") == 3.0


# rhythms


@pytest.mark.parametrize(
    "rhythm",
    [
        Rhythm("posterior", "alpha", peak_hz=10.0, width_hz=1.5, rms_uv=12.0),
        Rhythm("frontal_midline", "theta", peak_hz=6.0, width_hz=1.2, rms_uv=3.0),
        Rhythm("left_sensorimotor", "beta", peak_hz=20.0, width_hz=4.0, rms_uv=1.6),
        Rhythm("frontal_midline", "gamma", peak_hz=40.0, width_hz=10.0, rms_uv=0.6, burst_cycles=12.0),
    ],
    ids=lambda rhythm: rhythm.name,
)
def test_rhythm_has_its_peak_width_and_amplitude(rhythm: Rhythm) -> None:
    steady = Rhythm(
        rhythm.region, rhythm.band, rhythm.peak_hz, rhythm.width_hz, rhythm.rms_uv, burst_rate_hz=0.0
    )
    place = (REGIONS[rhythm.region],)
    for each in (rhythm, steady):
        x = Head(place, RATE_HZ, quiet(rhythms=(each,))).generate(int(600 * RATE_HZ)).samples[:, 0]
        freqs, psd = signal.welch(x, RATE_HZ, nperseg=1000)
        near = np.abs(freqs - each.peak_hz) < 2 * each.width_hz
        centre_hz = np.sum(freqs[near] * psd[near]) / np.sum(psd[near])
        assert centre_hz == pytest.approx(each.peak_hz, abs=0.06 * each.width_hz)
        assert np.std(x) == pytest.approx(each.rms_uv, rel=0.08)
        half_hz = freqs[psd > psd.max() / 2]
        assert half_hz.max() - half_hz.min() == pytest.approx(each.width_hz, rel=0.45)


def test_rhythms_are_bursts() -> None:
    rhythm = Rhythm("posterior", "alpha", 10.0, 1.5, 10.0, burst_rate_hz=0.3, floor=0.1)
    steady = Rhythm("posterior", "alpha", 10.0, 1.5, 10.0, burst_rate_hz=0.0)
    kurtosis = []
    for each in (rhythm, steady):
        amplitude = Head(("Oz",), RATE_HZ, quiet(rhythms=(each,))).generate(75_000).truth.amplitude_uv[:, 0]
        kurtosis.append(np.mean(amplitude**4) / np.mean(amplitude**2) ** 2)
    # Of complex Gaussian noise this is 2; bursts make it heavier.
    assert kurtosis[1] == pytest.approx(2.0, rel=0.15)
    assert kurtosis[0] > 3.0


def test_truth_sums_to_signal() -> None:
    head = Head(MONTAGE, RATE_HZ, quiet(), heat_at)
    made = head.generate(3000)
    sources = made.truth.amplitude_uv * np.cos(made.truth.phase_rad)
    topographies = np.stack([head.topography(name) for name in head.rhythm_names])
    # Muscles tense under heat; without heat nothing but the rhythms is left.
    early = slice(0, int(3 * RATE_HZ))
    np.testing.assert_allclose(made.samples[early], (sources @ topographies)[early], atol=1e-9)


def test_true_phase_equals_hilbert_phase() -> None:
    rhythm = Rhythm("posterior", "alpha", 10.0, 1.5, 10.0, burst_rate_hz=0.0)
    made = Head(("Oz",), RATE_HZ, quiet(rhythms=(rhythm,))).generate(20_000)
    analytic = signal.hilbert(made.samples[:, 0])[500:-500]
    truth = made.truth.amplitude_uv[500:-500, 0] * np.exp(1j * made.truth.phase_rad[500:-500, 0])
    assert np.abs(np.vdot(truth, analytic)) / np.linalg.norm(truth) / np.linalg.norm(analytic) > 0.999


@pytest.mark.parametrize(
    ("strength", "lag_rad"), [(0.0, 0.5), (0.5, np.pi / 4), (0.9, np.pi / 2), (0.7, 0.0)]
)
def test_coupling_has_set_coherence_and_lag(strength: float, lag_rad: float) -> None:
    rhythms = tuple(Rhythm(f"{side}_sensorimotor", "alpha", 10.0, 1.5, 5.0) for side in ("left", "right"))
    coupling = Coupling("left_sensorimotor.alpha", "right_sensorimotor.alpha", strength, lag_rad)
    head = Head(("C3", "C4"), RATE_HZ, quiet(rhythms=rhythms, couplings=(coupling,)))
    truth = head.generate(int(1200 * RATE_HZ)).truth
    # At the sources, as the blur would add to it; the oracle is scipy's.
    left, right = (truth.amplitude_uv * np.cos(truth.phase_rad)).T
    freqs, cross = signal.csd(left, right, RATE_HZ, nperseg=500)
    spectra = [signal.welch(x, RATE_HZ, nperseg=500)[1] for x in (left, right)]
    at = np.argmin(np.abs(freqs - 10.0))
    coherency = cross[at] / np.sqrt(spectra[0][at] * spectra[1][at])
    assert np.abs(coherency) == pytest.approx(strength, abs=0.06)
    if strength:
        # scipy conjugates the first, so a follower that is behind has a negative angle.
        assert np.angle(coherency) == pytest.approx(-lag_rad, abs=0.12)
        assert np.abs(coherency.imag) == pytest.approx(strength * np.sin(lag_rad), abs=0.06)
    assert np.std(right) == pytest.approx(5.0, rel=0.08)


def test_lagged_coupling_reaches_electrodes_and_blur_has_no_lag() -> None:
    rhythms = tuple(Rhythm(f"{side}_sensorimotor", "alpha", 10.0, 1.5, 5.0) for side in ("left", "right"))
    imaginary = []
    for strength in (0.0, 0.8):
        coupling = Coupling("left_sensorimotor.alpha", "right_sensorimotor.alpha", strength, np.pi / 2)
        settings = HeadSettings(rhythms=rhythms, couplings=(coupling,), artifacts=NO_ARTIFACTS)
        x = Head(("C3", "C4"), RATE_HZ, settings).generate(int(600 * RATE_HZ)).samples
        freqs, cross = signal.csd(x[:, 0], x[:, 1], RATE_HZ, nperseg=500)
        spectra = [signal.welch(x[:, column], RATE_HZ, nperseg=500)[1] for column in (0, 1)]
        at = np.argmin(np.abs(freqs - 10.0))
        imaginary.append(np.imag(cross[at]) / np.sqrt(spectra[0][at] * spectra[1][at]))
    assert abs(imaginary[0]) < 0.08
    assert imaginary[1] < -0.5


def test_chained_followers_come_after_leaders() -> None:
    names = ("left_frontal", "right_frontal", "left_parietal")
    rhythms = tuple(Rhythm(name, "alpha", 10.0, 1.5, 5.0, burst_rate_hz=0.0) for name in names)
    chain = (
        Coupling("right_frontal.alpha", "left_parietal.alpha", 1.0, 0.3),
        Coupling("left_frontal.alpha", "right_frontal.alpha", 1.0, 0.4),
    )
    truth = Head(("Fz",), RATE_HZ, quiet(rhythms=rhythms, couplings=chain)).generate(500).truth
    lags = np.angle(np.exp(1j * (truth.phase_rad[:, :1] - truth.phase_rad)))
    np.testing.assert_allclose(lags, np.broadcast_to([0.0, 0.4, 0.7], lags.shape), atol=1e-9)


ALPHA = Rhythm("posterior", "alpha", 10.0, 1.5, 5.0)
BETA = Rhythm("posterior", "beta", 20.0, 4.0, 2.0)
LEFT = Rhythm("left_parietal", "alpha", 10.0, 1.5, 5.0)


def led_by_alpha(follower: str) -> Coupling:
    return Coupling("posterior.alpha", follower, 0.5)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"rhythms": (ALPHA, ALPHA)}, "posterior.alpha is there more than once"),
        ({"rhythms": (ALPHA, BETA), "couplings": (led_by_alpha("posterior.beta"),)}, "not one number"),
        ({"rhythms": (ALPHA,), "couplings": (led_by_alpha("posterior.alfa"),)}, "did you mean 'posterior.alpha'"),
        ({"rhythms": (ALPHA, LEFT), "couplings": (led_by_alpha(LEFT.name), Coupling(LEFT.name, ALPHA.name, 0.5))},
         "in a circle"),
        ({"rhythms": (ALPHA, LEFT), "couplings": (led_by_alpha(LEFT.name), led_by_alpha(LEFT.name))}, "one leader"),
        ({"rhythms": (Rhythm("posterior", "gamma", 130.0, 10.0, 1.0),)}, "250.0 Hz cannot carry"),
        ({"artifacts": ArtifactSettings(rates_hz={"blnk": 1.0})}, "did you mean 'blink'"),
        ({"artifacts": ArtifactSettings(contacts=(BadContact("C9", 1.0, 1.0),))}, "no channel 'C9' to go bad"),
    ],
)  # fmt: skip
def test_impossible_head_is_refused(settings: dict, match: str) -> None:
    with pytest.raises((WrongInput, UnknownName), match=match):
        Head(("Oz",), RATE_HZ, HeadSettings(**settings))


def test_impossible_part_is_refused() -> None:
    with pytest.raises(UnknownName, match="no region 'middle'"):
        Rhythm("middle", "alpha", 10.0, 1.0, 5.0)
    with pytest.raises(WrongInput, match="peak_hz > 0"):
        Rhythm("posterior", "alpha", 0.0, 1.0, 5.0)
    with pytest.raises(WrongInput, match=r"between 0 and 1, found 1\.5"):
        Coupling("a", "b", 1.5)
    with pytest.raises(WrongInput, match="left or right"):
        HeatReaction(side="front")  # type: ignore[arg-type]
    with pytest.raises(WrongInput, match="full_c > threshold_c"):
        HeatReaction(threshold_c=50.0)
    with pytest.raises(WrongInput, match="open or closed"):
        HeadSettings(eyes=((0.0, "shut"),))  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="no artifact 'hiccup'"):
        Artifact("hiccup", 0.0, 1.0)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="no contact 'loose'"):
        BadContact("Fz", 0.0, 1.0, "loose")  # type: ignore[arg-type]
    with pytest.raises(WrongInput, match="exponent must lie between 0 and 2"):
        power_law_sos(250.0, 3.0, 0.3)
    with pytest.raises(WrongInput, match="0 < lowest_hz < 10"):
        power_law_sos(15.0, 1.0, 0.3)
    head = Head(("Fz",), RATE_HZ)
    with pytest.raises(UnknownName, match="no rhythm 'theta'"):
        head.set_gain("theta", 1.0)
    with pytest.raises(WrongInput, match="must be 0 or more, found nan"):
        head.set_gain("posterior.alpha", float("nan"))
    with pytest.raises(WrongInput, match="asked for -1"):
        head.generate(-1)


# noise


def test_background_has_stated_slope_and_amplitude() -> None:
    for exponent in (0.8, 1.2, 1.8):
        noise = NoiseSettings(background_uv=8.0, exponent=exponent, electrode_uv_rthz=0.0, line_uv=0.0)
        x = Head(MONTAGE, RATE_HZ, quiet(rhythms=(), noise=noise)).generate(int(400 * RATE_HZ)).samples
        freqs, psd = signal.welch(x, RATE_HZ, nperseg=2000, axis=0)
        inside = (freqs > 1) & (freqs < 60)
        slope = np.polyfit(np.log10(freqs[inside]), np.log10(psd[inside].mean(axis=1)), 1)[0]
        assert slope == pytest.approx(-exponent, abs=0.08)
        # A fine grid, or the steep fall below 1 Hz leaks into the band.
        freqs, psd = signal.welch(x, RATE_HZ, nperseg=10_000, axis=0)
        inside = (freqs >= 1) & (freqs <= 40)
        np.testing.assert_allclose(np.sqrt(psd[inside].sum(axis=0) * freqs[1]), 8.0, rtol=0.08)


def test_power_law_ripple_is_small() -> None:
    sos = power_law_sos(250.0, 1.2, 0.3)
    grid_hz = np.geomspace(0.6, 60, 400)
    _, gain = signal.freqz_sos(sos, worN=grid_hz, fs=250.0)
    off_db = 20 * np.log10(np.abs(gain)) + 12 * np.log10(grid_hz / 10)
    assert np.abs(off_db - off_db.mean()).max() < 0.6
    assert np.abs(signal.freqz_sos(sos, worN=[10.0], fs=250.0)[1][0]) == pytest.approx(1.0)


@pytest.mark.parametrize("line_hz", [50.0, 60.0])
def test_mains_and_electrode_noise_have_stated_amplitudes(line_hz: float) -> None:
    noise = NoiseSettings(background_uv=0.0, electrode_uv_rthz=0.2, line_hz=line_hz, line_uv=3.0)
    x = Head(MONTAGE, RATE_HZ, quiet(rhythms=(), noise=noise)).generate(int(100 * RATE_HZ)).samples
    freqs, psd = signal.welch(x, RATE_HZ, nperseg=500, axis=0)
    assert np.all(freqs[np.argmax(psd, axis=0)] == line_hz)
    mains_uv = band_rms(x, line_hz - 2, line_hz + 2)
    assert np.all((mains_uv > 1.3) & (mains_uv < 4.7))
    np.testing.assert_allclose(np.sqrt(np.median(psd, axis=0)), 0.2, rtol=0.06)


def test_mains_above_nyquist_are_not_aliased() -> None:
    noise = NoiseSettings(background_uv=0.0, electrode_uv_rthz=0.0, line_hz=60.0, line_uv=3.0)
    slow = tuple(rhythm for rhythm in resting_rhythms() if rhythm.band == "alpha")
    made = Head(("Fz",), 100.0, quiet(rhythms=slow, noise=noise)).generate(500).samples
    silent = Head(("Fz",), 100.0, quiet(rhythms=slow)).generate(500).samples
    np.testing.assert_array_equal(made, silent)


# eyes and heat


def test_eyes_closed_raises_posterior_alpha_and_stops_blinks() -> None:
    sizes = {}
    for eyes in ("open", "closed"):
        settings = HeadSettings(eyes=((0.0, eyes),))  # type: ignore[arg-type]
        made = Head(("Oz", "Fp1"), RATE_HZ, settings).generate(int(200 * RATE_HZ))
        sizes[eyes] = band_rms(made.samples, 8, 12)
        blinking = made.truth.artifacts[:, Head.artifact_kinds.index("blink")]
        assert blinking.any() == (eyes == "open")
    assert sizes["closed"][0] / sizes["open"][0] > 1.8


def test_eyes_closed_removes_blinks_and_gaze_shifts() -> None:
    settings = HeadSettings(
        rhythms=(), noise=SILENCE, eyes=((0.0, "closed"),), artifacts=ArtifactSettings({"jaw": 0.0})
    )
    assert not np.abs(Head(("Fp1", "F7"), RATE_HZ, settings).generate(int(60 * RATE_HZ)).samples).max() > 1e-9


def test_eyes_can_change_during_stream() -> None:
    settings = quiet(eyes=((0.0, "open"), (60.0, "closed")))
    truth = Head(("Oz",), RATE_HZ, settings).generate(int(120 * RATE_HZ)).truth
    half = int(60 * RATE_HZ)
    assert not truth.eyes_closed[:half].any()
    assert truth.eyes_closed[half + int(2 * RATE_HZ)] > 0.99


def test_heat_changes_each_rhythm_by_its_pain_gain() -> None:
    rest = Head(MONTAGE, RATE_HZ, quiet()).generate(2500).truth
    hot = Head(MONTAGE, RATE_HZ, quiet(), lambda times_s: np.full_like(times_s, 50.0)).generate(2500).truth
    ratio = (hot.amplitude_uv / rest.amplitude_uv)[-1]
    names = Head(MONTAGE, RATE_HZ, quiet()).rhythm_names
    gains = dict(zip(names, ratio, strict=True))
    # The left side is heated: the right side of the head reacts most, the left half as much.
    assert gains["right_sensorimotor.alpha"] == pytest.approx(0.6, abs=1e-3)
    assert gains["left_sensorimotor.alpha"] == pytest.approx(0.8, abs=1e-3)
    assert gains["right_sensorimotor.beta"] == pytest.approx(0.8, abs=1e-3)
    assert gains["frontal_midline.theta"] == pytest.approx(1.35, abs=1e-3)
    assert gains["frontal_midline.gamma"] == pytest.approx(1.8, abs=1e-3)
    assert gains["posterior.alpha"] == 1.0


def test_heat_response_is_visible_in_spectra() -> None:
    rest, hot = (
        Head(("C4", "Fz"), RATE_HZ, HeadSettings(artifacts=NO_ARTIFACTS), lambda t, c=c: np.full_like(t, c))
        .generate(int(300 * RATE_HZ))
        .samples
        for c in (32.0, 49.0)
    )
    assert band_rms(hot, 8, 12)[0] < 0.85 * band_rms(rest, 8, 12)[0]
    assert band_rms(hot, 4, 7)[1] > 1.04 * band_rms(rest, 4, 7)[1]
    assert band_rms(hot, 35, 45)[1] > 1.1 * band_rms(rest, 35, 45)[1]


def test_pain_lags_temperature_and_is_zero_below_threshold() -> None:
    truth = Head(("Cz",), RATE_HZ, quiet(), heat_at).generate(int(10 * RATE_HZ)).truth
    onset, lag = int(3 * RATE_HZ), int(0.8 * RATE_HZ)
    assert not truth.pain[:onset].any()
    assert truth.pain[onset + lag] == pytest.approx(0.8 * (1 - np.exp(-1)), rel=0.02)
    assert truth.pain[-1] == pytest.approx(0.8, rel=1e-3)
    warm = Head(("Cz",), RATE_HZ, quiet(), lambda times_s: np.full_like(times_s, 43.9)).generate(1000).truth
    assert not warm.pain.any()


# artifacts


def only(*artifacts: Artifact, contacts: tuple[BadContact, ...] = ()) -> HeadSettings:
    calm = dict.fromkeys(("blink", "saccade", "jaw", "sweat"), 0.0)
    return quiet(rhythms=(), artifacts=ArtifactSettings(calm, artifacts, contacts))


def test_blink_has_stated_size_shape_and_topography() -> None:
    made = Head(MONTAGE, RATE_HZ, only(Artifact("blink", 1.0, 0.3, 300.0))).generate(500)
    peak = made.samples[np.argmax(made.samples[:, 0])]
    by_name = dict(zip(MONTAGE, peak, strict=True))
    assert by_name["Fp1"] == pytest.approx(300.0, rel=0.01)
    assert by_name["Fp1"] == pytest.approx(by_name["Fp2"])
    assert 0.2 < by_name["Fz"] / by_name["Fp1"] < 0.5
    assert by_name["Oz"] < 0.02 * by_name["Fp1"]
    assert by_name["Fp1"] > by_name["F3"] > by_name["C3"] > by_name["P3"] > by_name["O1"] > 0
    times_s = np.arange(500) / RATE_HZ
    peak_s = times_s[np.argmax(made.samples[:, 0])]
    assert peak_s == pytest.approx(1.0 + 0.35 * 0.3, abs=0.01)
    blinking = made.truth.artifacts[:, 0]
    np.testing.assert_array_equal(blinking, (times_s >= 1.0) & (times_s <= 1.3))
    assert not made.samples[~blinking].any()


def test_random_blinks_have_stated_rate_and_size() -> None:
    made = Head(("Fp1",), RATE_HZ, HeadSettings(rhythms=(), noise=SILENCE)).generate(int(600 * RATE_HZ))
    blinking = made.truth.artifacts[:, 0]
    onsets = np.flatnonzero(np.diff(blinking.astype(int)) == 1)
    assert len(onsets) / 600 == pytest.approx(0.25, rel=0.2)
    peaks = [made.samples[onset : onset + 150, 0].max() for onset in onsets]
    assert 150 < np.median(peaks) < 270
    assert np.min(peaks) > 60
    assert np.max(peaks) < 800


def test_gaze_shift_has_opposite_signs_left_and_right() -> None:
    made = Head(MONTAGE, RATE_HZ, only(Artifact("saccade", 0.5, 1.0, 50.0))).generate(500)
    middle = dict(zip(MONTAGE, made.samples[int(1.0 * RATE_HZ)], strict=True))
    assert middle["F7"] == pytest.approx(50.0, rel=0.01)
    assert middle["F8"] == pytest.approx(-50.0, rel=0.01)
    assert middle["Fz"] == pytest.approx(0.0, abs=1e-9)


def test_clench_is_broadband_above_20_hz_and_temporal() -> None:
    rate_hz = 1000.0
    made = Head(("T7", "Cz", "Oz"), rate_hz, only(Artifact("jaw", 0.0, 60.0, 40.0))).generate(60_000).samples
    assert np.std(made[:, 0]) == pytest.approx(40.0, rel=0.06)
    assert band_rms(made, 20, 200, rate_hz)[0] > 0.9 * np.std(made[:, 0])
    assert band_rms(made, 60, 120, rate_hz)[0] > 0.4 * np.std(made[:, 0])
    assert band_rms(made, 1, 12, rate_hz)[0] < 0.06 * np.std(made[:, 0])
    assert np.std(made[:, 1]) < 0.1 * np.std(made[:, 0])


def test_sweat_is_slow_and_frontal() -> None:
    made = Head(("Fp1", "Oz"), RATE_HZ, only(Artifact("sweat", 0.0, 600.0, 80.0))).generate(150_000).samples
    freqs, psd = signal.welch(made[:, 0], RATE_HZ, nperseg=10_000, detrend=False)
    assert psd[freqs <= 0.3].sum() / psd.sum() > 0.95
    assert 20 < np.std(made[:, 0]) < 150
    assert np.std(made[:, 1]) < 0.1 * np.std(made[:, 0])


def test_bad_contact_affects_its_channel_alone() -> None:
    contacts = (
        BadContact("C3", 1.0, 1.0, "off"),
        BadContact("C4", 1.0, 1.0, "flat"),
        BadContact("Oz", 1.0, 1.0, "noisy"),
    )
    calm = dict.fromkeys(("blink", "saccade", "jaw", "sweat"), 0.0)
    electrodes = ("Fz", "C3", "C4", "Oz")
    good = Head(electrodes, RATE_HZ, HeadSettings(artifacts=NO_ARTIFACTS)).generate(750).samples
    bad = Head(electrodes, RATE_HZ, HeadSettings(artifacts=ArtifactSettings(calm, (), contacts))).generate(
        750
    )
    during = bad.truth.artifacts[:, -1]
    assert np.flatnonzero(during)[[0, -1]].tolist() == [250, 499]
    np.testing.assert_array_equal(bad.samples[~during], good[~during])
    np.testing.assert_array_equal(bad.samples[during, 0], good[during, 0])
    assert not bad.samples[during, 2].any()
    assert np.std(bad.samples[during, 1]) > 100
    assert abs(np.corrcoef(bad.samples[during, 1], good[during, 1])[0, 1]) < 0.3
    added = bad.samples[during, 3] - good[during, 3]
    assert np.std(added) == pytest.approx(np.hypot(30 / np.sqrt(2), 15), rel=0.1)


def test_reference_is_subtracted_from_each_electrode() -> None:
    plain = Head(("Fz", "Oz", "Cz"), RATE_HZ, quiet()).generate(300).samples
    against = Head(("Fz", "Oz"), RATE_HZ, quiet(reference=("Cz",)))
    np.testing.assert_allclose(against.generate(300).samples, plain[:, :2] - plain[:, 2:], atol=1e-12)
    seen = against.topography("frontal_midline.theta")
    places = positions(["Fz", "Oz", "Cz"])
    whole = spread(positions(["Fz"]), places, 0.45)[0]
    np.testing.assert_allclose(seen, whole[:2] - whole[2])


def test_pulses_keep_rate_and_minimum_distance() -> None:
    law = PulseLaw(2.0, 0.3, apart=True)
    train = PulseTrain(random_stream(1, "x"), law, hann)
    times_s = np.arange(200_000) / 1000.0
    values, on = train.render(times_s)
    assert values.max() <= 1.0 + 1e-12
    onsets = np.sum(np.diff(on.astype(int)) == 1)
    assert onsets == pytest.approx(400, rel=0.12)
