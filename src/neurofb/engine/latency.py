"""How old feedback is when it goes out, of the newest few minutes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def summary_ms(ages_s: Iterable[float], filter_s: float) -> dict[str, float] | None:
    """Return median and 99th percentile of the ages in ms, and the declared delay of the filters beside them.

    None where there is no age yet.
    """
    ages = np.fromiter(ages_s, dtype=np.float64)
    ages = ages[np.isfinite(ages)]
    if not len(ages):
        return None
    median, p99 = np.percentile(ages, (50, 99)) * 1000
    return {
        "median": round(float(median), 3),
        "p99": round(float(p99), 3),
        "filter": round(1000 * filter_s, 1),
    }
