"""Cost of band power and synchrony per sample, against what people compute them with today."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Iterator
from typing import Any

import mne
import numpy as np
from mne_connectivity import spectral_connectivity_epochs, spectral_connectivity_time
from scipy import signal

from benchmarks.rows import median_us, row
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.power import BandPower
from neurofb.dsp.spectrum import baseline_spectrum
from neurofb.dsp.synchrony import Synchrony

BANDS = {
    "theta": (4.0, 8.0), "alpha": (8.0, 12.0), "low beta": (13.0, 20.0),
    "high beta": (20.0, 30.0), "low gamma": (30.0, 40.0), "gamma": (40.0, 48.0),
}  # fmt: skip
RATE_HZ, N_CHANNELS, WINDOW_S = 250, 64, 2.0
MEASURES = ("coherence", "imaginary_coherence", "plv", "ciplv", "wpli", "debiased_wpli2", "aec_orth")


class Chain:
    """Filters, power and all pairs' synchrony, fed from a loop of noise."""

    def __init__(
        self,
        n_channels: int = N_CHANNELS,
        bands: dict[str, tuple[float, float]] = BANDS,
        rate_hz: float = RATE_HZ,
        every: int = 1,
        own_designs: bool = True,
    ) -> None:
        self.x = np.random.default_rng(0).standard_normal((int(20 * rate_hz), n_channels)) * 20
        spectrum = baseline_spectrum(self.x, rate_hz) if own_designs else None
        self.bands = BandFilter(bands, rate_hz, n_channels, 0.1, spectrum, every=every)
        self.power = BandPower(len(bands), n_channels, rate_hz / every, time_constant_s=0.25)
        self.synchrony = Synchrony.of(self.bands, time_constant_s=WINDOW_S / 2)
        self.at = 0
        self.take(int(4 * rate_hz))

    def next(self, n: int) -> np.ndarray:
        self.at = self.at + n if self.at + 2 * n <= len(self.x) else 0
        return self.x[self.at : self.at + n]

    def take(self, n: int) -> None:
        z = self.bands.process(self.next(n))
        self.power.process(z)
        self.synchrony.process(z)

    def read(self) -> None:
        self.synchrony._read_out = False  # as if a sample had come since the last look
        for name in MEASURES:
            getattr(self.synchrony, name)()


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    chain = Chain()
    yield from cost_per_sample(chain)
    yield from against_connectivity(chain, short)
    yield from against_power(chain)
    yield from curves(short)
    yield from memory(short)


def cost_per_sample(chain: Chain) -> Iterator[dict[str, Any]]:
    what = "64 channels, 6 bands, 2,016 pairs, 250 Hz"
    filters = median_us(lambda: chain.bands.process(chain.next(1)))
    one = median_us(lambda: [chain.take(1) for _ in range(8)]) / 8
    yield row(
        f"{what}: every sample, one by one",
        one,
        "µs/sample",
        at_most=100,
        detail=f"filters alone {filters:.1f} µs",
    )
    eight = median_us(lambda: chain.take(8)) / 8
    yield row(f"{what}: every sample, in chunks of 8", eight, "µs/sample", at_most=100)
    fourth = Chain(every=4)
    yield row(
        f"{what}: every 4th sample",
        median_us(lambda: [fourth.take(1) for _ in range(32)]) / 32,
        "µs/sample",
        at_most=30,
    )
    yield row(f"{what}: all seven measures read out", median_us(chain.read), "µs", at_most=150)
    z = chain.bands.process(chain.next(8))
    box = Synchrony.of(chain.bands, window_s=WINDOW_S)
    yield row(
        "the same pairs over an exact box window, chunks of 8",
        median_us(lambda: box.process(z)) / 8,
        "µs/sample",
    )


