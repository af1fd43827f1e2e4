"""Places of the electrodes of a montage on a drawing of the head seen from above."""

from __future__ import annotations

from collections.abc import Sequence

from neurofb.devices.electrodes import top_view


def places_2d(labels: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the place of each channel; those whose name is no place stand in a row below the head."""
    places = {label: top_view(label) for label in labels}
    elsewhere = [label for label, place in places.items() if place is None]
    for i, label in enumerate(elsewhere):
        share = (i + 0.5) / len(elsewhere)
        places[label] = (2.0 * share - 1.0, -1.3)
    return {label: place for label, place in places.items() if place is not None}
