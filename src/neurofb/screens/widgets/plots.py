"""Draws the last minute of z, threshold and level, and of the temperature."""

from __future__ import annotations

import numpy as np
import pyqtgraph
from PySide6.QtCore import Qt

from neurofb.chunk import FloatArray
from neurofb.screens.theme import Theme

SPAN_S = 60.0
_DASH, _DOT = Qt.PenStyle.DashLine, Qt.PenStyle.DotLine


class HistoryPlot(pyqtgraph.PlotWidget):  # type: ignore[misc]
    """Qt view of a ``RingBuffer``: each column a curve, told apart by its line as well as by its colour.

    ``columns`` are drawn solid, dashed, dotted; ``span`` is a fixed range of values, None to follow them, but never
    closer than ``least_span``: the noise of a value that rests is not drawn as if it were a course.
    """

    def __init__(
        self,
        theme: Theme,
        columns: tuple[str, ...],
        title: str,
        span: tuple[float, float] | None = None,
        least_span: float | None = None,
    ) -> None:
        super().__init__(background=theme.panel)
        self._columns = columns
        self.setMenuEnabled(False)
        self.setMouseEnabled(x=False, y=False)
        self.hideButtons()
        self.setXRange(-SPAN_S, 0.0, padding=0.01)
        if span is not None:
            self.setYRange(*span, padding=0.02)
        if least_span is not None:
            self.getViewBox().setLimits(minYRange=least_span)
        for side in ("left", "bottom"):
            self.getAxis(side).setPen(theme.line)
            self.getAxis(side).setTextPen(theme.faint)
        self.showGrid(y=True, alpha=0.15)
        pens = ((theme.accent, Qt.PenStyle.SolidLine), (theme.tones["attention"], _DASH), (theme.ink, _DOT))
        named = list(zip(columns, ("━", "╍", "┈"), pens, strict=False))
        # In the title: a legend over the curves would hide them.
        legend = "".join(
            f" &nbsp; <span style='color:{colour}'>{line} {name.removesuffix('_c').replace('_', ' ')}</span>"
            for name, line, (colour, _) in named
        )
        self.setTitle(f"{title}{legend}", color=theme.faint, size="9pt")
        self._curves = [
            self.plot(pen=pyqtgraph.mkPen(colour, width=2, style=style)) for _, _, (colour, style) in named
        ]

    def show_history(self, history: tuple[tuple[str, ...], FloatArray, FloatArray]) -> None:
        """Draw rows against how long ago they were."""
        names, times_s, rows = history
        if not len(times_s):
            return
        ago_s = times_s - times_s[-1]
        recent = ago_s >= -SPAN_S
        for curve, name in zip(self._curves, self._columns, strict=True):
            if name in names:
                values = rows[recent, names.index(name)]
                curve.setData(ago_s[recent], values, connect="finite" if np.isnan(values).any() else "all")
