"""Protocol files by name or path, as text."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from neurofb.blinding.donors import DonorPool, parsed_pool
from neurofb.config import TomlFiles

_PROTOCOLS = TomlFiles("protocol", "protocol", "neurofb.protocols", "./my-study.toml")


def protocol_names() -> list[str]:
    """Return the names of all protocols that come with neurofb, sorted."""
    return _PROTOCOLS.names()


def protocol_text(name_or_path: str | Path) -> tuple[str, str]:
    """Return the text of a protocol file, and how messages call it."""
    return _PROTOCOLS.read(name_or_path)


def bundled_pool(name: str) -> DonorPool:
    """Return the pool of simulated donors that comes with a protocol."""
    return parsed_pool((files("neurofb.protocols") / f"{name}.donors.npz").read_bytes())
