"""What the unit texts of files and streams mean, in µV."""

from __future__ import annotations

_PREFIXES_UV = {"": 1e6, "milli": 1e3, "micro": 1.0, "nano": 1e-3}
#: Both signs for micro are in use: µ (U+00B5) and μ (U+03BC). MNE's outlets give the power of ten of a volt.
_TEXTS_UV = {
    "v": 1e6,
    "mv": 1e3,
    "uv": 1.0,
    "µv": 1.0,
    "μv": 1.0,
    "mcv": 1.0,
    "nv": 1e-3,
    "0": 1e6,
    "-3": 1e3,
    "-6": 1.0,
    "-9": 1e-3,
} | {f"{prefix}{volt}": uv for prefix, uv in _PREFIXES_UV.items() for volt in ("volt", "volts")}


def unit_uv(text: str) -> float | None:
    """Return how many µV one of the unit is; None if the text is no unit of voltage.

    ``microvolts``, ``uV``, ``µV`` and ``-6`` are 1; ``volts``, ``V`` and ``0`` are 1,000,000.
    """
    plain = text.strip()
    if plain in ("MV", "NV"):  # mega is not meant, but nobody can say what is
        return None
    return _TEXTS_UV.get(plain.lower())
