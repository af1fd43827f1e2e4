"""What feedback in blinks is worth: known EEG, blinks of two people added, each method learnt before it is judged.

Recordings, in ``../shared/data`` beside the checkout (skipped with a word where absent): EEGMAT subjects at rest, 19
channels, linked ears, cleaned by their providers: the truth. Blinks: PhysioNet S001 run 1 (11 blinks over the whole
head, re-referenced to T9 and T10, their first two components), and the OpenBCI GUI's sample (each eye's waveform at
the forehead, S001's map behind it); 90–225 µV at the forehead, 2 % jitter of each channel. Learn: 15 s with 40 blinks a
minute, 75 s with 15; judge: the 90 s after. Each person's matrix is made from their own baseline alone, but its bands
and load were chosen by comparing them on subjects 00–07, so none of these is new to them.

Score: theta 4–8 Hz at Fz, 0.12 s; dB in blinks and beside them against the truth; r of dB.

Peers: ARMBR 2.0.12 (PyPI; Alkhoury 2025), ASR of meegkit 0.2.0 with cutoff 20, each given the same 90 s; skipped with a
word where they are not installed. ASR is run over the whole recording at once: its states depend on chunks, and it
looks 0.25 s ahead, which is added delay in a loop.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from benchmarks.rows import row
from neurofb.acquisition.readers.open import read_recording
from neurofb.chunk import Chunk
from neurofb.dsp.artifacts import Calibration
from neurofb.features.feature_specs import Power
from neurofb.loop.participant_fit import fit
from neurofb.loop.pipeline import Pipeline
from neurofb.spatial.montage import ChannelSelection, Montage

RATE_HZ, LEARN_S, EYES_S, TEST_S = 250, 90, 15, 90
CHANNELS = ("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8",
            "O1", "O2")  # fmt: skip
OLDER = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
EIGHT = ("Fp1", "Fp2", "Fz", "Cz", "Pz", "C3", "C4", "O1")
FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
THETA = Power(name="theta", at=ChannelSelection(channels=("Fz",)), band=(4.0, 8.0))
ALPHA = Power(name="alpha", at=ChannelSelection(channels=("O1",)), band=(8.0, 12.0))


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    if not FOLDER.is_dir():
        yield row("feedback in blinks", float("nan"), "", detail="skipped: the recordings are not there")
        return
    subjects = range(5, 7) if short else range(8)
    for whose, shapes in {"S001": s001_blinks(), "OpenBCI": openbci_blinks()}.items():
        for channels in (CHANNELS, EIGHT):
            for per_minute in (15,) if short else (15, 20):
                cases = [Case(subject, shapes, channels, per_minute) for subject in subjects]
                yield from judged(f"blinks of {whose}, {len(channels)} channels, {per_minute}/min", cases)
                if per_minute == 15:
                    yield from peers(f"blinks of {whose}, {len(channels)} channels", cases)


class Case:
    """One person's EEG with blinks, and the fit to its first part."""

    def __init__(
        self, subject: int, shapes: np.ndarray, channels: tuple[str, ...], per_minute: float
    ) -> None:
        rng = np.random.default_rng(subject)
        columns = [CHANNELS.index(channel) for channel in channels]
        clean = eegmat(subject)[: (LEARN_S + TEST_S) * RATE_HZ]
        eyes = EYES_S * RATE_HZ
        first, _ = with_blinks(clean[:eyes], shapes, 40, rng)
        rest, on = with_blinks(clean[eyes:], shapes, per_minute, rng)
        self.channels, self.montage = channels, Montage(channels)
        self.clean = np.ascontiguousarray(clean[:, columns])
        self.x = np.ascontiguousarray(np.concatenate([first, rest])[:, columns])
        self.on = np.concatenate([np.zeros(eyes, bool), on])
        self.learn = LEARN_S * RATE_HZ
        baselines = {"eyes": self.x[:eyes], "rest": self.x[eyes : self.learn]}
        self.fit = fit(baselines, self.montage, RATE_HZ, self.learn, features=(THETA, ALPHA))

    def course(self, name: str) -> str:
        effects = self.fit.blinks.effects if self.fit.blinks else ()
        return next((each.course("project") for each in effects if each.feature == name), "withheld")

    def values(self, x: np.ndarray, rules: int = 3) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        pipeline = Pipeline(
            (THETA, ALPHA), self.montage, RATE_HZ, iaf_hz=10.0, calibration=self.fit.calibration,
            spectrum=self.fit.spectrum, rules=rules, blink_fit=self.fit.blinks, blinks="project",
        )  # fmt: skip
        times = np.arange(len(x)) / RATE_HZ
        values = pipeline.push(Chunk(x, 0, times, times))
        return {
            name: tuple(np.array([getattr(v, key) for v in values if v.name == name][60:])
                        for key in ("value", "index", "usable"))
            for name in ("theta", "alpha")
        }  # fmt: skip


