"""Make the table of `neurofb.dsp.null_level_table`: levels of unrelated noise at few independent samples.

Run ``python -m benchmarks.null_levels`` and put what it prints into the module. Formulas are the textbook's, written
here apart from the kernels; samples are complex Gaussian; nothing of any recording is in it.
"""

from __future__ import annotations

import numpy as np

from neurofb.dsp.null_level_table import QUANTILES, SAMPLES

N_DRAWS, SEED = 100_000, 17


def levels(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the level of each measure at each quantile, for windows of n independent samples."""
    parts = rng.standard_normal((2, 2, N_DRAWS, n))
    x, y = parts[:, 0] + 1j * parts[:, 1]
    cross = x * y.conj()
    v = cross.imag
    unit = (cross / np.abs(cross)).mean(axis=1)
    squares, total = (v**2).sum(axis=1), np.abs(v).sum(axis=1)
    with np.errstate(invalid="ignore"):
        measures = {
            "plv": np.abs(unit),
            "ciplv": np.abs(unit.imag) / np.sqrt(1 - unit.real**2),
            "debiased_wpli2": (v.sum(axis=1) ** 2 - squares) / (total**2 - squares),
            "aec_orth": (_orthogonalised(x, y) + _orthogonalised(y, x)) / 2,
        }
    return {name: np.quantile(values, QUANTILES) for name, values in measures.items()}


def _orthogonalised(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlation of |x| with the part of y that is orthogonal to x, over each row."""
    a, o = np.abs(x), np.abs((x * y.conj()).imag) / np.abs(x)
    a, o = a - a.mean(axis=1, keepdims=True), o - o.mean(axis=1, keepdims=True)
    return (a * o).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (o**2).sum(axis=1))


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(SEED)
    made = [levels(n, rng) for n in SAMPLES]
    for name in made[0]:
        print(f'    "{name}": (')
        for row in made:
            print(f"        ({', '.join(f'{value:.4f}' for value in row[name])}),")
        print("    ),")


if __name__ == "__main__":
    main()
