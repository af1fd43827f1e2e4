"""Streams drawn at random, descriptions × restarts × formats × stamps: a value at its electrode, time, unit, or none.

Each value names its electrode and its sample: 8 × (sample modulo a number that the format can hold) + electrode.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from simulated_network import Network, Outlet, simulated_network

from neurofb.acquisition.source import AWAY, Batch
from neurofb.devices import load_profile
from neurofb.devices.columns import unit_uv
from neurofb.lsl.matching import StreamInfo
from neurofb.recording.sample_map import MappedEeg, SampleMap

PROFILE = load_profile("muse-2")
EEG = PROFILE.labels
#: Columns by their number: the four electrodes, and inputs that are none.
COLUMNS = (*EEG, "AUX", "Trigger", "Battery")
RATE_HZ, PACKET, DELAY_S, PULL_S, EPOCH_S = 256.0, 12, 0.01, 0.1, 1.5
FLOAT_UNITS, WHOLE_UNITS = ("uV", "V", "millivolts", "nV", "-6", ""), ("uV", "nV", "microvolts", "")
#: How many different samples a value can name.
MODULI = {"float32": 4000, "double64": 100_000, "int8": 15, "int16": 4000, "int32": 100_000, "int64": 100_000}
DTYPES = {name: np.dtype("f8" if name == "double64" else name) for name in MODULI}
SPELLINGS: tuple[Callable[[str], str], ...] = (str, str.lower, "EEG {}".format, " {}.".format)
#: Restarts after which the session goes on, and others.
GOES_ON = ("same", "order", "case", "unit", "order and unit", "computer")
REFUSED = ("count", "rate", "format", "label", "naming", "twice", "source_id", "no unit", "short description")
#: Restarts that are of no kind where channels have no names.
NEED_NAMES = ("order", "case", "order and unit", "label", "twice", "short description")
#: Streams to draw for each kind of restart; `make fuzz` multiplies them.
N_STREAMS = 4 * int(os.environ.get("NEUROFB_FUZZ", "1"))


class StampKind(NamedTuple):
    """How a sender stamps its samples, and how far the times of samples may be from the truth."""

    stamps_s: Callable[[np.ndarray], np.ndarray]
    tolerance_s: float


def noise(true_s: np.ndarray) -> np.ndarray:
    """Return a number from 0 to 1 for each sample that looks like chance, and is the same again."""
    return np.sin(1e4 * np.rint(true_s * RATE_HZ) ** 1.5) / 2 + 0.5


#: By arrival: a pull may come late, and after a gap nobody knows better.
BY_ARRIVAL_S = DELAY_S + 2 * PULL_S + PACKET / RATE_HZ
STAMPS = {
    "lsl": StampKind(lambda true_s: true_s, 1e-3),
    "unix": StampKind(lambda true_s: true_s + 1.7e9, BY_ARRIVAL_S),
    "ahead": StampKind(lambda true_s: true_s + 30.0, BY_ARRIVAL_S),
    "behind": StampKind(lambda true_s: true_s - 3600.0, BY_ARRIVAL_S),
    "milliseconds": StampKind(lambda true_s: 1e3 * true_s, BY_ARRIVAL_S),
    "constant": StampKind(lambda true_s: 0.0 * true_s + 77.0, BY_ARRIVAL_S),
    "zero": StampKind(lambda true_s: 0.0 * true_s, BY_ARRIVAL_S),
    "none": StampKind(lambda true_s: np.nan * true_s, BY_ARRIVAL_S),
    "some none": StampKind(lambda true_s: np.where(noise(true_s) < 0.2, np.nan, true_s), BY_ARRIVAL_S),
    "jumping": StampKind(lambda true_s: true_s + 40.0 * np.floor(true_s / 1.3), BY_ARRIVAL_S),
    "jumping by less": StampKind(lambda true_s: true_s + 0.4 * np.floor(true_s / 0.7), BY_ARRIVAL_S),
    "back by pieces": StampKind(lambda true_s: true_s - 0.5 * np.floor(true_s / 0.8), BY_ARRIVAL_S),
    "pieces that run back": StampKind(
        lambda true_s: true_s - 2.0 * np.maximum(0.0, true_s % 1.5 - 1.1), BY_ARRIVAL_S
    ),
    "back and forth": StampKind(lambda true_s: true_s + 3.0 * (true_s // 0.6 % 2), BY_ARRIVAL_S),
    "twice as fast": StampKind(lambda true_s: true_s + np.maximum(0.0, true_s % 3.0 - 2.3), BY_ARRIVAL_S),
    "standing still": StampKind(lambda true_s: true_s - np.maximum(0.0, true_s % 2.0 - 1.4), BY_ARRIVAL_S),
    "local or unix": StampKind(lambda true_s: true_s + 1.7e9 * (true_s // 0.9 % 2), BY_ARRIVAL_S),
    "local or unix, mixed": StampKind(lambda true_s: true_s + 1.7e9 * (noise(true_s) < 0.5), BY_ARRIVAL_S),
    "seconds or milliseconds": StampKind(
        lambda true_s: true_s * np.where(true_s % 4.0 < 2.0, 1.0, 1e3), BY_ARRIVAL_S
    ),
    "one a packet": StampKind(lambda true_s: 0.0 * true_s + true_s[-1], BY_ARRIVAL_S),
    "the first of a packet": StampKind(lambda true_s: 0.0 * true_s + true_s[0], BY_ARRIVAL_S),
    "reversed in a packet": StampKind(lambda true_s: true_s[::-1], BY_ARRIVAL_S),
    "late by up to 50 ms": StampKind(lambda true_s: true_s + 0.05 * noise(true_s), BY_ARRIVAL_S),
    "off by up to 50 ms": StampKind(lambda true_s: true_s + 0.1 * (noise(true_s) - 0.5), BY_ARRIVAL_S),
    "packets off by 50 ms": StampKind(lambda true_s: true_s + 0.1 * (noise(true_s[:1]) - 0.5), BY_ARRIVAL_S),
    "fast by 200 ppm": StampKind(lambda true_s: true_s * (1.0 + 2e-4), BY_ARRIVAL_S),
    "whole seconds": StampKind(np.floor, BY_ARRIVAL_S),
    "tenths": StampKind(lambda true_s: np.floor(10.0 * true_s) / 10.0, BY_ARRIVAL_S),
    "a glitch now and then": StampKind(lambda true_s: true_s + 1e6 * (noise(true_s) < 0.01), BY_ARRIVAL_S),
    "no order": StampKind(lambda true_s: true_s + 20.0 * noise(true_s), BY_ARRIVAL_S),
}


@dataclass(frozen=True)
class Bad:
    """A value that was not measured."""

    column: int
    sample: int
    value: float


@dataclass(frozen=True)
class Drawn:
    """A stream with all that happens to it."""

    info: StreamInfo
    #: Which of ``COLUMNS`` each channel is.
    columns: tuple[int, ...]
    restarts: tuple[tuple[str, bool, int], ...]
    bad: tuple[Bad, ...]
    stamps: str


@st.composite
def drawn_streams(draw: st.DrawFn, kind: str) -> Drawn:
    """Draw a stream that fits the profile, its restarts, of which the first is of a kind, and its bad values."""
    value_format = draw(st.sampled_from(("float32", "float32", "double64", *sorted(MODULI))))
    is_float = value_format in ("float32", "double64")
    is_named = kind in NEED_NAMES or draw(st.booleans())
    columns = (0, 1, 2, 3, 4)
    if is_named:
        columns = tuple(draw(st.permutations((0, 1, 2, 3, *draw(st.sets(st.integers(4, 6)))))))
    spell = draw(st.sampled_from(SPELLINGS))
    labels = tuple(spell(COLUMNS[i]) if i < 4 else COLUMNS[i] for i in columns) if is_named else ()
    unit = draw(st.sampled_from(FLOAT_UNITS if is_float else WHOLE_UNITS))
    info = StreamInfo(
        name="Muse",
        type="EEG",
        source_id="Muse_00:55",
        uid="u0",
        hostname="lab",
        n_channels=len(columns),
        rate_hz=RATE_HZ,
        value_format=value_format,
        labels=labels,
        units=(unit,) * len(columns) if unit else (),
    )
    restart = st.tuples(st.sampled_from(GOES_ON + REFUSED), st.booleans(), st.integers(0, 1_000_000))
    restarts = [draw(restart.map(lambda each: (kind, *each[1:]))), *draw(st.lists(restart, max_size=2))]
    dtype = DTYPES[value_format]
    limits: Any = np.finfo(dtype) if is_float else np.iinfo(dtype)
    values = [limits.min, limits.max, *((np.inf, -np.inf, np.nan) if is_float else ())]
    bad = draw(
        st.lists(
            st.builds(
                Bad, st.integers(0, 6), st.integers(0, round(2 * EPOCH_S * RATE_HZ)), st.sampled_from(values)
            ),
            max_size=5,
        )
    )
    return Drawn(info, columns, tuple(restarts), tuple(bad), draw(st.sampled_from(sorted(STAMPS))))


def restarted(
    first: StreamInfo, columns: tuple[int, ...], kind: str, seed: int
) -> tuple[StreamInfo, tuple[int, ...], bool]:
    """Return the description of a stream made anew, which column each channel is, and whether it may be read."""
    random, n = np.random.default_rng(seed), len(columns)
    is_float, labels = first.value_format in ("float32", "double64"), first.labels
    changes: dict[str, Any] = {}
    goes_on = kind in GOES_ON
    if "order" in kind and labels:
        order = random.permutation(n).tolist()
        columns, labels = tuple(columns[i] for i in order), tuple(labels[i] for i in order)
    if "unit" in kind and kind != "no unit":
        before = first.units[0] if first.units else ""
        units = [each for each in (FLOAT_UNITS if is_float else WHOLE_UNITS) if each not in ("", before)]
        changes["units"] = (units[seed % len(units)],) * n
        if not is_float:  # a whole number of another unit is none
            known = unit_uv(first.units[0]) if first.units else PROFILE.unit_uv
            goes_on = unit_uv(changes["units"][0]) == known
        if not first.units and len(columns) > 4:
            goes_on = False  # a unit of a trigger cannot be compared with none
    if kind == "case":
        labels = tuple(label.upper() for label in labels)
    if kind == "computer":
        changes["hostname"] = "other"
    if kind == "count":
        changes |= {"n_channels": n + 1, "units": (*first.units, "uV") if first.units else ()}
        columns, labels = (*columns, 6), (*labels, "More") if labels else ()
    if kind == "rate":
        changes["rate_hz"] = RATE_HZ / 2
    if kind == "format":
        changes["value_format"] = "int32" if is_float else "float32"
    if kind == "label":
        goes_on, labels = not labels, ("Fz", *labels[1:]) if labels else ()
    if kind == "naming":
        labels = () if labels else tuple(COLUMNS[i] for i in columns)
    if kind == "twice":
        goes_on, labels = not labels, (*labels[:-1], labels[0]) if labels else ()
    if kind == "source_id":
        changes["source_id"] = "Muse_00:66"
    if kind == "no unit":
        goes_on, changes["units"] = not first.units, ()
    if kind == "short description":
        goes_on, labels = not labels, labels[:-1]
    return replace(first, labels=labels, **changes), columns, goes_on


class Received:
    """What came of a stream, and its record."""

    def __init__(self, network: Network) -> None:
        self.network, self.batches = network, list[Batch]()
        self.sample_map = SampleMap(len(EEG))

    def pull_until(self, end_s: float) -> None:
        """Pull until a time, and then all that waits."""
        while self.network.clock.now_s() < end_s:
            self.network.clock.advance(PULL_S)
            self.append(self.network.pull())

    def append(self, batch: Batch) -> None:
        """Keep a batch as a session does."""
        self.batches.append(batch)
        for block in batch.raw:
            self.sample_map.add_received(block.stamps_s)
        self.sample_map.add_chunk(batch.chunk)

    def n_received(self) -> int:
        """Return how many samples were received so far."""
        return sum(len(block.stamps_s) for batch in self.batches for block in batch.raw)


class Sender:
    """Sends the samples of a headset that was switched on at a time, each with its name."""

    def __init__(self, drawn: Drawn, on_s: float) -> None:
        self.drawn, self.on_s = drawn, on_s
        self.modulus = MODULI[drawn.info.value_format]
        #: µV of a step of one: where numbers are whole, one of the first unit.
        unit = drawn.info.units[0] if drawn.info.units else PROFILE.unit
        self.step_uv = 1.0 if drawn.info.value_format in ("float32", "double64") else unit_uv(unit) or 1.0

    def fill(self, outlet: Outlet, columns: tuple[int, ...], from_s: float) -> int:
        """Let an outlet send for an epoch; return how many samples."""
        info, dtype = outlet.info, DTYPES[outlet.info.value_format]
        first = int(np.ceil((from_s - self.on_s) * RATE_HZ))
        units = info.units or self.drawn.info.units or (PROFILE.unit,) * len(columns)
        scale_uv = np.array([unit_uv(units[0]) or 1.0 for _ in columns])
        n = round(EPOCH_S * RATE_HZ / PACKET) * PACKET
        for at in range(first, first + n, PACKET):
            samples = at + np.arange(PACKET)
            code = 8 * (samples % self.modulus)[:, None] + np.array(columns) + 1
            exact = code * self.step_uv / scale_uv
            values = (exact if dtype.kind == "f" else np.rint(exact)).astype(dtype)
            for bad in self.drawn.bad:
                if (
                    at <= bad.sample < at + PACKET
                    and bad.column in columns
                    and info.value_format == self.drawn.info.value_format
                ):
                    values[bad.sample - at, columns.index(bad.column)] = bad.value
            true_s = self.on_s + samples / RATE_HZ
            stamps_s = STAMPS[self.drawn.stamps].stamps_s(true_s)
            outlet.sent.append((float(true_s[-1]) + DELAY_S, values, stamps_s))
        return n


def assert_right(received: Received, sender: Sender) -> None:
    """Hold every value against its electrode, its sample and the record."""
    drawn, chunks = sender.drawn, [batch.chunk for batch in received.batches]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    times_s = np.concatenate([chunk.times_s for chunk in chunks])
    came = ~np.isnan(np.concatenate([chunk.received_s for chunk in chunks]))
    assert [chunk.first_index for chunk in chunks] == np.cumsum([0, *map(len, chunks)])[:-1].tolist()
    assert np.isnan(samples[~came]).all()
    at = np.flatnonzero(came)
    codes = samples[at] / sender.step_uv - 1.0
    numbers, electrodes = np.divmod(np.rint(codes), 8)
    there = ~np.isnan(codes)
    assert (np.abs(codes - np.rint(codes))[there] < 0.05).all(), "a value in another unit"
    assert (electrodes == np.arange(4))[there].all(), "a value at a wrong electrode"
    # Each sample's number by its time, up to the tolerance, and by its value, up to whole turns.
    by_time = np.rint((times_s[at] - sender.on_s) * RATE_HZ)
    off = (numbers - by_time[:, None] + sender.modulus / 2) % sender.modulus - sender.modulus / 2
    most = np.ceil(STAMPS[drawn.stamps].tolerance_s * RATE_HZ)
    if most < sender.modulus / 2:
        assert (np.abs(off)[there] <= most).all(), "a value at a wrong time"
    exact = by_time + np.nan_to_num(np.nanmax(np.where(there, off, -np.inf), axis=1), neginf=0.0)
    expected_nan = {(bad.sample, bad.column) for bad in drawn.bad if bad.column < 4}
    missing = {(int(exact[row]), int(column)) for row, column in np.argwhere(~there)}
    if there.any(axis=1).all() and drawn.stamps == "lsl":
        assert missing == {each for each in expected_nan if each[0] in set(exact.astype(int))}
    steps = np.diff(numbers, axis=0) % sender.modulus
    together = (np.diff(at) == 1)[:, None] & there[1:] & there[:-1]
    assert (steps[together] == 1).all(), "samples at another rate than they were taken"
    assert_record_is_the_same(received, samples)


class _Recorded:
    """The stream of a recording that holds what was received."""

    def __init__(self, batches: list[Batch]) -> None:
        blocks = [block for batch in batches for block in batch.raw]
        self.all = np.concatenate([block.values for block in blocks])
        self.all_s = np.concatenate([block.stamps_s for block in blocks])
        self.n_samples, self.footer, self.holes = len(self.all), None, list[int]()
        assert len({block.values.dtype for block in blocks}) == 1

    def values(self, start: int, stop: int) -> np.ndarray:
        """Return received samples."""
        return self.all[start:stop]

    def stamps_s(self, start: int, stop: int) -> np.ndarray:
        """Return their stamps."""
        return self.all_s[start:stop]


def assert_record_is_the_same(received: Received, samples: np.ndarray) -> None:
    """Hold what is read back from the record against what the session ran on, to the last bit."""
    rows, stamps_s = received.sample_map.pop_rows()
    eeg = received.network.connection.eeg
    mapped = MappedEeg(_Recorded(received.batches), eeg, RATE_HZ, rows, stamps_s)  # type: ignore[arg-type]
    np.testing.assert_array_equal(mapped.eeg(0, len(samples)), samples)
    assert mapped.problems == []


# What is drawn is small: shrinking it takes minutes and makes it no clearer.
@pytest.mark.parametrize("kind", GOES_ON + REFUSED)
@settings(max_examples=N_STREAMS, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(data=st.data())
def test_no_value_stands_at_a_wrong_electrode_time_unit_or_rate(kind: str, data: st.DataObject) -> None:
    drawn = data.draw(drawn_streams(kind))
    with simulated_network() as network:
        clock = network.clock
        sender = Sender(drawn, clock.now_s())
        outlet = Outlet(drawn.info)
        network.outlets = [outlet]
        n_sent = sender.fill(outlet, drawn.columns, clock.now_s())
        network.connect(PROFILE)
        received = Received(network)
        received.pull_until(clock.now_s() + EPOCH_S + 0.2)
        assert received.n_received() == n_sent
        for number, (kind, is_gone, seed) in enumerate(drawn.restarts, 1):
            info, columns, goes_on = restarted(drawn.info, drawn.columns, kind, seed)
            outlet.gone = is_gone  # else its program hangs: it is there and silent
            received.pull_until(clock.now_s() + 2.2)
            assert network.connection.state in AWAY
            outlet.gone = True
            outlet = Outlet(replace(info, uid=f"u{number}"))
            network.outlets.append(outlet)
            before, n_batches = received.n_received(), len(received.batches)
            n_sent = sender.fill(outlet, columns, clock.now_s() + 0.3)
            received.pull_until(clock.now_s() + EPOCH_S + 0.6)
            kinds = {event.kind for batch in received.batches[n_batches:] for event in batch.events}
            if goes_on:
                assert received.n_received() == before + n_sent
                assert "reopened" in kinds
                assert ("reordered" in kinds) == (columns != drawn.columns)
                assert not kinds & {"changed", "other_source"}
            else:
                assert received.n_received() == before
                assert ("other_source" if kind == "source_id" else "changed") in kinds
                assert network.connection.state == ("lost" if kind == "source_id" else "changed")
        received.append(network.connection.flush())
        assert_right(received, sender)
