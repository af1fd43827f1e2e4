"""The style of figures, and SVG for the page, which decides its colours, light or dark.

Matplotlib is given colours that stand for names; in the SVG each becomes a variable of the page's style.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: Stand-ins: no figure uses these colours for anything else.
INK, SOFT, LINE, PAPER = "#010203", "#020304", "#030405", "#040506"
#: One colour for each kind of phase; they hold on light and on dark paper, and for most colour-blind eyes.
KINDS = {
    "rest_baseline": "#0a0101",
    "iaf_baseline": "#0a0102",
    "eyes_baseline": "#0a010c",
    "training": "#0a0103",
    "heat": "#0a0104",
    "transfer": "#0a0105",
    "calibration": "#0a0106",
    "instruction": "#0a0107",
    "pause": "#0a0108",
    "rating": "#0a0109",
    "recording": "#0a010a",
}
HEAT, COOL, GOOD, BAD = KINDS["heat"], KINDS["rest_baseline"], KINDS["training"], "#0a010b"
#: Order of distinct colours where things are compared that have no kind.
SERIES = (
    KINDS["rest_baseline"],
    KINDS["heat"],
    KINDS["training"],
    KINDS["transfer"],
    KINDS["calibration"],
    KINDS["iaf_baseline"],
)
DASHES = ("solid", (0, (4, 1.6)), (0, (1.4, 1.4)), (0, (5, 1.5, 1, 1.5)))
VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    PAPER: "--paper",
    BAD: "--bad",
    **{colour: f"--{kind.replace('_', '-')}" for kind, colour in KINDS.items()},
}
WIDTH_IN = 10.4
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "neurofb",
    "font.size": 8.5,
    "font.family": "DejaVu Sans",  # wide: what fits in it fits in the page's own font
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.titlesize": 8.5,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "path.simplify": True,
}


@contextlib.contextmanager
def drawn(height_in: float, width_in: float = WIDTH_IN, *, constrained: bool = True) -> Iterator[Figure]:
    """Return an empty figure in the style of the report; ``constrained`` makes room for labels, which is slow."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained" if constrained else None)
        FigureCanvasSVG(figure)
        yield figure


def svg_of(figure: Figure, words: str) -> Markup:
    """Return a figure as SVG for the page; ``words`` say what it shows to who cannot see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)  # within HTML both are known
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"(?<=[ \d])(-?\d+\.\d{2})\d+", r"\1", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    opening = Markup('<svg style="max-width:{}px" role="img" aria-label="{}"')
    opening = opening.format(round(96 * figure.get_figwidth()), words)
    return Markup(text.replace("<svg", opening, 1).replace("\n", " "))


def colour_of(kind: str) -> str:
    """Return the colour of a kind of phase."""
    return KINDS.get(kind, KINDS["recording"])


def grid(axes: Axes, which: str = "y") -> None:
    """Rule an axis lightly."""
    axes.grid(axis=which, color=LINE, linewidth=0.5, alpha=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def minutes(axes: Axes, end_s: float) -> float:
    """Label the time axis of a session; return by what its seconds are divided."""
    if end_s > 240:
        axes.set_xlabel("min")
        return 60.0
    axes.set_xlabel("s")
    return 1.0