def judged(title: str, cases: list[Case]) -> Iterator[dict[str, Any]]:
    """Give the rows of one condition."""
    usable: dict[str, list[float]] = {"before": [], "theta": [], "alpha": []}
    scores = []
    for case in cases:
        now, truth = case.values(case.x[case.learn :]), case.values(case.clean[case.learn :], rules=2)
        usable["before"].append(float(np.mean(case.values(case.x[case.learn :], rules=2)["theta"][2])))
        for name in ("theta", "alpha"):
            usable[name].append(float(np.mean(now[name][2])))
        if case.course("theta") == "projected":
            scores.append(score(case, now["theta"], truth["theta"]))
    n = f"projected in {len(scores)} of {len(cases)} people"
    for name in ("theta", "alpha"):
        detail = (
            f"by the rules before: {np.median(usable['before']):.2f}; {n if name == 'theta' else 'goes on'}"
        )
        yield row(
            f"{title}: usable {name}", float(np.median(usable[name])), "share", at_least=0.95, detail=detail
        )
    if scores:
        yield from scored(f"{title}: theta at Fz, projected", np.array(scores), n)


def score(case: Case, now: Any, truth: Any) -> tuple[float, float, float]:
    """Give dB in blinks and beside them, and r, against the truth."""
    value, index, _ = now
    expected = truth[0]
    on = case.on[case.learn :]
    late = on[np.maximum(index - round(0.15 * RATE_HZ), 0)]
    wide = np.convolve(on, np.ones(2 * RATE_HZ), "same") > 0

    def more(where: np.ndarray) -> float:
        return float(
            10 * np.log10(np.mean(10 ** (value[where] / 10)) / np.mean(10 ** (expected[where] / 10)))
        )

    return more(late), more(~wide[index]), float(np.corrcoef(value, expected)[0, 1])


def scored(title: str, scores: np.ndarray, detail: str) -> Iterator[dict[str, Any]]:
    excess, beside, r = scores.T
    spread = f"{excess.min():+.2f} to {excess.max():+.2f}; {detail}"
    yield row(f"{title}: excess in blinks", float(np.median(excess)), "dB", at_most=0.1, detail=spread)
    worst = f"worst {beside[np.abs(beside).argmax()]:+.2f}"
    yield row(f"{title}: beside blinks", float(np.median(beside)), "dB", at_least=-0.1, detail=worst)
    yield row(f"{title}: r", float(np.median(r)), "r", at_least=0.99, detail=f"least {r.min():.3f}")


def peers(title: str, cases: list[Case]) -> Iterator[dict[str, Any]]:
    """Give each peer's rows: its output goes through the same band filter and power."""
    for name, method in (("none", lambda case: case.x), ("ARMBR", armbr), ("ASR", asr)):
        try:
            cleaned = [method(case) for case in cases]
        except ImportError as error:
            yield row(f"{title}: {name}", float("nan"), "dB", detail=f"skipped: {error}")
            continue
        scores = []
        for case, x in zip(cases, cleaned, strict=True):
            now = plain(case, x[case.learn :])
            scores.append(score(case, now, plain(case, case.clean[case.learn :])))
        excess, beside, r = np.array(scores).T
        yield row(
            f"{title}: {name}, excess in blinks", float(np.median(excess)), "dB",
            detail=f"beside {np.median(beside):+.2f} dB (worst {beside[np.abs(beside).argmax()]:+.2f}), "
            f"r {np.median(r):.3f}",
        )  # fmt: skip


def plain(case: Case, x: np.ndarray) -> Any:
    pipeline = Pipeline(
        (THETA,), case.montage, RATE_HZ, iaf_hz=10.0, calibration=Calibration.assumed(x.shape[1]),
        spectrum=case.fit.spectrum,
    )  # fmt: skip
    times = np.arange(len(x)) / RATE_HZ
    values = pipeline.push(Chunk(np.ascontiguousarray(x), 0, times, times))[60:]
    return np.array([v.value for v in values]), np.array([v.index for v in values]), None


def armbr(case: Case) -> np.ndarray:
    module = importlib.import_module("ARMBR")
    x = signal.sosfilt(signal.butter(2, 1, "high", fs=RATE_HZ, output="sos"), case.x, axis=0)
    eyes = [case.channels.index("Fp1"), case.channels.index("Fp2")]
    cleaned, *_, matrix = module.run_armbr(x[: case.learn].copy(), eyes, [], RATE_HZ)
    # Rows or columns: whichever gives what it says is clean.
    wrong = [float(np.abs(x[: case.learn] @ each - cleaned).max()) for each in (matrix, matrix.T)]
    return np.asarray(case.x @ (matrix if wrong[0] <= wrong[1] else matrix.T))


