"""How often unrelated rhythms are above their null level, and how many samples are told: sharp ones, and real ones.

Run ``python -m benchmarks.sharp_rhythms`` for simulated people, each with a baseline of 60 s and an alpha of their
own 0.2–1 Hz wide; ``python -m benchmarks.sharp_rhythms FOLDER`` for the recordings of PhysioNet's EEGMAT there: the
first minute is the baseline, windows of the rest that lie 4 s or more apart are paired, each channel with each.
Measures are the textbook's, written here apart from the kernels. Nothing was set on any of it but by simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neurofb.dsp.bands import BandFilter
from neurofb.dsp.spectrum import baseline_spectrum
from neurofb.dsp.synchrony import Synchrony

WINDOWS_S = (2, 4, 6, 10)
MEASURES = ("coherence", "imaginary_coherence", "plv", "ciplv", "wpli", "debiased_wpli2", "aec_orth")
N_PEOPLE, N_WINDOWS, BASELINE_S = 12, 300, 60
#: Eight of the 19 electrodes: pairs of all would show the same.
ELECTRODES = ("O1", "O2", "P3", "P4", "Pz", "C3", "C4", "Fz")


def measures(x: np.ndarray, y: np.ndarray, near: int) -> dict[str, np.ndarray]:
    """Return each measure of pairs of windows, shape (n_windows, n_samples)."""
    cross = x * y.conj()
    mean, unit, v = cross.mean(axis=1), (cross / np.abs(cross)).mean(axis=1), cross.imag
    power = np.sqrt((np.abs(x) ** 2).mean(axis=1) * (np.abs(y) ** 2).mean(axis=1))
    lag = np.abs(np.subtract.outer(np.arange(x.shape[1]), np.arange(x.shape[1])))
    far = (lag > near).astype(float)
    signed, whole = ((v @ far) * v).sum(axis=1), ((np.abs(v) @ far) * np.abs(v)).sum(axis=1)
    return {
        "coherence": np.abs(mean) / power,
        "imaginary_coherence": np.abs(mean.imag) / power,
        "plv": np.abs(unit),
        "ciplv": np.abs(unit.imag) / np.sqrt(1 - unit.real**2),
        "wpli": np.abs(v.sum(axis=1)) / np.abs(v).sum(axis=1),
        "debiased_wpli2": signed / whole,
        "aec_orth": (_orthogonal(x, v) + _orthogonal(y, v)) / 2,
    }


def _orthogonal(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, o = np.abs(x), np.abs(v) / np.abs(x)
    a, o = a - a.mean(axis=1, keepdims=True), o - o.mean(axis=1, keepdims=True)
    return (a * o).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (o**2).sum(axis=1))


def simulated(
    shape: str, width_hz: float, strength: float, seconds: float, rng: np.random.Generator
) -> np.ndarray:
    """Return two unrelated channels of 1/f and a rhythm so wide (at half power), so many times as strong in 8–12 Hz."""
    n, rate_hz = int(seconds * 125), 125.0
    freqs = np.fft.rfftfreq(n, 1 / rate_hz)
    slope, away = 1 / np.maximum(freqs, 0.5), (freqs - 10) / (width_hz / 2)
    peak = np.exp2(-(away**2)) if shape == "gauss" else 1 / (1 + away**2)
    band = (freqs >= 8) & (freqs <= 12)
    density = slope + strength * peak * slope[band].sum() / peak.sum()
    white = np.fft.rfft(rng.standard_normal((n, 2)), axis=0)
    return np.fft.irfft(white * np.sqrt(density)[:, None], n, axis=0) * 20


def person(
    baseline: np.ndarray, samples: np.ndarray, rate_hz: float, window_s: float
) -> tuple[Synchrony, np.ndarray, int]:
    """Return the synchrony made for this baseline, filled once, and the windows (n_windows, n_samples, n_channels)."""
    every = int(rate_hz // 40)
    spectrum = baseline_spectrum(baseline, rate_hz)
    bands = BandFilter({"alpha": (8, 12)}, rate_hz, samples.shape[1], 0.1, spectrum, every=every)
    synchrony = Synchrony.of(bands, window_s=window_s, refuse=False)
    z = bands.process(samples)[int(3 * bands.output_rate_hz) :]
    synchrony.process(z)
    n = round(window_s * bands.output_rate_hz)
    windows = z[: len(z) // n * n, 0].reshape(-1, n, samples.shape[1])
    return synchrony, windows, round(synchrony.near_s.item(0) * bands.output_rate_hz)


def shares_above(synchrony: Synchrony, pair: int, values: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the share of windows above the level of each measure; NaN where no level is given."""
    shares = {}
    for name in MEASURES:
        level = synchrony.null_level(name)[0, pair]
        shares[name] = float(np.mean(values[name] > level)) if np.isfinite(level) else np.nan
    return shares


