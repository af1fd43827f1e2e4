"""Design of causal complex filters: the least-squares estimate of the offline band from past samples.

The target is the zero-phase band-pass an MNE user would apply, made analytic and delayed by ``delay_s``. The taps
are its Wiener solution under a power spectrum [1]_: for samples x with autocovariance r and the target's
cross-covariance c with them, the taps h solve Toeplitz(r) h = c. One linear constraint is added, Σ h = 0: a constant
offset gives exactly nothing, whatever its size, and a step of it is forgotten when it has left the taps. (Asking the
same for a straight drift, Σ k h = 0, costs 0.003 in accuracy at no delay; the spectrum sees to slow drift.)

References
----------
.. [1] N. Wiener (1949), Extrapolation, Interpolation and Smoothing of Stationary Time Series. The delay as a
   design parameter of a complex FIR for neurofeedback: N. Smetanin et al. (2020), J. Neural Eng. 17, 046022.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, linalg, signal, special

from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.sharp_rhythms import sharp_density
from neurofb.dsp.spectrum import Spectrum
from neurofb.errors import WrongInput

#: Name → (low, high) in Hz, or pairs of these.
Bands = Mapping[str, tuple[float, float]] | Iterable[tuple[str, tuple[float, float]]]

#: The spectrum's floor under its largest value above 2 Hz. A recording that was filtered hard is all but empty
#: somewhere; taps that lived on that would fail at the first noise there.
FLOOR = 1e-5
#: Window of MNE's default FIR design and its length in units of 1/transition (Hamming).
HAMMING_LENGTH = 3.3
#: Lags of an output's autocorrelation under a fine spectrum, and the circle they are computed on: it holds a rhythm
#: 0.2 Hz wide, whose autocorrelation is 0 after 10 s.
LONGEST_LAG_S, CIRCLE_S = 16.0, 64.0
#: The lowest edge of a band (assumed): below it the design of a filter needs minutes and gigabytes.
LOWEST_HZ = 0.1


@dataclass(frozen=True, eq=False)
class Taps:
    """A designed bank for one spectrum."""

    #: On samples ``width`` apart, newest first; 0 beyond a band's own number; shape (n_bands, max(n_taps)).
    taps: ComplexArray
    #: η, the squared coherence of the output with the delayed target under the spectrum, 0–1; shape (n_bands,).
    agreement: FloatArray
    #: Of the output, lag 0 first, lags of one input sample, 1 at lag 0; shape (n_bands, n_lags).
    autocorrelation: ComplexArray


@dataclass(frozen=True)
class Grid:
    """The design grid of filters: rate, taps and frequencies of the discrete transform."""

    rate_hz: float
    #: Number of taps of each band.
    n_taps: tuple[int, ...]
    #: Samples averaged before each tap, and from tap to tap.
    width: int
    #: Length of the discrete Fourier transform over the whole circle.
    n_freqs: int

    @property
    def freqs_hz(self) -> FloatArray:
        """Signed frequencies in the order of ``numpy.fft``."""
        return np.asarray(np.fft.fftfreq(self.n_freqs, 1 / self.rate_hz), dtype=np.float64)


def zero_phase_taps(low_hz: float, high_hz: float, rate_hz: float) -> FloatArray:
    """Return the zero-phase band-pass of MNE's defaults (``mne.filter.create_filter``), as taps centred on 0.

    Transition bands are min(max(¼·edge, 2 Hz), room); each edge is a Hamming-windowed low-pass of
    3.3 / transition seconds. Built from ``scipy.signal.firwin``; equal to MNE's taps.
    """
    low_width = min(max(0.25 * low_hz, 2.0), low_hz)
    high_width = min(max(0.25 * high_hz, 2.0), rate_hz / 2 - high_hz)
    total = math.ceil(HAMMING_LENGTH / min(low_width, high_width) * rate_hz)
    total += 1 - total % 2
    upper = _low_pass(high_hz + high_width / 2, high_width, rate_hz, total)
    lower = _low_pass(low_hz - low_width / 2, low_width, rate_hz, total)
    return upper - lower


def _low_pass(cut_hz: float, width_hz: float, rate_hz: float, total: int) -> FloatArray:
    length = round(HAMMING_LENGTH * rate_hz / width_hz)
    length += 1 - length % 2
    taps = signal.firwin(min(length, total), cut_hz, window="hamming", pass_zero=True, fs=rate_hz)
    return np.pad(taps, (total - len(taps)) // 2)


def target_response(low_hz: float, high_hz: float, grid: Grid) -> FloatArray:
    """Return the analytic target's (real) response on the grid: doubled above 0 Hz, nothing below."""
    taps = zero_phase_taps(low_hz, high_hz, grid.rate_hz)
    centred = np.zeros(grid.n_freqs)
    half = len(taps) // 2
    np.add.at(centred, np.arange(-half, half + 1) % grid.n_freqs, taps)
    response = np.fft.fft(centred).real
    return np.where(grid.freqs_hz > 0, 2.0 * response, 0.0)


