"""Colours, as data: dark and light. Nothing depends on colour alone: shapes, signs and words carry the same.

The tones follow Okabe and Ito's palette, which people of all kinds of colour vision tell apart. The background stays
the same whatever happens, so that nothing large can change its brightness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as ``#rrggbb``."""

    name: str
    sky_top: str
    sky_low: str
    hills: tuple[str, str, str]
    shape: str
    shape_core: str
    ink: str
    faint: str
    stop: str
    stop_ink: str
    ground: str
    panel: str
    line: str
    accent: str
    tones: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, str] = field(default_factory=dict)


_PHASES_DARK = {
    "instruction": "#46546b",
    "rest_baseline": "#2f6f8f",
    "iaf_baseline": "#2f6f8f",
    "eyes_baseline": "#2f6f8f",
    "calibration": "#8a6a2c",
    "training": "#2d7d6b",
    "heat": "#a5542f",
    "rating": "#6a5a8c",
    "transfer": "#4a7a4f",
    "pause": "#39414e",
}
_PHASES_LIGHT = {
    "instruction": "#c3cbd8",
    "rest_baseline": "#a5cfe3",
    "iaf_baseline": "#a5cfe3",
    "eyes_baseline": "#a5cfe3",
    "calibration": "#e8d3a0",
    "training": "#a8d9cb",
    "heat": "#efbfa6",
    "rating": "#cfc4e3",
    "transfer": "#bcdcbb",
    "pause": "#dde1e7",
}

DARK = Theme(
    name="dark",
    sky_top="#0d1524",
    sky_low="#24364f",
    hills=("#1d2c42", "#152235", "#0e1827"),
    shape="#7fa9c4",
    shape_core="#cfe0e6",
    ink="#e8eef2",
    faint="#9fb0c0",
    stop="#7a3320",
    stop_ink="#ffe9df",
    ground="#12171f",
    panel="#1a212c",
    line="#2f3a49",
    accent="#7fb6d6",
    tones={"good": "#4fc3a8", "attention": "#f0b93a", "bad": "#ff8560", "plain": "#dfe6ec"},
    phases=_PHASES_DARK,
)
LIGHT = Theme(
    name="light",
    sky_top="#dfe8ef",
    sky_low="#f3efe6",
    hills=("#c3d0d6", "#a9bcc4", "#8fa6b0"),
    shape="#4d7f9c",
    shape_core="#8fb4c8",
    ink="#16222e",
    faint="#43545f",
    stop="#a8431f",
    stop_ink="#ffffff",
    ground="#f4f6f8",
    panel="#ffffff",
    line="#ccd4dc",
    accent="#1f6f9f",
    tones={"good": "#00745a", "attention": "#8a5c00", "bad": "#b3390a", "plain": "#1c2833"},
    phases=_PHASES_LIGHT,
)


def theme(dark: bool) -> Theme:
    """Return the colours."""
    return DARK if dark else LIGHT