def against_connectivity(chain: Chain, short: bool) -> Iterator[dict[str, Any]]:
    n = int(WINDOW_S * RATE_HZ)
    window = chain.x[:n].T
    ours = median_us(lambda: (chain.take(1), chain.read()))
    what = "all measures, one update (a sample taken in, all read out)"
    low, high = zip(*BANDS.values(), strict=True)
    # Wavelets every 2 Hz, averaged within each band: one wavelet alone does not cover a band.
    freqs = np.arange(5.0, 48.0, 2.0)
    peers = {
        "mne_connectivity.spectral_connectivity_time (2 s, cwt_morlet, 22 wavelets, coh imcoh plv ciplv wpli)": (
            2000,
            lambda: spectral_connectivity_time(
                window[None], freqs, method=["coh", "imcoh", "plv", "ciplv", "wpli"], sfreq=RATE_HZ,
                fmin=low, fmax=high, faverage=True, mode="cwt_morlet", n_cycles=5, verbose=False,
            ),
        ),
        "mne_connectivity.spectral_connectivity_epochs (fourier, 4 × 0.5 s, the same and wpli2_debiased)": (
            80,
            lambda: spectral_connectivity_epochs(
                window.reshape(N_CHANNELS, 4, n // 4).swapaxes(0, 1),
                method=["coh", "imcoh", "plv", "ciplv", "wpli", "wpli2_debiased"], mode="fourier",
                sfreq=RATE_HZ, fmin=low, fmax=high, faverage=True, verbose=False,
            ),
        ),
        "NumPy/SciPy: Butterworth, Hilbert, matrix products over 2 s": (100, lambda: hilbert_version(window)),
    }  # fmt: skip
    for name, (target, peer) in peers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = median_us(peer, at_least_s=0.1, rounds=1 if short else 3)
        yield row(
            what, ours, "µs", at_least=target, peer=name, peer_value=theirs, ratio=theirs / ours,
            detail=f"at 4 updates a second: {theirs / (ours + (RATE_HZ / 4 - 1) * chain_cost(chain)):.3g}× less work",
        )  # fmt: skip


def chain_cost(chain: Chain) -> float:
    return median_us(lambda: chain.take(8), at_least_s=0.1) / 8


def hilbert_version(window: np.ndarray) -> list[np.ndarray]:
    """The measures as a vectorised script computes them on each window."""
    found = []
    for low, high in BANDS.values():
        sos = signal.butter(4, (low, high), "bandpass", fs=RATE_HZ, output="sos")
        z = signal.hilbert(signal.sosfiltfilt(sos, window, axis=1), axis=1)
        power = (np.abs(z) ** 2).sum(axis=1)
        cross = z @ z.conj().T
        unit = z / np.abs(z)
        locked = unit @ unit.conj().T / z.shape[1]
        lagged = (z[:, None] * z[None].conj()).imag
        total, size, squares = lagged.sum(axis=2), np.abs(lagged).sum(axis=2), (lagged**2).sum(axis=2)
        coherency = cross / np.sqrt(np.outer(power, power))
        with np.errstate(all="ignore"):
            found += [np.abs(coherency), coherency.imag, np.abs(locked)]
            found += [np.abs(locked.imag) / np.sqrt(1 - locked.real**2), np.abs(total) / size]
            found += [(total**2 - squares) / (size**2 - squares)]
    return found


def against_power(chain: Chain) -> Iterator[dict[str, Any]]:
    n = int(WINDOW_S * RATE_HZ)
    window = np.ascontiguousarray(chain.x[:n].T)
    ours = median_us(lambda: chain.power.process(chain.bands.process(chain.next(1))))
    welch = median_us(lambda: mne.time_frequency.psd_array_welch(window, RATE_HZ, n_fft=n, verbose=False))
    what = "band power of 64 channels and 6 bands, one update"
    yield row(
        what,
        ours,
        "µs",
        at_least=8,
        peer="mne.time_frequency.psd_array_welch (2 s)",
        peer_value=welch,
        ratio=welch / ours,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it still imports pkg_resources
            from brainflow.data_filter import DataFilter
    except ImportError:
        yield row(what, ours, "µs", peer="BrainFlow is not installed: pip install -e .[bench]")
        return
    edges = list(BANDS.values())
    channels = list(range(N_CHANNELS))
    theirs = median_us(lambda: DataFilter.get_custom_band_powers(window, edges, channels, RATE_HZ, False))
    yield row(
        what, ours, "µs", at_least=300, peer="BrainFlow get_custom_band_powers (2 s)", peer_value=theirs,
        ratio=theirs / ours,
    )  # fmt: skip


def curves(short: bool) -> Iterator[dict[str, Any]]:
    """How cost grows; exponents are of the steepest doubling."""

    def cost(**settings: Any) -> float:
        chain = Chain(own_designs=False, **settings)
        return median_us(lambda: chain.take(8), at_least_s=0.1 if short else 0.3) / 8

    channels = {n: cost(n_channels=n) for n in ((8, 64) if short else (8, 16, 32, 64, 128, 256))}
    yield row(
        "cost against channels: growth of the last doubling (pairs: 2)", exponent(channels), "power",
        at_most=2.3, detail=listed(channels, "channels"),
    )  # fmt: skip
    names = list(BANDS)
    by_bands = {n: cost(bands={name: BANDS[name] for name in names[:n]}, n_channels=32) for n in (1, 2, 3, 6)}
    yield row(
        "cost against bands, 32 channels: growth from 3 to 6", exponent(by_bands), "power", at_most=1.15,
        detail=listed(by_bands, "bands"),
    )  # fmt: skip
    rates = {hz: cost(rate_hz=hz, n_channels=32) * hz / 1000 for hz in (160, 250, 500, 1000, 2000)}
    yield row(
        "cost a second against rate, 32 channels: growth from 1,000 to 2,000 Hz", exponent(rates), "power",
        at_most=1.15, detail=listed(rates, "Hz", "ms/s"),
    )  # fmt: skip


def exponent(costs: dict[int, float]) -> float:
    (n_1, cost_1), (n_2, cost_2) = list(costs.items())[-2:]
    return float(np.log(cost_2 / cost_1) / np.log(n_2 / n_1))


def listed(costs: dict[int, float], what: str, unit: str = "µs/sample") -> str:
    return ", ".join(f"{n} {what}: {cost:.3g} {unit}" for n, cost in costs.items())


def memory(short: bool) -> Iterator[dict[str, Any]]:
    chain = Chain(n_channels=2, bands={"alpha": (8.0, 12.0)})
    n = 50_000 if short else 1_000_000
    for _ in range(1000):
        chain.take(1)
    tracemalloc.start()
    for _ in range(1000):
        chain.take(1)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(n):
        chain.take(1)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield row(
        f"memory held after {n:,} samples more than before", (after - before) / 1024, "KiB", at_most=2,
        detail=f"never more than {(peak - before) / 1024:.1f} KiB at once",
    )  # fmt: skip
