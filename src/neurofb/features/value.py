"""The value of a feature: a number with its sample index, and whether it is usable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """One value of one feature.

    Attributes
    ----------
    name : str
        The feature, as the protocol names it.
    value : float
        In the feature's unit; NaN where there is none.
    index : int
        The newest sample it is made of, counted as in ``Chunk.first_index``.
    usable : bool
        Whether it may earn feedback now.
    why : str
        Why not, in words that a person at the screen understands, numbers of the moment in brackets at the end; empty
        when usable.
    delay_s : float
        How late the filters make it: declared, not measured.
    """

    name: str
    value: float
    index: int
    usable: bool
    why: str = ""
    delay_s: float = 0.0


def kind_of(why: str) -> str:
    """Return a reason without its numbers of the moment: what is counted together."""
    return why.partition(" (")[0]