def design(targets: FloatArray, delays_s: FloatArray, density: FloatArray, grid: Grid) -> Taps:
    """Solve for the taps of all bands under one spectrum.

    Parameters
    ----------
    targets : ndarray, shape (n_bands, n_freqs)
        From `target_response`.
    delays_s : ndarray, shape (n_bands,)
        Delay of each band's target.
    density : ndarray, shape (n_freqs,)
        Power spectral density on the grid (two-sided, any scale).
    grid : Grid
        The grid of all of these.
    """
    power = _floored(density, grid)
    mean_of = np.exp(-2j * np.pi * np.outer(grid.freqs_hz / grid.rate_hz, np.arange(grid.width))).mean(axis=1)
    lags = np.arange(max(grid.n_taps)) * grid.width
    column = np.fft.ifft(power * np.abs(mean_of) ** 2).real[lags]
    column[0] *= 1 + 1e-9
    shift = np.exp(-2j * np.pi * grid.freqs_hz * delays_s[:, None])
    cross = np.fft.ifft(power * targets * shift * mean_of.conj(), axis=1)[:, lags]
    taps = np.zeros_like(cross)
    for band, n_taps in enumerate(grid.n_taps):
        taps[band, :n_taps] = _constrained(column[:n_taps], cross[band, :n_taps])
    variance = (power * targets**2).mean(axis=1)
    explained = np.einsum("bk,bk->b", cross.conj(), taps).real
    output = np.einsum("bk,bk->b", taps.conj(), linalg.matmul_toeplitz(column, taps.T).T).real
    agreement = np.clip(explained**2 / (variance * output), 0.0, 1.0)
    return Taps(taps, agreement, _autocorrelation(taps, power * np.abs(mean_of) ** 2, grid))


def _floored(density: FloatArray, grid: Grid) -> FloatArray:
    known = density[np.abs(grid.freqs_hz) >= 2.0]
    floored: FloatArray = np.maximum(density, FLOOR * known.max())
    return floored


def _constrained(column: FloatArray, cross: ComplexArray) -> ComplexArray:
    """Solve Toeplitz(column) h = cross with Σ h = 0, by a Lagrange multiplier."""
    wanted = np.column_stack([cross.real, cross.imag, np.ones(len(column))])
    solved = linalg.solve_toeplitz(column, wanted, check_finite=False)
    free, reach = solved[:, 0] + 1j * solved[:, 1], solved[:, 2]
    taps: ComplexArray = free - reach * (free.sum() / reach.sum())
    return taps


def single_precision(taps: FloatArray) -> NDArray[np.float32]:
    """Round taps, shape (n_bands, n_taps), to float32 so that their sum stays what it was: an offset gives nothing.

    The smallest tap in use, whose last place is finest, takes up what rounding adds to the others.
    """
    rounded = taps.astype(np.float32)
    smallest = (np.arange(len(taps)), np.where(taps == 0, np.inf, np.abs(taps)).argmin(axis=1))
    rounded[smallest] = 0.0
    rounded[smallest] = taps.sum(axis=1) - rounded.sum(axis=1, dtype=np.float64)
    return rounded


