"""Names of sites as places on the outline of a body; a name that does not say it is not guessed at."""

import pytest

from neurofb.protocol.bundled import protocol_names
from neurofb.protocol.design import load_protocol
from neurofb.views.body import place_on_body


@pytest.mark.parametrize(
    "site, part, side, is_behind",
    [
        ("left forearm", "forearm", "left", False),
        ("Left  Forearm, MIDDLE", "forearm", "left", False),
        ("left volar forearm 2", "forearm", "left", False),
        ("right forearm, near the wrist", "forearm", "right", False),
        ("right calf, upper", "calf", "right", True),
        ("back of the left hand", "hand", "left", True),
        ("right palm", "hand", "right", False),
        ("left upper arm", "upper arm", "left", False),
        ("left lower leg", "shin", "left", False),
        ("lower back", "back", "middle", True),
        ("linker Unterarm, nahe am Handgelenk", "forearm", "left", False),
        ("rechte Wade, oben", "calf", "right", True),
        ("linker Handrücken", "hand", "left", True),
    ],
)
def test_site_is_found_on_the_body(site, part, side, is_behind):
    place = place_on_body(site)
    assert (place.part, place.side, place.is_behind) == (part, side, is_behind)


@pytest.mark.parametrize(
    "site", ["forearm", "left", "P-spot 3", "left and right forearm", "left forearm or left hand", "arm", ""]
)
def test_unclear_name_is_not_guessed_at(site):
    assert place_on_body(site) is None


@pytest.mark.parametrize("name", protocol_names())
def test_every_site_of_a_bundled_protocol_is_drawn(name):
    heat = load_protocol(name).heat
    places = [place_on_body(site) for site in (heat.sites if heat else ())]
    assert None not in places
    assert len(set(places)) == len(places)  # no two look the same


def test_left_of_the_participant_is_right_on_the_drawing_from_the_front_only():
    assert place_on_body("left forearm").ends[0][0] > 0
    assert place_on_body("right forearm").ends[0][0] < 0
    assert place_on_body("left calf").ends[0][0] < 0
    assert place_on_body("right calf").ends[0][0] > 0


def test_upper_and_lower_are_where_they_are_called():
    upper, middle, lower = (
        place_on_body(f"left forearm, {where}").along
        for where in ("near the elbow", "middle", "near the wrist")
    )
    assert upper[1] < middle[0]
    assert middle[1] < lower[0]
    assert place_on_body("left forearm 2").along == (0.0, 1.0)  # a number says no place along it
