"""The audit of a blinding: all that an operator can see or list of a session as numbers, and a classifier on them.

Not among it: the EEG beside the delivered series. Whoever records both and computes the feature knows the arm; the page
on blinding says so, and why the recording has the delivered series only in its sealed half.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
from session_parts import Ran, run

from neurofb.engine.blinded_session import BlindedSession


class Wiretap:
    """Takes what a session sends over LSL."""

    uids: dict = {}  # noqa: RUF012
    is_watched = True

    def __init__(self):
        self.features_rows, self.feedback_rows, self.events, self.statuses = [], [], [], []

    def eeg(self, chunk):
        """The EEG is that of the headset, which anybody may receive."""

    def features(self, row, time_s):
        self.features_rows.append([*row, time_s])

    def feedback(self, row, time_s):
        self.feedback_rows.append([*row, time_s])

    def yield_after_send(self):
        """Nobody waits."""

    def stimulus(self, *_row):
        """Heat does not depend on the arm: the record is compared."""

    def event(self, document, time_s):
        self.events.append((document, time_s))

    def status(self, document, _time_s):
        self.statuses.append(json.loads(document))

    def close(self):
        """Nothing is open."""


def tapped(data: Path, blinded: BlindedSession, **asked) -> tuple[Ran, Wiretap, dict[str, float]]:
    """Run a session; return it, what was sent, and how long it took."""
    tap = Wiretap()

    def prepare(assembled):
        assembled.session_log._publisher = tap

    began_s, cpu_s = time.perf_counter(), time.process_time()
    ran = run(data, prepare=prepare, blinded=blinded, **asked)
    took = {"wall_s": time.perf_counter() - began_s, "cpu_s": time.process_time() - cpu_s}
    return ran, tap, took


def visible(ran: Ran, tap: Wiretap, took: dict[str, float]) -> dict[str, float]:
    """Return everything that can be seen or listed of a session, as numbers."""
    found = dict(took) | {"exit": float(ran.outcome.exit_code)}
    for path in ran.folder.iterdir():
        found[f"size {path.name}"] = float(path.stat().st_size)
    kinds = Counter(json.loads(document)["kind"] for document, _ in tap.events)
    found |= {f"events {kind}": float(n) for kind, n in kinds.items()}
    found["letters of events"] = float(sum(len(document) for document, _ in tap.events))
    found["letters of status"] = float(np.mean([len(json.dumps(each)) for each in tap.statuses]))
    feedback, features = np.array(tap.feedback_rows), np.array(tap.features_rows)
    level, reward, usable, value, threshold = feedback[:, :5].T
    there = usable == 1
    found |= _series("value", np.where(there, value, np.nan))
    found |= _series("level", level)
    found |= _series("threshold", np.where(there, threshold, np.nan))
    found["rewarded"] = float(reward[there].mean())
    found["usable"] = float(there.mean())
    found["features finite"] = float(np.isfinite(features).mean())
    summaries = [s["phase"]["summary"] for s in tap.statuses if s.get("phase") and s["phase"].get("summary")]
    found["success"] = float(np.mean([s["success"] for s in summaries if s["success"] is not None] or [0.0]))
    return found


def _series(name: str, x: np.ndarray) -> dict[str, float]:
    """Return how a series looks: its spread, memory, steps, and what it does before and after gaps."""
    there = np.isfinite(x)
    mean, sd = float(np.nanmean(x)), float(np.nanstd(x)) or 1.0
    z = (x - mean) / sd
    step = np.diff(z)
    steps = np.abs(step[np.isfinite(step)])
    found = {
        f"{name} mean": mean,
        f"{name} sd": sd,
        f"{name} skew": float(np.nanmean(z**3)),
        f"{name} tails": float(np.nanmean(z**4)),
        f"{name} step": float(steps.mean()),
        f"{name} largest step": float(steps.max()),
        f"{name} rise": float(np.nanmean(z[len(z) // 2 :]) - np.nanmean(z[: len(z) // 2])),
    }
    for lag in (1, 2, 4, 8, 16, 32, 64):
        product = z[lag:] * z[:-lag]
        found[f"{name} memory {lag}"] = float(np.nanmean(product))
    opens = np.flatnonzero(there[1:] & ~there[:-1]) + 1
    closes = np.flatnonzero(there[:-1] & ~there[1:])
    for side, at in (("after", opens), ("before", closes)):
        found[f"{name} {side} gaps"] = float(z[at].mean()) if len(at) else 0.0
        found[f"{name} far {side} gaps"] = float(np.abs(z[at]).mean()) if len(at) else 0.0
    return found


def auc(rows: list[dict[str, float]], arms: list[str], seed: int = 0) -> float:
    """Return how well a classifier tells the arms, cross-validated: .5 is chance, 1 is always."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = sorted({name for row in rows for name in row})
    x = np.nan_to_num(np.array([[row.get(name, 0.0) for name in names] for row in rows]))
    y = np.array([arm != "real" for arm in arms])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    models = (
        make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000)),
        RandomForestClassifier(100, min_samples_leaf=3, random_state=seed),
    )
    told = [cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1] for model in models]
    return float(roc_auc_score(y, sum(told)))
