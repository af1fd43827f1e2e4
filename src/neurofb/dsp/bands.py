"""Complex bands of samples: a streaming bank of causal complex FIR filters with a declared delay.

In: samples ``(n_samples, n_channels)``. Out: complex ``(n_outputs, n_bands, n_channels)`` in the samples' unit,
whose magnitude is the band's envelope and whose angle its phase, ``delay_s`` late. Kept between chunks: the samples
within reach of the taps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from neurofb import _kernels
from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.checks import count, positive, samples_2d
from neurofb.dsp.filter_adaptation import Adaptation
from neurofb.dsp.offline_reference import offline_correlation
from neurofb.dsp.spectrum import Spectrum, prior_spectrum
from neurofb.dsp.wiener import (
    Bands,
    Grid,
    Taps,
    check_bands,
    design,
    envelope_correlation,
    output_autocorrelation,
    single_precision,
    target_response,
)
from neurofb.errors import UnknownName, WrongInput, WrongShape, nearest

#: Taps stand at least this far apart (as a rate): denser ones add cost, not accuracy, to bands below 50 Hz.
TAP_RATE_HZ = 250.0
#: Yet no further apart than this many to a cycle of the highest edge: the mean over ``width`` samples, which keeps
#: out what lies above their Nyquist frequency, falls off slowly.
TAPS_PER_CYCLE = 4.5
#: A band's taps reach back this many cycles of its lower edge: more add nothing that can be measured.
CYCLES = 6.0
#: Frequencies of a design lie this close together.
DESIGN_STEP_HZ = 0.125


class BandFilter:
    """A streaming bank of complex band filters.

    Parameters
    ----------
    bands : mapping of str to (float, float), or pairs of these
        Name → (low, high) in Hz: the edges an offline ``mne.filter.filter_data(x, rate, low, high)`` would get.
    rate_hz : float
        Sampling rate of the input.
    n_channels : int
        Number of channels.
    delay_s : float or mapping of str to float
        How late the output is, for all bands or by name; 0 is allowed, at the accuracy it then predicts.
    spectrum : Spectrum, optional
        What to expect of the input: the participant's baseline (`baseline_spectrum`), one row or one per channel.
        Default: `prior_spectrum`.
    every : int
        Give only each ``every``-th output, at 1/``every`` of the cost: those of samples n with
        (n + 1) % every == 0, counted from 0.
    adapt_s : float, optional
        Time constant of a running spectrum from which taps are designed anew while samples come, cross-faded
        over 1 s. Default: never.

    Notes
    -----
    A missing sample (NaN) makes the outputs of its channel NaN while it lies in the taps' reach, and so do the
    samples before the first. Samples that come faster than the bands need (above 375 Hz for bands below 50 Hz) are
    averaged over ``width`` of them before taps that far apart; the design accounts for it. The taps reach six cycles
    of a band's lower edge into the past, at least 0.5 s and at most 1 s (2 s below 4 Hz), and no less than 0.4 s more
    than the delay.
    """

    def __init__(
        self,
        bands: Bands,
        rate_hz: float,
        n_channels: int,
        delay_s: float | Mapping[str, float],
        spectrum: Spectrum | None = None,
        *,
        every: int = 1,
        adapt_s: float | None = None,
    ) -> None:
        self._rate_hz = positive(rate_hz, "rate_hz")
        self._n_channels = count(n_channels, "n_channels")
        self._every = count(every, "every")
        self._bands = check_bands(bands, self._rate_hz)
        self._delays_s = _delays(delay_s, self._bands)
        self._grid = _grid(self._bands, self._rate_hz, self._delays_s)
        self._targets = np.stack(
            [target_response(low, high, self._grid) for low, high in self._bands.values()]
        )
        self._design_all(_spectrum_for(spectrum, self._rate_hz, self._n_channels), shared=adapt_s is None)
        self._adaptation = (
            None if adapt_s is None else Adaptation(self._rate_hz, self._spectrum, self._n_channels, adapt_s)
        )
        self._allocate()

    def _allocate(self) -> None:
        width = self._grid.width
        padded = -(-self._n_channels // _kernels.LANES) * _kernels.LANES
        reach = max(self._grid.n_taps) * width
        self._n_taps = np.array(self._grid.n_taps, np.int64)
        self._raw = np.zeros((width, self._n_channels))
        self._missing_at = np.full(self._n_channels, -1, np.int64)
        self._line = np.zeros((4 * (reach + _kernels.OUTPUTS * self._every), padded))
        self._end: int = reach
        self._missed: NDArray[np.int64] = np.zeros((_kernels.OUTPUTS, self._n_channels), np.int64)
        self._work: FloatArray = np.zeros((_kernels.OUTPUTS, self.n_bands, 2, padded))
        self._index: int = 0

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def bands(self) -> dict[str, tuple[float, float]]:
        """Name → (low, high) in Hz, in the order of the output."""
        return dict(self._bands)

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return len(self._bands)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self._n_channels

    @property
    def rate_hz(self) -> float:
        """Rate of the input."""
        return self._rate_hz

    @property
    def output_rate_hz(self) -> float:
        """Rate of the output."""
        return self._rate_hz / self._every

    @property
    def delay_s(self) -> FloatArray:
        """Declared delay of each band, shape (n_bands,), in seconds."""
        return self._delays_s.copy()

    @property
    def reach_s(self) -> FloatArray:
        """Seconds of the past that each band's output depends on, shape (n_bands,): how long a gap lasts."""
        return np.array(self._grid.n_taps) * self._grid.width / self._rate_hz

    @property
    def taps(self) -> ComplexArray:
        """Taps in force, complex, shape (n_bands, n_channels, most taps), newest first; 0 beyond a band's own."""
        n_taps = max(self._grid.n_taps)
        lanes = self._lanes.reshape(self.n_bands, -1, n_taps, 2, _kernels.LANES)
        parts = lanes.transpose(0, 1, 4, 2, 3).reshape(self.n_bands, -1, n_taps, 2).astype(np.float64)
        taps: ComplexArray = parts[..., 0] + 1j * parts[..., 1]
        if taps.shape[1] < self._n_channels:  # one design, shared by all
            taps = np.repeat(taps[:, :1], self._n_channels, axis=1)
        return taps[:, : self._n_channels]

    @property
    def agreement(self) -> FloatArray:
        """η of each band and channel: squared coherence with the delayed offline band, shape (n_bands, n_channels)."""
        return np.broadcast_to(self._agreement, (self.n_bands, self._n_channels)).copy()

    @property
    def expected_correlation(self) -> FloatArray:
        """Correlation to be expected between this envelope and the offline one, shape (n_bands, n_channels).

        Implied by `agreement` for Gaussian signals; EEG, which waxes and wanes, does better: theta at no delay by
        0.1 (`measure_correlation` tells).
        """
        return envelope_correlation(self.agreement)

    @property
    def expected_level_db(self) -> FloatArray:
        """Power of the output against that of the offline band, in dB, shape (n_bands, n_channels): at most 0.

        A least-squares estimate leaves out what it cannot know, so that its power is η (`agreement`) times that of
        the band: 0.05 dB less for alpha at 0.1 s, 4 dB less for theta at no delay. It is the same in a baseline and
        in a session, so that scores do not feel it.
        """
        level: FloatArray = 10 * np.log10(self.agreement)
        return level

    @property
    def autocorrelation(self) -> ComplexArray:
        """Autocorrelation of the output under the spectrum, at the output's rate, shape (n_bands, n_rows, n_lags).

        One row for each channel, or one for all where they share a design; 1 at lag 0. `Synchrony` needs it to
        know how many samples are independent. Where the spectrum says how sharp rhythms are (`Spectrum.fine`), it is
        that of rhythms so sharp.
        """
        if self._spectrum.fine is not None:
            return self.autocorrelation_under(self._spectrum)
        return self._autocorrelation[:, :, :: self._every].copy()

    def autocorrelation_under(self, spectrum: Spectrum, bands: Sequence[int] | None = None) -> ComplexArray:
        """Return the autocorrelation of the output if the input had this spectrum, as `autocorrelation`.

        Parameters
        ----------
        spectrum : Spectrum
            With a row for each place that the output will be mixed to; or one for each channel where these have
            taps of their own.
        bands : sequence of int, optional
            Which of the bands; default: all.
        """
        chosen = list(range(self.n_bands)) if bands is None else list(bands)
        taps, edges = self.taps[chosen], [list(self._bands.values())[band] for band in chosen]
        alike = bool((taps == taps[:, :1]).all())
        if not alike and spectrum.n_channels != self._n_channels:
            raise WrongShape(
                f"{self._n_channels} channels have taps of their own: needed are as many rows, found "
                f"{spectrum.n_channels}"
            )
        rows = [
            output_autocorrelation(taps[:, 0 if alike else row], edges, _row_of(spectrum, row), self._grid)
            for row in range(spectrum.n_channels)
        ]
        return np.stack(rows, axis=1)[:, :, :: self._every].copy()

    def measure_correlation(self, baseline: ArrayLike) -> FloatArray:
        """Measure on a baseline how well this filter's envelope follows the offline one.

        What the filter would have given is compared with the zero-phase band an offline analysis of the same
        samples gives. Closer to what the session will give than `expected_correlation`, which knows a spectrum only.

        Parameters
        ----------
        baseline : array_like, shape (n_samples, n_channels)
            µV; at least three times the longest `reach_s`.

        Returns
        -------
        ndarray, shape (n_bands, n_channels)
            Correlation of the envelopes; NaN for a channel with missing samples throughout.
        """
        x = samples_2d(baseline, self._n_channels)
        least_s = 3 * float(self.reach_s.max())
        if len(x) < least_s * self._rate_hz:
            raise WrongInput(
                f"a rehearsal needs at least {least_s:g} s, found {len(x) / self._rate_hz:.1f} s"
            )
        again = copy.copy(self)
        again._every, again._adaptation = 1, None
        again._allocate()
        return offline_correlation(x, again.process(x), self._bands, self._delays_s, self._rate_hz)

    def describe(self) -> list[str]:
        """Return a line per band: delay and expected correlation, e.g. for a screen."""
        expected = self.expected_correlation
        return [
            f"{name} {low:g}–{high:g} Hz at {1000 * delay:.0f} ms delay: expected r = {np.median(r):.2f} or more"
            + (f" ({r.min():.2f}–{r.max():.2f} over channels)" if np.ptp(r) >= 0.01 else "")
            + (f", power {-np.median(db):.1f} dB low" if np.median(db) <= -0.05 else "")
            for (name, (low, high)), delay, r, db in zip(
                self._bands.items(), self._delays_s, expected, self.expected_level_db, strict=True
            )
        ]

    def __repr__(self) -> str:
        return (
            f"BandFilter({self._bands!r}, rate_hz={self._rate_hz:g}, n_channels={self._n_channels}, "
            f"delay_s={dict(zip(self._bands, self._delays_s.tolist(), strict=True))!r}, every={self._every})"
        )

    # -- what it does ------------------------------------------------------------------------------------------

    def process(self, samples: ArrayLike) -> ComplexArray:
        """Filter a chunk.

        Parameters
        ----------
        samples : array_like, shape (n_samples, n_channels)
            The next samples; NaN where one is missing.

        Returns
        -------
        ndarray, complex, shape (n_outputs, n_bands, n_channels)
            One output per sample, or per ``every``-th; NaN where a missing sample is in reach.
        """
        x = samples_2d(samples, self._n_channels)
        if self._adaptation is None:
            return self._filter(x)
        outputs = []
        for piece in self._adaptation.pieces(x):
            outputs.append(self._filter(piece))
            self._adapt(self._adaptation.update(piece))
        return np.concatenate(outputs) if outputs else self._filter(x)

    def output_indices(self, first_index: int, n_samples: int) -> NDArray[np.int64]:
        """Return the sample indices that have an output among ``n_samples`` from ``first_index`` on."""
        indices = np.arange(first_index, first_index + n_samples)
        given: NDArray[np.int64] = indices[(indices + 1) % self._every == 0]
        return given

    def _filter(self, x: FloatArray) -> ComplexArray:
        n_outputs = (self._index + len(x)) // self._every - self._index // self._every
        z = np.empty((n_outputs, self.n_bands, self._n_channels), np.complex128)
        parts = z.view(np.float64).reshape(*z.shape, 2)
        self._end = _kernels.band_filter(
            x, self._index, self._every, self._lanes, self._n_taps, self._raw, self._missing_at,
            self._line, self._end, self._missed, self._work, parts,
        )  # fmt: skip
        self._index += len(x)
        return z

    # -- how it is made ----------------------------------------------------------------------------------------

    def _design_all(self, spectrum: Spectrum, *, shared: bool) -> None:
        """Design for every row of the spectrum; rows are shared by all channels where there is but one."""
        self._spectrum = spectrum
        designs = [self._design(row) for row in spectrum.at(np.abs(self._grid.freqs_hz))]
        self._agreement = np.stack([d.agreement for d in designs], axis=1)
        self._autocorrelation = np.stack([d.autocorrelation for d in designs], axis=1)
        if len(designs) == 1 and not shared:
            designs = designs * self._n_channels
            self._agreement = np.repeat(self._agreement, self._n_channels, axis=1)
        n_groups = -(-len(designs) // _kernels.LANES)
        self._lanes = np.zeros(
            (self.n_bands, n_groups, max(self._grid.n_taps) * 2 * _kernels.LANES), np.float32
        )
        if len(designs) == 1:
            designs = designs * _kernels.LANES
        for channel, one in enumerate(designs):
            self._set_taps(channel, one.taps)

    def _design(self, density: FloatArray) -> Taps:
        return design(self._targets, self._delays_s, density, self._grid)

    def _set_taps(self, channel: int, taps: ComplexArray) -> None:
        group, lane = divmod(channel, _kernels.LANES)
        lanes = self._lanes.reshape(self.n_bands, -1, max(self._grid.n_taps), 2, _kernels.LANES)
        lanes[:, group, :, 0, lane] = single_precision(taps.real)
        lanes[:, group, :, 1, lane] = single_precision(taps.imag)

    def _adapt(self, due: tuple[int, FloatArray] | None) -> None:
        """Advance each cross-fade by one step; start one if a channel's design is due."""
        assert self._adaptation is not None
        if due is not None:
            channel, density = due
            designed = self._design(
                np.interp(np.abs(self._grid.freqs_hz), self._adaptation.freqs_hz, density)
            )
            self._agreement[:, channel] = designed.agreement
            self._adaptation.fade_to(channel, designed.taps)
        if self._adaptation.fades_now:  # gathering all taps is dear, and most pieces end between ticks
            for channel, taps in self._adaptation.fading(self.taps):
                self._set_taps(channel, taps)


def _delays(delay_s: float | Mapping[str, float], bands: Mapping[str, object]) -> FloatArray:
    if isinstance(delay_s, Mapping):
        for name in delay_s:
            if name not in bands:
                raise UnknownName(
                    f"a delay is given for band {name!r}, which is not in the bank; {nearest(name, bands)}"
                )
        missing = [name for name in bands if name not in delay_s]
        if missing:
            raise WrongInput(
                f"no delay is given for {', '.join(map(repr, missing))}; give one for every band"
            )
        values = [delay_s[name] for name in bands]
    else:
        values = [delay_s] * len(bands)
    for value in values:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float | np.number)
            or not math.isfinite(value)
        ):
            raise WrongInput(f"delay_s needs a finite number of seconds, found {value!r}")
        if value < 0:
            raise WrongInput(
                f"delay_s is {value:g} s: an output cannot be earlier than its sample. 0 is the least "
                "(least accurate, too); 0.1 s is a good start for alpha"
            )
    return np.array(values, dtype=np.float64)