def asr(case: Case) -> np.ndarray:
    module = importlib.import_module("meegkit.asr")
    x = signal.sosfilt(signal.butter(2, 0.5, "high", fs=RATE_HZ, output="sos"), case.x, axis=0)
    method = module.ASR(sfreq=RATE_HZ, cutoff=20, method="euclid")
    method.fit(x[: case.learn].T)
    return np.asarray(method.transform(x.T).T)


# -- recordings ------------------------------------------------------------------------------------------------------


def eegmat(subject: int) -> np.ndarray:
    recording = read_recording(FOLDER / f"eegmat/Subject{subject:02d}_1.edf")
    columns = [recording.labels.index(OLDER.get(channel, channel)) for channel in CHANNELS]
    return np.asarray(signal.resample_poly(recording.samples_uv[:, columns], 1, 2, axis=0))


def with_blinks(
    x: np.ndarray, shapes: np.ndarray, per_minute: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    y, on, n = x.copy(), np.zeros(len(x), bool), shapes.shape[1]
    at = int(rng.uniform(0.3, 2) * RATE_HZ)
    while at + n < len(x):
        blink = shapes[rng.integers(len(shapes))]
        forehead = np.abs(blink[:, :2].mean(axis=1))
        y[at : at + n] += blink * (
            rng.uniform(0.6, 1.5) * 150 / forehead.max() * (1 + 0.02 * rng.standard_normal(19))
        )
        peak = at + int(forehead.argmax())
        on[max(0, peak - 38) : peak + 38] = True
        at += max(n, int(60 * RATE_HZ / per_minute * rng.uniform(0.5, 1.5)))
    return y, on


def s001_blinks() -> np.ndarray:
    """Give blinks of PhysioNet S001, shape (n, samples, 19), at 250 Hz."""
    recording = read_recording(FOLDER / "physionet_eegmmidb/S001R01.edf")
    ears = recording.samples_uv[:, [recording.labels.index(each) for each in ("T9", "T10")]].mean(axis=1)
    columns = [recording.labels.index(channel) for channel in CHANNELS]
    epochs = cut(recording.samples_uv[:, columns] - ears[:, None], recording.rate_hz, 180)
    _, _, maps = np.linalg.svd(epochs.reshape(-1, 19), full_matrices=False)
    return np.asarray(signal.resample_poly(epochs @ maps[:2].T @ maps[:2], 25, 16, axis=1))


def openbci_blinks() -> np.ndarray:
    """Give blinks with each eye's waveform of the OpenBCI sample, and S001's map behind the forehead."""
    path = FOLDER / "openbci_gui_samples/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
    x = read_recording(path).samples_uv[3 * RATE_HZ : 85 * RATE_HZ]
    epochs = cut(x, RATE_HZ, 100)[:, :, :2]
    map_ = np.linalg.svd(s001_blinks().reshape(-1, 19), full_matrices=False)[2][0]
    map_ = map_ / map_[:2].mean()
    behind = np.maximum(map_ - 0.8 * map_[17:].mean(), 0)
    left = np.array([0.5 if c.endswith("z") else float(int(c[-1]) % 2) for c in CHANNELS])
    blinks = epochs[:, :, :1] * behind * left + epochs[:, :, 1:] * behind * (1 - left)
    blinks[:, :, :2] = epochs
    return np.asarray(blinks)


def cut(x: np.ndarray, rate_hz: float, least_uv: float) -> np.ndarray:
    """Give windows of 0.9 s around the peaks of the forehead, below 15 Hz, without their slope, tapered."""
    x = signal.sosfiltfilt(
        signal.butter(2, 0.3, "high", fs=rate_hz, output="sos"), x - x.mean(axis=0), axis=0
    )
    low = signal.sosfiltfilt(signal.butter(4, 8, fs=rate_hz, output="sos"), x[:, :2].mean(axis=1))
    at, _ = signal.find_peaks(low, height=least_uv, prominence=0.7 * least_uv, distance=int(0.4 * rate_hz))
    x = signal.sosfiltfilt(signal.butter(4, 15, fs=rate_hz, output="sos"), x, axis=0)
    half, n = int(0.45 * rate_hz), int(0.06 * rate_hz)
    windows = []
    for peak in at:
        if half <= peak < len(x) - half:
            window = x[peak - half : peak + half].copy()
            first, last = window[:n].mean(axis=0), window[-n:].mean(axis=0)
            window -= first + (last - first) * np.linspace(0, 1, len(window))[:, None]
            windows.append(window * signal.windows.tukey(len(window), 0.25)[:, None])
    return np.array(windows)