def print_simulated() -> None:
    """Print a row for each rhythm and window."""
    print("shape width × strength window  samples  debiased wPLI²  share above the 5 % level, in %")
    for shape in ("gauss", "lorentz"):
        for width_hz in (0.2, 0.3, 0.5, 1.0):
            for strength in (4.0, 12.0):
                for window_s in WINDOWS_S:
                    print(_simulated_row(shape, width_hz, strength, window_s), flush=True)


def _simulated_row(shape: str, width_hz: float, strength: float, window_s: float) -> str:
    rng = np.random.default_rng(23)
    rows, samples, mean = [], [], []
    for _ in range(N_PEOPLE):
        x = simulated(shape, width_hz, strength, BASELINE_S + 5 + N_WINDOWS * (window_s + 1), rng)
        split = BASELINE_S * 125
        synchrony, windows, near = person(x[:split], x[split:], 125.0, window_s)
        found = synchrony.effective_samples()[0, 0]
        samples.append(found)
        if not np.isnan(found):
            values = measures(windows[..., 0], windows[..., 1], near)
            mean.append(values["debiased_wpli2"].mean())
            rows.append(shares_above(synchrony, 0, values))
    told = f"{shape:8} {width_hz:g} Hz × {strength:g} {window_s:3} s  n {len(rows)}/{N_PEOPLE} "
    if not rows:
        return told + "not enough"
    return told + f"{np.nanmean(samples):5.1f} {np.mean(mean):+.3f}  {_told(rows)}"


def _told(rows: list[dict[str, float]]) -> str:
    """Return the mean share of each measure in %, a dash where nobody has a level."""
    columns = {name: [row[name] for row in rows if not np.isnan(row[name])] for name in MEASURES}
    return " ".join(
        f"{name} {100 * np.mean(each):.1f}" if each else f"{name} –" for name, each in columns.items()
    )


def recordings(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each person at rest, 250 Hz, µV."""
    import mne

    for path in sorted(folder.glob("Subject*_1.edf")):
        raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        named = [next(name for name in raw.ch_names if name.split()[-1] == want) for want in ELECTRODES]
        yield path.stem, raw.get_data(named).T[::2] * 1e6


def print_real(folder: Path) -> None:
    """Print a row for each person and window: the mean over pairs of channels, window by shifted window."""
    for name, x in recordings(folder):
        for window_s in WINDOWS_S:
            print(name, f"{window_s:2} s", real_row(x, 250.0, window_s), flush=True)


def real_row(x: np.ndarray, rate_hz: float, window_s: float) -> str:
    """Return the shares of one person and window in words."""
    split = int(BASELINE_S * rate_hz)
    synchrony, windows, near = person(x[:split], x[split:], rate_hz, window_s)
    first, second = np.nonzero(
        np.abs(np.subtract.outer(np.arange(len(windows)), np.arange(len(windows)))) * window_s >= 4 + window_s
    )
    chosen = np.random.default_rng(0).permutation(len(first))[:300]
    rows = []
    for pair, (a, b) in enumerate(synchrony.pairs.tolist()):
        values = measures(windows[first[chosen], :, a], windows[second[chosen], :, b], near)
        rows.append(shares_above(synchrony, pair, values))
    told = synchrony.effective_samples()
    return f"samples {np.nanmean(told):5.1f}  {_told(rows)}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print_real(Path(sys.argv[1]))
    else:
        print_simulated()
