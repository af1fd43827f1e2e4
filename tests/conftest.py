"""What tests share: real recordings where they are, and a look that the kernels are not stale."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_sessionstart() -> None:
    """Stop with the command to run if the kernels are older than their source."""
    from neurofb import _kernels

    wanted = bool(os.environ.get("NEUROFB_CHECKED"))
    built, source = Path(_kernels.__file__), ROOT / "src/neurofb/_kernels.pyx"
    rebuild = "python setup.py build_ext --inplace"
    if wanted != _kernels.CHECKED:
        pytest.exit(f"these kernels are {'' if _kernels.CHECKED else 'not '}checked; run: make test-checked", 2)
    if source.stat().st_mtime > built.stat().st_mtime:
        pytest.exit(f"{built.name} is older than _kernels.pyx: the tests would test the past. Run: {rebuild}", 2)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the folder of real recordings, which lies beside the repository; they are no part of it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real recordings are not there: no folder {folder}")
    return folder
