"""Places of electrodes: on the sphere of the 10-20 system, and on the drawing of the head computed from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurofb.devices.electrodes import OLD_POSITIONS, ROWS, is_position, position, positions, top_view
from neurofb.errors import UnknownName

# -- on the sphere ---


@pytest.mark.parametrize(
    ("name", "polar_deg", "front_deg"),
    # The BESA angles that EEGLAB's tables give, as polar angle from Cz and azimuth from the front.
    [("Fpz", 92, 0), ("Fz", 46, 0), ("C3", 46, 90), ("T7", 92, 90), ("F7", 92, 54), ("F3", 60, 39), ("P3", 60, 141),
     ("O1", 92, 162), ("Oz", 92, 180), ("Fp1", 92, 18), ("AF7", 92, 36), ("TP9", 115, 108)],
)  # fmt: skip
def test_positions_are_those_of_the_10_20_sphere(name: str, polar_deg: float, front_deg: float) -> None:
    left, front, up = position(name)
    assert np.rad2deg(np.arccos(up)) == pytest.approx(polar_deg, abs=1.5)
    if polar_deg:
        assert np.rad2deg(np.arctan2(left, front)) == pytest.approx(front_deg, abs=1.5)


def test_position_mirrors_left_and_right_and_knows_old_names() -> None:
    for left, right in [("F3", "F4"), ("AFF5h", "AFF6h"), ("TP9", "TP10"), ("O1", "O2"), ("CCP1h", "CCP2h")]:
        np.testing.assert_allclose(position(left) * (-1, 1, 1), position(right))
    np.testing.assert_array_equal(positions(["T3", "T4", "T5", "T6"]), positions(["T7", "T8", "P7", "P8"]))
    assert position("fz") == pytest.approx(position("FZ"))


@pytest.mark.parametrize(
    ("name", "polar_deg", "front_deg"),
    [("I1", 115, 162), ("I1h", 115, 171), ("OI1", 103.5, 162), ("OI1h", 103.5, 171), ("N1", 115, 18)],
)
def test_position_below_the_ring_is_beside_midline(name: str, polar_deg: float, front_deg: float) -> None:
    """I1 lay on Oz, OI1 beside it."""
    left, front, up = position(name)
    assert np.rad2deg(np.arccos(up)) == pytest.approx(polar_deg)
    assert np.rad2deg(np.arctan2(left, front)) == pytest.approx(front_deg)


def test_position_moves_outwards_with_column() -> None:
    row = positions(["Cz", "C1h", "C1", "C3h", "C3", "C5h", "C5", "C7h", "T7", "T9h", "T9"])
    angles = np.rad2deg(np.arccos(row[:, 2]))
    np.testing.assert_allclose(np.diff(angles), 11.5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(row, axis=1), 1.0)


@pytest.mark.parametrize("name", ["Q3", "", "F", "Right AUX", "3"])
def test_position_refuses_other_names(name: str) -> None:
    with pytest.raises(UnknownName, match="no 10-05 position"):
        position(name)


def test_position_knows_every_channel_of_bundled_profiles() -> None:
    from neurofb.devices import load_profile, profile_names

    for name in profile_names():
        profile = load_profile(name)
        places = positions([profile.position(label) for label in profile.labels])
        assert places.shape == (profile.n_channels, 3)


# -- on the drawing ---


def test_top_view_of_known_places() -> None:
    assert top_view("Cz") == (0.0, 0.0)
    assert top_view("Fz") == (0.0, 0.4)
    assert top_view("Oz") == (0.0, -0.8)
    assert top_view("T7") == pytest.approx((-0.8, 0.0))
    assert top_view("T8") == pytest.approx((0.8, 0.0))
    assert math.hypot(*top_view("Fp1")) == pytest.approx(0.8)
    assert math.hypot(*top_view("TP9")) == pytest.approx(1.0)
    assert top_view("C3")[0] == pytest.approx(-0.4)
    left, right = top_view("PO3"), top_view("PO4")
    assert left == (-right[0], right[1])
    assert top_view("EEG T3-REF") == top_view("T7")
    assert top_view("A1") == pytest.approx((-1.0636, -0.1875), abs=1e-4)
    assert top_view("what") is None


def test_top_view_of_every_10_05_name_is_within_head() -> None:
    names = [f"{row}{c}" for row in ROWS for c in ("z", *range(1, 11), "5h", "6h")]
    for name in filter(is_position, names):
        assert math.hypot(*top_view(name)) <= 1.0 + 1e-6, name


@pytest.mark.parametrize("row", sorted(set(ROWS) - {"N", "Fp", "O", "OI", "I"}))
def test_top_view_rows_are_near_parabolas(row: str) -> None:
    """As the drawing had them before it was computed from the sphere: within 1.2 % of the head's radius."""
    middle, degrees = ROWS[row] / 5, math.radians(18.0 * (5.0 - ROWS[row]))
    ring_x, ring_y = 0.8 * math.sin(degrees), 0.8 * math.cos(degrees)
    for number in range(1, 11):
        name, share, side = f"{row}{number}", (number + 1) // 2 / 4, -1 if number % 2 else 1
        y = ring_y * share if share > 1 else middle + (ring_y - middle) * share**2
        if name not in OLD_POSITIONS:
            assert math.dist(top_view(name), (side * ring_x * share, y)) < 0.012, name
