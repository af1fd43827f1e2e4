"""Lost and repeated packets in the values: zeros that are no EEG, and packets that come twice.

In: samples in µV with their stamps. Out: the same with zero-filled packets turned to NaN and doubled ones left
out, so that the indexer after this sees a plain gap. Kept: the last packets, and samples of a run that is not
yet long enough to decide on; such runs are rare, so nothing is held as a rule.

A packet that is the same as the one before, channel by channel, is dropped whatever its stamps say: if it was
sent twice nothing is missing, and if it stands in for a lost one the indexer finds the gap.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.events import Event

#: Without a known packet size, all channels must be 0 for this many samples to be a filled-in packet.
MIN_ZEROS = 8
#: A packet shorter than this may repeat by chance.
MIN_REPEAT = 4
#: How many samples back the same stamp is looked for.
HISTORY = 64


class Rows(NamedTuple):
    """Samples as they came: µV, and for each the corrected stamp, the raw stamp, arrival and count (or NaN)."""

    samples: FloatArray
    times: FloatArray


STAMP, RECEIVED, ARRIVAL, COUNT = range(4)


class PacketScreen:
    """Finds zero-filled and repeated packets.

    Parameters
    ----------
    labels : tuple of str
        The channels, for the messages.
    packet_samples : int
        Samples of a packet; 1 if unknown.
    lost : {"zeros", "gap"}
        What the device leaves for a lost packet: with ``zeros`` each channel is checked by itself.
    """

    def __init__(
        self, labels: tuple[str, ...], packet_samples: int = 1, lost: Literal["zeros", "gap"] = "gap"
    ) -> None:
        self.labels = labels
        self.packet_samples = packet_samples
        self.channelwise = lost == "zeros" and packet_samples >= MIN_REPEAT
        self.min_zeros = packet_samples if self.channelwise else max(MIN_ZEROS, packet_samples)
        self.n_zeroed = 0
        self.n_repeated = 0
        n = len(labels)
        self._held = Rows(np.empty((0, n)), np.empty((0, 4)))
        # Each entry has one sample or more, so this many entries are always enough.
        self._past: deque[tuple[FloatArray, FloatArray | float]] = deque(maxlen=HISTORY)
        self._firsts: deque[float] = deque([np.nan] * packet_samples, maxlen=packet_samples)
        self._last_stamp_s = -np.inf
        self._ongoing = np.zeros(n, dtype=np.bool_)
        self._ongoing_any = False
        self._in_run = np.zeros(n, dtype=np.int64)
        self._run_from_s = np.zeros(n)
        self._in_repeat = 0
        self._stamps_differ = True
        self._events: list[Event] = []

    def __repr__(self) -> str:
        return f"PacketScreen({self.labels!r}, packet_samples={self.packet_samples!r})"

    @property
    def n_held(self) -> int:
        """Number of samples that wait for a decision."""
        return len(self._held.samples)

    def pop_events(self) -> list[Event]:
        """Return the events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def push(self, rows: Rows, final: bool = False) -> Rows:
        """Return the samples that are decided on; ``final`` if no more will come."""
        if len(self._held.samples):
            rows = Rows(*(np.concatenate(pair) for pair in zip(self._held, rows, strict=True)))
        n = len(rows.samples)
        if n == 0:
            return rows
        if self._suspicious(rows):
            return self._screen(rows, final)
        self._remember(rows)
        return rows

    def passes_one(self, samples: FloatArray, stamp_s: float) -> bool:
        """Return whether a single sample is beyond doubt, and remember it; if not, nothing is done."""
        if len(self._held.samples) or self._in_repeat or self._ongoing_any or stamp_s <= self._last_stamp_s:
            return False
        first = float(samples[0, 0])
        if first == 0.0 or (self.channelwise and not samples.all()):
            return False
        if self.packet_samples >= MIN_REPEAT:
            if first == self._firsts[0]:
                return False
            self._firsts.append(first)
        self._last_stamp_s = stamp_s
        self._past.append((samples, stamp_s))
        return True

    def _suspicious(self, rows: Rows) -> bool:
        if len(self._held.samples) or self._in_repeat or self._ongoing_any:
            return True
        stamps_s = rows.times[:, STAMP]
        if stamps_s[0] <= self._last_stamp_s or (stamps_s[1:] <= stamps_s[:-1]).any():
            return True
        if not (rows.samples if self.channelwise else rows.samples[:, 0]).all():
            return True
        if self.packet_samples < MIN_REPEAT:
            return False
        firsts = np.concatenate((self._firsts, rows.samples[:, 0]))
        return bool((firsts[: -self.packet_samples] == firsts[self.packet_samples :]).any())

    def _remember(self, rows: Rows) -> None:
        self._past.append((rows.samples[-HISTORY:], rows.times[-HISTORY:]))
        self._last_stamp_s = float(rows.times[-1, STAMP])
        self._firsts.extend(rows.samples[-self.packet_samples :, 0].tolist())

    def _history(self) -> Rows:
        """Return the last samples that were let through or left out, as one table."""
        samples: list[FloatArray] = [np.full((HISTORY, len(self.labels)), np.nan)]
        times: list[FloatArray] = [np.full((HISTORY, 4), -np.inf)]
        for part, when in self._past:
            samples.append(part)
            times.append(np.array([[when, np.nan, np.nan, np.nan]]) if isinstance(when, float) else when)
        return Rows(np.concatenate(samples)[-HISTORY:], np.concatenate(times)[-HISTORY:])

    def _screen(self, rows: Rows, final: bool) -> Rows:
        before = self._history()
        together = np.concatenate((before.samples, rows.samples))
        times = np.concatenate((before.times, rows.times))
        zero = rows.samples == 0.0
        repeated = np.zeros(len(zero), dtype=np.bool_)
        if self.packet_samples >= MIN_REPEAT:
            earlier = together[HISTORY - self.packet_samples : -self.packet_samples]
            repeated = (rows.samples == earlier).all(axis=1)
        flat = (rows.samples == together[HISTORY - 1 : -1]).all(axis=1)
        repeated, open_repeat = self._repeats(np.logical_and(repeated, ~flat), final)
        drop = repeated | self._same_stamps(rows, together, times)
        if not self.channelwise:
            zero = np.broadcast_to(np.all(zero, axis=1, keepdims=True) & (len(self.labels) > 1), zero.shape)
        lost, open_zero = self._runs_of_zeros(zero, final)
        done = min(open_repeat, open_zero)
        self._held = Rows(rows.samples[done:].copy(), rows.times[done:].copy())
        if done:
            self._past.clear()
            self._remember(Rows(together[: HISTORY + done], times[: HISTORY + done]))
        self._log_losses(lost[:done], rows.times[:done], drop[:done])
        samples = np.where(lost[:done], np.nan, rows.samples[:done])
        keep = ~drop[:done]
        return Rows(samples[keep], rows.times[:done][keep])

    def _repeats(self, repeated: NDArray[np.bool_], final: bool) -> tuple[NDArray[np.bool_], int]:
        """Keep only runs of a whole packet; return also where a run begins that is still too short."""
        out = np.zeros_like(repeated)
        open_from = len(repeated)
        for first, last in _runs(repeated):
            length = last - first + (self._in_repeat if first == 0 else 0)
            if length >= self.packet_samples:
                out[first:last] = True
            elif last == len(repeated) and not final:
                open_from = first
        return out, open_from

    def _same_stamps(self, rows: Rows, together: FloatArray, times: FloatArray) -> NDArray[np.bool_]:
        """Find samples that came before with the same count or stamp and the same values."""
        drop = np.zeros(len(rows.samples), dtype=np.bool_)
        column = STAMP if np.isnan(rows.times[:, COUNT]).all() else COUNT
        keys = times[:, column]
        for i in np.flatnonzero(keys[HISTORY:] <= keys[HISTORY - 1 : -1]):
            at = HISTORY + int(i)
            same_key = keys[i:at] == keys[at]
            same_values = (together[i:at] == together[at]).all(axis=1)
            if (same_key & ~same_values).any() and column == STAMP:
                self._stamps_differ = False  # stamped on arrival: a packet's samples share one
            alone = not (same_values & ~same_key).any()
            drop[i] = (same_key & same_values).any() and alone and (column == COUNT or self._stamps_differ)
        return drop

    def _runs_of_zeros(self, zero: NDArray[np.bool_], final: bool) -> tuple[NDArray[np.bool_], int]:
        """Mark runs as long as a packet; return also where a run begins that is still too short to tell."""
        lost = np.zeros(zero.shape, dtype=np.bool_)
        open_from = len(zero)
        for channel in np.flatnonzero(zero.any(axis=0)):
            for first, last in _runs(zero[:, channel]):
                if last - first >= self.min_zeros or (first == 0 and self._ongoing[channel]):
                    lost[first:last, channel] = True
                elif last == len(zero) and not final:
                    open_from = min(open_from, first)
        return lost, open_from

    def _log_losses(self, lost: NDArray[np.bool_], times: FloatArray, drop: NDArray[np.bool_]) -> None:
        for first, last in _runs(drop):
            self.n_repeated += last - first
            self._log(
                "repeat", float(times[first, STAMP]), last - first, "came twice; the second is left out"
            )
        self._in_repeat = self.packet_samples if len(drop) and drop[-1] else 0
        if not len(lost):
            return
        ended: dict[tuple[float, int], list[str]] = {}
        for channel in np.flatnonzero(lost.any(axis=0) | self._ongoing).tolist():
            runs = _runs(lost[:, channel])
            if self._ongoing[channel] and (not runs or runs[0][0] > 0):
                self._end(channel, ended)
            for first, last in runs:
                if not (first == 0 and self._ongoing[channel]):
                    self._run_from_s[channel] = times[first, STAMP]
                self._in_run[channel] += last - first
                if last < len(lost):
                    self._end(channel, ended)
        self._ongoing = lost[-1].copy()
        self._ongoing_any = bool(self._ongoing.any())
        self.n_zeroed += int(lost.sum())
        for (time_s, n), channels in sorted(ended.items()):
            self._log(
                "zeros", time_s, n, f"were filled with zeros in {', '.join(channels)}", channels=channels
            )

    def _end(self, channel: int, ended: dict[tuple[float, int], list[str]]) -> None:
        key = (float(self._run_from_s[channel]), int(self._in_run[channel]))
        ended.setdefault(key, []).append(self.labels[channel])
        self._in_run[channel] = 0

    def _log(self, kind: str, time_s: float, n: int, what: str, **details: object) -> None:
        self._events.append(Event(kind, time_s, f"{n} samples {what}", None, {"n_samples": n, **details}))


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first index and the one after the last of each run of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
