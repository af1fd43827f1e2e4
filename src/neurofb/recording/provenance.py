"""Versions, processor and hashes that a session was run with, for re-running it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

import neurofb
from neurofb import _kernels

#: What stands in a shared copy for what names a computer.
NOT_SHARED = "not shared"
PACKAGES = ("numpy", "scipy", "pylsl", "mne", "pydantic")


def build_hash() -> str:
    """Return the hash of the compiled kernels: the same hash promises the same bits on the same processor."""
    return hashlib.sha256(Path(_kernels.__file__).read_bytes()).hexdigest()


def provenance() -> dict[str, Any]:
    """Return what a session was run with, as JSON can hold it."""
    return {
        "neurofb": neurofb.__version__,
        "kernels_sha256": build_hash(),
        "compiler_flags": _kernels.FLAGS,
        "instruction_sets": _kernels.INSTRUCTION_SETS,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "processor": _processor(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text, as it is deposited before a study."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
