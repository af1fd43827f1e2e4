"""Device profiles: each bundled one is right; each mistake in a file is named with its line and its cure."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from neurofb import devices
from neurofb.devices import DeviceProfile, load_profile, profile_names
from neurofb.devices.electrodes import is_position
from neurofb.errors import NeurofbError, UnknownDevice, UnknownName, WrongProfile

GOOD = """\
name = "two-ears"
title = "Two ears"
manufacturer = "nobody"
labels = ["L", "R", "Cz"]
montage = "fixed"
rate_hz = 250.0
allowed_rates_hz = [250.0, 500.0]
unit = "microvolts"
resolution_uv = 0.1
rails_uv = [-1000.0, 1000.0]
dc_level_uv = 0.0
reference = "Fpz"
ground = "AFz"
[positions]
L = "TP9"
R = "TP10"
[regions]
ears = ["L", "R"]
middle = ["Cz"]
[[other_streams]]
type = "ACC"
labels = ["X", "Y", "Z"]
rate_hz = 52.0
unit = "g"
source = "assumed: a test"
[[programs]]
program = "first"
names = ["Ears-*"]
has_labels = true
has_unit = false
columns_before = ["Counter"]
columns_optional = ["Trigger"]
clock = "lsl"
source = "a manual"
[[programs]]
program = "second"
names = ["Ears"]
has_labels = false
has_unit = false
labels = ["EEG_L", "EEG_R", "EEG_Cz"]
clock = "unix"
source = "a manual"
[packets]
samples = 12
lost = "zeros"
source = "a manual"
[quality]
flat_uv = 0.5
noisy_uv = 100.0
max_dc_uv = 500.0
line_uv = 20.0
source = "assumed: a test"
[sources]
labels = "a manual"
rate_hz = "a manual"
unit = "a manual"
resolution_uv = "a manual; assumed: the last digit"
rails_uv = "a manual"
dc_level_uv = "a manual"
reference = "a manual"
ground = "assumed: a guess"
"""

REGIONS = {
    f"{group}{side}"
    for group in (
        "frontal",
        "frontocentral",
        "sensorimotor",
        "temporal",
        "parietal",
        "occipital",
        "posterior",
    )
    for side in ("", "_left", "_midline", "_right")
}


def own_profile(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """Write the good profile with some of its text replaced."""
    text = GOOD
    for old, new in changes:
        assert old in text, f"the test itself is wrong: {old!r} is not in the profile"
        text = text.replace(old, new, 1)
    path = tmp_path / "ears.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path: Path, *changes: tuple[str, str]) -> str:
    with pytest.raises(WrongProfile) as caught:
        load_profile(own_profile(tmp_path, *changes))
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_profile_names_lists_seventeen() -> None:
    wanted = """actichamp-32 actichamp-64 brainbit dsi-24 emotiv-epoc-x emotiv-insight generic-10-20 muse-2
    muse-2016 muse-s muse-s-athena neurosity-crown openbci-cyton openbci-cyton-daisy openbci-ganglion
    simulated unicorn-hybrid-black"""
    assert profile_names() == wanted.split()


@pytest.mark.parametrize("name", profile_names())
def test_bundled_profile_is_consistent(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.rate_hz in profile.rates_hz
    assert set(profile.regions) <= REGIONS, "a protocol asks for the same region on every device"
    for region in profile.regions:
        assert profile.region_indices(region)
    for side, wrong in (("left", "02468"), ("right", "13579")):
        for region, channels in profile.regions.items():
            if region.endswith(side):
                assert not [each for each in channels if profile.position(each)[-1] in wrong + "z"]
    if profile.resolution_uv is not None and profile.rails_uv is not None:
        low_uv, high_uv = profile.rails_uv
        bits = math.log2((high_uv - low_uv) / profile.resolution_uv)
        assert 11.9 < bits < 24.1, f"{bits:.1f} bit is no converter: rails or resolution are wrong"
    assert profile.quality.max_dc_uv is None, "a level decides nothing"


@pytest.mark.parametrize(
    ("name", "rate_hz", "resolution_uv", "rails_uv", "columns"),
    [
        ("muse-2", 256, 2000 / 4096, (-1000, 2047 * 2000 / 4096), 5),
        ("muse-s-athena", 256, 1450 / 16383, (0, 1450), 4),
        ("openbci-cyton", 250, 4.5e6 / (2**23 - 1) / 24, (-187500, 187500), 8),
        ("openbci-cyton-daisy", 125, 4.5e6 / (2**23 - 1) / 24, (-187500, 187500), 16),
        ("openbci-ganglion", 200, 1.2e6 / (8388607 * 1.5 * 51), (-15686, 15686), 4),
        ("emotiv-epoc-x", 128, 0.51, (0, 8400), 19),
        ("unicorn-hybrid-black", 250, 4500000 / 50331642, (-750000, 750000), 17),
    ],
)
def test_bundled_facts_equal_their_arithmetic(
    name: str, rate_hz: float, resolution_uv: float, rails_uv: tuple[float, float], columns: int
) -> None:
    profile = load_profile(name)
    assert profile.rate_hz == rate_hz
    assert profile.resolution_uv == pytest.approx(resolution_uv, rel=1e-3)
    assert profile.rails_uv == pytest.approx(rails_uv, rel=1e-4)
    assert columns in profile.programs[0].column_counts(profile.n_channels)


def test_program_without_known_stream_is_recognised_by_nothing() -> None:
    for name in ("neurosity-crown", "brainbit"):
        for program in load_profile(name).programs:
            assert not program.names
            assert not program.source_ids


def test_positions_are_those_of_the_10_05_system() -> None:
    mne = pytest.importorskip("mne")
    known = set(mne.channels.make_standard_montage("colin27_1005").ch_names)
    assert {name for name in known if not is_position(name)} == {"T3", "T4", "T5", "T6"}
    for name in profile_names():
        profile = load_profile(name)
        assert {profile.position(label) for label in profile.labels} <= known
    assert not any(map(is_position, ["", "EEG1", "FZ", "Fp", "Q7", "Cz2", "F11", "AF 7"]))


def test_load_profile_reads_own_file_by_path(tmp_path: Path) -> None:
    path = own_profile(tmp_path)
    profile = load_profile(path)
    assert profile == load_profile(str(path))
    assert (profile.n_channels, profile.rates_hz, profile.unit_uv) == (3, (250.0, 500.0), 1.0)
    assert profile.region_indices("ears") == (0, 1)
    assert (profile.position("R"), profile.position("Cz")) == ("TP10", "Cz")
    assert profile.assumed == ("resolution_uv", "ground", "quality", "other_streams ACC")
    first, second = profile.programs
    assert list(first.column_counts(3)) == [4, 5]
    assert first.fits_name("Ears-7")
    assert not second.fits_name("Ears-7")
    with pytest.raises(ValueError, match="frozen"):
        profile.rate_hz = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("name", ["Muse 2", "MUSE_2", " muse-2 "])
def test_load_profile_accepts_name_spellings(name: str) -> None:
    assert load_profile(name).name == "muse-2"


def test_load_profile_unknown_name_lists_available() -> None:
    with pytest.raises(
        UnknownDevice, match=r"no device profile 'muse2'; did you mean 'muse-2'\? there are:"
    ) as e:
        load_profile("muse2")
    assert e.value.exit_code == 3
    assert all(name in str(e.value) for name in profile_names())
    assert "given by its path" in str(e.value)


def test_load_profile_unknown_file_lists_neighbours(tmp_path: Path) -> None:
    own_profile(tmp_path)
    with pytest.raises(UnknownDevice, match=r"no profile file .*eras\.toml; .*did you mean 'ears\.toml'\?"):
        load_profile(tmp_path / "eras.toml")


def test_profile_unknown_channel_and_region_list_available() -> None:
    profile = load_profile("muse-2")
    with pytest.raises(UnknownName, match=r"Muse 2 has no channel 'AF9'; did you mean"):
        profile.index("AF9")
    with pytest.raises(UnknownName, match=r"Muse 2 has no channel 'Cz'; there are: AF7, AF8, TP10, TP9"):
        profile.position("Cz")
    with pytest.raises(
        UnknownName, match=r"no region 'frontal_midline'; did you mean 'frontal.*there are: frontal,"
    ):
        profile.region_indices("frontal_midline")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate_hz = 250.0", "rat_hz = 250.0", r"line 6, rat_hz: no such key; did you mean 'rate_hz'\?"),
        ("rate_hz = 250.0", "", r"  rate_hz: missing; needed is the sampling rate in Hz, above 0, as 256.0"),
        (
            'unit = "microvolts"',
            "",
            r"  unit: missing; needed is the unit its software gives: \"microvolts\"",
        ),
        (
            'unit = "microvolts"',
            'unit = "uV"',
            r"line 8, unit: found 'uV': it should be 'nanovolts', 'microvolts'",
        ),
        (
            "rate_hz = 250.0",
            "rate_hz = 0",
            r"line 6, rate_hz: found 0: it should be greater than 0; needed is the",
        ),
        ("rate_hz = 250.0", "rate_hz = -5.0", r"line 6, rate_hz: found -5.0: it should be greater than 0"),
        ("rate_hz = 250.0", "rate_hz = nan", r"line 6, rate_hz: found nan: it should be a finite number"),
        ("rate_hz = 250.0", 'rate_hz = "250"', r"line 6, rate_hz: found '250': it should be a valid number"),
        ("rate_hz = 250.0", "rate_hz = true", r"line 6, rate_hz: found true: it should be a valid number"),
        (
            "[250.0, 500.0]",
            "[500.0]",
            r"line 7, allowed_rates_hz: found \[500.0\]: rate_hz = 250.0 is not among them",
        ),
        (
            "[-1000.0, 1000.0]",
            "[9.0, 1.0]",
            r"line 10, rails_uv: found \[9.0, 1.0\]: the low .* as \[1.0, 9.0\]",
        ),
        (
            "[-1000.0, 1000.0]",
            "[1.0]",
            r"line 10, rails_uv\[2\]: missing; needed is the lowest and the highest",
        ),
        (
            "dc_level_uv = 0.0",
            "dc_level_uv = 2e3",
            r"line 11, dc_level_uv: found 2000.0: .* outside its rails",
        ),
        ('"L", "R", "Cz"]', '"L", "L", "R", "Cz"]', r"line 4, labels: .*: L stands there more than once"),
        ('labels = ["L", "R", "Cz"]', "labels = []", r"line 4, labels: found \[\]: .* at least 1 item"),
        (
            'ears = ["L", "R"]',
            'ears = ["L", "Rr"]',
            r"line 18, regions.ears: no channel 'Rr'; did you mean 'R'\?",
        ),
        ('ears = ["L", "R"]', "ears = []", r"line 18, regions.ears: has no channels; leave the region out"),
        ('ears = ["L", "R"]', 'ears = ["L", "L"]', r"line 18, regions.ears: .* a channel counts once"),
        ("ears =", '"Both ears" =', r"line 18, regions.Both ears.*: found 'Both ears'"),
        ('L = "TP9"', 'L = "T3"', r"line 15, positions.L: 'T3' is no place of the 10-05 .* needs L = \"T7\""),
        ('L = "TP9"\n', "", r"line 14, positions.L: 'L' is no place of the 10-05 system; .* needs L = \"…\""),
        (
            'L = "TP9"',
            'L = "TP9"\nQ = "Fz"',
            r"line 16, positions.Q: no channel has this label; there are: Cz, L, R",
        ),
        ('"EEG_L", ', "", r"line 40, programs\[2\].labels: found 2 labels for 3 EEG channels; name each"),
        (
            'clock = "lsl"',
            'clock = "gps"',
            r"line 33, programs\[1\].clock: found 'gps': it should be 'lsl' or 'unix'",
        ),
        (
            "has_labels = true",
            "has_labels = 1",
            r"line 29, programs\[1\].has_labels: found 1: .* valid boolean",
        ),
        ("samples = 12", "samples = 0", r"line 44, packets.samples: found 0: .* greater than or equal to 1"),
        (
            'lost = "zeros"',
            'lost = "nan"',
            r"line 45, packets.lost: found 'nan': it should be 'zeros' or 'gap'",
        ),
        (
            "noisy_uv = 100.0",
            "noisy_uv = 0.1",
            r"quality.noisy_uv: found 0.1: noisy_uv must lie above flat_uv, .*0.5",
        ),
        ("flat_uv = 0.5", "flt_uv = 0.5", r"line 48, quality.flt_uv: no such key; did you mean 'flat_uv'\?"),
        ("flat_uv = 0.5\n", "", r"line 47, quality.flat_uv: missing; needed is the deviation"),
        ('unit = "g"\n', "", r"line 20, other_streams\[1\].unit: missing; needed is the unit of its values"),
        (
            'unit = "a manual"\n',
            "",
            r"line 53, sources.unit: missing; say where unit is known from, or write unit =",
        ),
        (
            'ground = "ass',
            'grond = "ass',
            r"line 61, sources.grond: no fact has this name; did you mean 'ground'\?",
        ),
        (
            'ground = "assumed: a guess"',
            'ground = ""',
            r"line 61, sources.ground: found '': .* at least 1 character",
        ),
        (
            'name = "two-ears"',
            'name = "Two Ears"',
            r"line 1, name: found 'Two Ears': .* small letters, digits",
        ),
        ("rate_hz = 250.0", "rate_hz = 250 Hz", r"is not TOML: .*line 6.*; text needs quotes"),
        ("rate_hz = 250.0", "rate_hz = 250.0\nrate_hz = 1.0", r"is not TOML: .*line 7.*a key stands once"),
    ],
)
def test_profile_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = refusal(tmp_path, (old, new))
    assert re.search(message, text), text
    assert str(tmp_path / "ears.toml") in text
    renamed = "no such key" in text or "no fact has" in text  # then the right name is missing, too
    assert f"has {'2 problems' if renamed else '1 problem'}:" in text or "is not TOML" in text, text


def test_profile_mistakes_are_listed_in_file_order(tmp_path: Path) -> None:
    text = refusal(
        tmp_path,
        ("rate_hz = 250.0", "rate_hz = -1.0"),
        ("[-1000.0, 1000.0]", "[5.0, -5.0]"),
        ('unit = "microvolts"\n', ""),
        ('middle = ["Cz"]', 'middle = ["Pz", "Oz"]'),
        ('lost = "zeros"', 'lsot = "zeros"'),
        ('reference = "a manual"\n', ""),
    )
    assert "has 8 problems:" in text
    keys = re.findall(r"^  (?:line \d+, )?([\w.]+):", text, re.MULTILINE)
    assert keys == [
        "rate_hz",
        "rails_uv",
        "regions.middle",
        "regions.middle",
        "packets.lost",
        "packets.lsot",
        "sources.reference",
        "unit",
    ]


def test_profile_values_like_keys_keep_line_numbers(tmp_path: Path) -> None:
    text = refusal(
        tmp_path,
        ('ground = "AFz"', 'ground = "AFz"\nnotes = ["""\n[packets]\nrate_hz = 3\n""",\n["a"]\n]'),
        ("samples = 12", "samples = 1.5"),
    )
    assert "line 50, packets.samples: found 1.5" in text
    assert "line 15, notes" in text or "line 14, notes" in text


def test_load_profile_refuses_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "ears.toml"
    path.write_bytes(b'title = "\xff"')
    with pytest.raises(WrongProfile, match=r"ears\.toml is not text in UTF-8: line 1 .*save it as UTF-8"):
        load_profile(path)
    with pytest.raises(WrongProfile, match=r"cannot be read: .*; give the path of a \.toml file"):
        load_profile(tmp_path)


def test_profile_names_without_install_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.resources.files", absent)
    with pytest.raises(NeurofbError, match=r"without being installed; run `pip install -e \.` in "):
        devices.profile_names()


def test_every_profile_field_has_a_description() -> None:
    assert not [name for name, field in DeviceProfile.model_fields.items() if not field.description]


def test_programs_of_an_older_profile_are_read(tmp_path: Path) -> None:
    new = own_profile(tmp_path)
    (folder := tmp_path / "older").mkdir()
    old = folder / "ears.toml"
    old.write_text(new.read_text("utf-8").replace("[[programs]]", "[[lsl]]"), "utf-8")
    assert load_profile(old) == load_profile(new)