def _grid(bands: Mapping[str, tuple[float, float]], rate_hz: float, delays_s: FloatArray) -> Grid:
    lows = np.array([low for low, _ in bands.values()])
    longest = np.where(lows >= 4, 1.0, 2.0)
    lengths_s = np.maximum(np.clip(CYCLES / lows, 0.5, longest), delays_s + 0.4)
    highest = max(high for _, high in bands.values())
    width = max(1, min(round(rate_hz / TAP_RATE_HZ), int(rate_hz / (TAPS_PER_CYCLE * highest))))
    n_taps = tuple(max(8, math.ceil(length * rate_hz / width)) for length in lengths_s)
    target_s = 4 * 3.3 / min(2.0, lows.min())  # four lengths of the longest target: nothing wraps around
    n_freqs = fft.next_fast_len(math.ceil(rate_hz * max(1 / DESIGN_STEP_HZ, target_s, 4 * lengths_s.max())))
    return Grid(rate_hz, n_taps, width, n_freqs)


def _row_of(spectrum: Spectrum, row: int) -> Spectrum:
    return spectrum if spectrum.n_channels == 1 else spectrum.mean_over([row])


def _spectrum_for(spectrum: Spectrum | None, rate_hz: float, n_channels: int) -> Spectrum:
    if spectrum is None:
        return prior_spectrum(rate_hz)
    if not isinstance(spectrum, Spectrum):
        raise WrongInput(
            f"spectrum needs a Spectrum (see baseline_spectrum), found {type(spectrum).__name__}"
        )
    if spectrum.n_channels not in (1, n_channels):
        raise WrongShape(
            f"the spectrum has {spectrum.n_channels} rows; {n_channels} channels need 1 row or {n_channels}"
        )
    return spectrum