def _autocorrelation(taps: ComplexArray, power: FloatArray, grid: Grid) -> ComplexArray:
    response = np.zeros((len(taps), grid.n_freqs), complex)
    response[:, np.arange(taps.shape[1]) * grid.width] = taps
    covariance = np.fft.ifft(np.abs(np.fft.fft(response, axis=1)) ** 2 * power, axis=1)
    half: ComplexArray = covariance[:, : grid.n_freqs // 2] / covariance[:, :1].real
    return half


def output_autocorrelation(
    taps: ComplexArray, edges_hz: Iterable[tuple[float, float]], spectrum: Spectrum, grid: Grid
) -> ComplexArray:
    """Return the autocorrelation of each band's output, shape (n_bands, n_lags), for rhythms as sharp as they are.

    Parameters
    ----------
    taps : ndarray, shape (n_bands, n_taps)
        On samples ``grid.width`` apart, newest first.
    edges_hz : iterable of (float, float)
        Of each band.
    spectrum : Spectrum
        One row. In and around a band its fine part counts (`neurofb.dsp.sharp_rhythms`), elsewhere the coarse one.
    grid : Grid
        That of the design; lags go further than its own.
    """
    n_freqs = fft.next_fast_len(max(grid.n_freqs, math.ceil(CIRCLE_S * grid.rate_hz)))
    longer = Grid(grid.rate_hz, grid.n_taps, grid.width, n_freqs)
    freqs = longer.freqs_hz
    coarse = _floored(spectrum.at(np.abs(freqs))[0], longer)
    mean_of = np.exp(-2j * np.pi * np.outer(freqs / grid.rate_hz, np.arange(grid.width))).mean(axis=1)
    out = []
    for band, edges in enumerate(edges_hz):
        power = coarse
        if spectrum.fine is not None:
            fine = sharp_density(spectrum.fine.freqs_hz, spectrum.fine.density[0], edges, np.abs(freqs))
            power = np.where(np.isnan(fine), coarse, fine)
        out.append(_autocorrelation(taps[band : band + 1], power * np.abs(mean_of) ** 2, longer)[0])
    return np.stack(out)[:, : math.ceil(LONGEST_LAG_S * grid.rate_hz)]


def envelope_correlation(agreement: FloatArray) -> FloatArray:
    """Return the correlation of two envelopes whose Gaussian signals have squared coherence ``agreement``.

    r = (₂F₁(−½, −½; 1; η) − 1) (π/4) / (1 − π/4) (Middleton 1948, Q. Appl. Math. 5, 445). EEG waxes and wanes more
    than a Gaussian signal, so the measured correlation is usually higher: read it as a cautious promise.
    """
    ratio = (special.hyp2f1(-0.5, -0.5, 1.0, agreement) - 1.0) * (math.pi / 4) / (1 - math.pi / 4)
    return np.asarray(ratio, dtype=np.float64)


def check_bands(bands: Bands, rate_hz: float) -> dict[str, tuple[float, float]]:
    """Return the bands if the rate can carry them; raise naming each that it cannot."""
    try:
        pairs = [(name, edges) for name, edges in (bands.items() if isinstance(bands, Mapping) else bands)]
    except (TypeError, ValueError) as failure:
        raise WrongInput(
            f"bands is a mapping name → (low, high) in Hz, or pairs of these; found {bands!r}"
        ) from failure
    names = [name for name, _ in pairs]
    wrong = [f"two bands are named {name!r}" for name in sorted({n for n in names if names.count(n) > 1})]
    wrong += [words for name, edges in pairs if (words := _wrong_band(name, edges, rate_hz))]
    if not pairs:
        wrong = ["no band was given; give a mapping name → (low, high) in Hz"]
    if wrong:
        raise WrongInput("; ".join(wrong))
    return {name: (float(low), float(high)) for name, (low, high) in pairs}


def _wrong_band(name: str, edges: tuple[float, float], rate_hz: float) -> str:
    try:
        low, high = (float(edge) for edge in edges)
    except (TypeError, ValueError):
        return f"band {name!r} needs two edges (low, high) in Hz, found {edges!r}"
    if math.isfinite(low) and 0 < low < LOWEST_HZ:
        return (
            f"band {name!r} begins at {low:g} Hz; the filters of EEG are made for {LOWEST_HZ:g} Hz and above"
        )
    if not (math.isfinite(low) and math.isfinite(high)) or not 0 < low < high:
        return f"band {name!r} needs 0 < low < high in Hz, found ({low:g}, {high:g})" + (
            "; it is upside down" if high < low else ""
        )
    if high >= rate_hz / 2:
        return (
            f"band {name!r} reaches {high:g} Hz; at {rate_hz:g} Hz a band must end below the Nyquist frequency "
            f"{rate_hz / 2:g} Hz"
        )
    return ""
