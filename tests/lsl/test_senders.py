"""The program that sends decides rails, level, unit and layout; none is read as railed, or a million times off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurofb.devices import DeviceProfile, load_profile
from neurofb.dsp.quality import ChannelQuality
from neurofb.errors import UnknownName, WrongProfile, WrongStream
from neurofb.lsl.matching import StreamInfo, burst_s, eeg_columns, match_profile
from neurofb.lsl.senders import sender_of
from neurofb.spatial.montage import Montage

MUSE = ("TP9", "AF7", "AF8", "TP10")
OPEN_MUSE = (*(f"EEG_{each}" for each in MUSE), "AUX_1", "AUX_2", "AUX_3", "AUX_4")
OWN = """
name = "own"
title = "Own amplifier"
manufacturer = "Our lab"
labels = ["Fz", "Cz"]
montage = "fixed"
rate_hz = 250.0
unit = "microvolts"
rails_uv = [0.0, 2000.0]
dc_level_uv = 1000.0
reference = "A1"
ground = "A2"
regions = {}
%s
[quality]
flat_uv = 0.1
noisy_uv = 100.0
line_uv = 20.0
source = "assumed: a test"
[sources]
labels = "a"
rate_hz = "a"
unit = "a"
rails_uv = "a"
dc_level_uv = "a"
reference = "a"
ground = "a"
"""
COUNTS = """
[[programs]]
program = "counter"
names = ["Counts"]
has_unit = false
uv_per_count = 0.5
source = "a"
[[programs]]
program = "centred"
names = ["Centred"]
rails_uv = [-1000.0, 1000.0]
dc_level_uv = 0.0
source = "a"
[[programs]]
program = "in volts"
names = ["Volts"]
has_unit = false
unit = "volts"
order = ["Cz", "Fz"]
source = "a"
"""


def info(
    name: str, source_id: str, labels: tuple[str, ...] = MUSE, unit: str = "", **facts: object
) -> StreamInfo:
    units = (unit,) * len(labels) if unit else ()
    plain = StreamInfo(name, "EEG", source_id, "u", "lab", len(labels), 256.0, "float32", labels, units)
    return replace(plain, **facts)  # type: ignore[arg-type]


def own(tmp_path: Path, programs: str = "") -> DeviceProfile:
    path = tmp_path / "own.toml"
    path.write_text(OWN % programs, "utf-8")
    return load_profile(path)


def eeg(n_channels: int, rate_hz: float, level_uv: float = 0.0) -> np.ndarray:
    """Return two seconds of 15 µV of noise around a level."""
    return level_uv + 15.0 * np.random.default_rng(7).standard_normal((round(2 * rate_hz), n_channels))


def states(profile: DeviceProfile, samples_uv: np.ndarray) -> list[str]:
    """Return the states that a session would see at the end."""
    n = round(profile.rate_hz / 4)
    montage = Montage.of(profile)
    quality = ChannelQuality(
        samples_uv.shape[1], profile.rate_hz, n, montage.limits, montage.converter, profile.rate_hz / 2 - 5
    )
    for first in range(0, len(samples_uv) - n + 1, n):
        quality.process(samples_uv[first : first + n])
    return [each.state for each in quality.states]


@pytest.mark.parametrize(
    ("device", "stream", "program", "rails_uv"),
    [
        (
            "muse-s-athena",
            info("Muse", "Muse00:55:DA", unit="microvolts", manufacturer="Muse"),
            "muselsl",
            (-725, 725),
        ),
        ("muse-s-athena", info("Muse-EEG (00:55)", "00:55_eeg", OPEN_MUSE), "OpenMuse", (0, 1450)),
        ("muse-s-athena", info("Muse_EEG", "Muse_EEG", OPEN_MUSE, "microvolts"), "OpenMuse", (0, 1450)),
        (
            "muse-s-athena",
            info("Muse-1A2B (00:55:DA) EEG", "BlueMuse.App", unit="microvolts"),
            "BlueMuse",
            None,
        ),
        ("muse-s-athena", info("my bridge", "x1", unit="microvolts"), "", None),
        ("muse-s-athena", info("Muse", "my own script", unit="microvolts"), "", None),
        (
            "muse-2",
            info("Muse", "Muse00:55:DA", (*MUSE, "Right AUX"), "microvolts"),
            "muselsl",
            (-1000, 1000),
        ),
        (
            "muse-2",
            info("Muse", "Muse_00:55:DA", (*MUSE, "AUX_RIGHT"), "microvolts"),
            "MuseLSL2",
            (-1000, 1000),
        ),
        (
            "muse-s",
            info("Muse-1A2B (00:55:DA) EEG", "LSLBridge", unit="microvolts"),
            "BlueMuse",
            (-1000, 1000),
        ),
        (
            "openbci-cyton",
            info("renamed by the user", "openbcigui", (), n_channels=8, rate_hz=250.0),
            "OpenBCI GUI",
            (-187500, 187500),
        ),
    ],
)
def test_program_is_recognised_and_decides_the_rails(
    device: str, stream: StreamInfo, program: str, rails_uv: tuple[float, float] | None
) -> None:
    sender = sender_of(stream, load_profile(device))
    assert sender.name == program
    assert sender.profile.rails_uv == (None if rails_uv is None else pytest.approx(rails_uv, abs=1.0))
    if program:
        assert sender.as_dict()["recognised_by"]
        assert stream.source_id not in str(sender.as_dict())
    words = sender.describe()
    assert (program or "not recognised") in words
    assert ("are not known" in words) is (rails_uv is None)
    assert "--program" in words or program
    if program and device != "openbci-cyton":
        assert f"sent by {program}" in match_profile(stream, load_profile(device)).reasons[0]
        assert burst_s(sender.profile, stream) <= 12 / 256


def test_athena_by_muselsl_is_not_railed_and_its_scale_is_said_to_be_disputed() -> None:
    athena = load_profile("muse-s-athena")
    sender = sender_of(info("Muse", "Muse00:55", unit="microvolts", manufacturer="Muse"), athena)
    assert states(sender.profile, eeg(4, 256.0)) == ["ok"] * 4
    clipped = np.clip(eeg(4, 256.0), None, sender.profile.rails_uv[1])  # type: ignore[index]
    clipped[:, 2] = sender.profile.rails_uv[1]  # type: ignore[index]
    assert states(sender.profile, clipped)[2] == "railed"
    assert "0.403" in athena.disputed["resolution_uv"]
    assert "0.0885" in sender.profile.model_dump(mode="json")["disputed"]["resolution_uv"]


@pytest.mark.parametrize("device", ["muse-s-athena", "muse-2", "emotiv-epoc-x", "openbci-ganglion"])
@pytest.mark.parametrize("level_uv", [0.0, 800.0, -600.0, 4200.0, 12_000.0])
def test_no_channel_is_bad_for_its_level_whoever_sends(device: str, level_uv: float) -> None:
    """Also by the rails of a profile that names no programs: what lies beyond them is no rail."""
    profile = load_profile(device)
    unknown = info("unheard of", "of", profile.labels, "microvolts", rate_hz=profile.rate_hz)
    for each in (sender_of(unknown, profile).profile, profile.model_copy(update={"programs": ()})):
        found = states(each, eeg(profile.n_channels, profile.rate_hz, level_uv))
        assert found == ["ok"] * profile.n_channels


def test_each_channel_may_rest_on_a_level_of_its_own() -> None:
    cyton = load_profile("openbci-cyton")
    levels_uv = np.array([-109_000.0, 110_000.0, 0.0, 40_000.0, -3.0, 900.0, 180_000.0, -180_000.0])
    assert states(cyton, eeg(8, 250.0) + levels_uv) == ["ok"] * 8


def test_counts_centred_microvolts_and_volts_become_the_same_microvolts(tmp_path: Path) -> None:
    profile = own(tmp_path, COUNTS)
    signal_uv = eeg(2, 250.0)
    sent = {
        "Counts": (signal_uv + 1000.0) / 0.5,
        "Centred": signal_uv,
        "Volts": signal_uv[:, ::-1] * 1e-6,
    }
    for name, values in sent.items():
        stream = info(name, "", (), n_channels=2, rate_hz=250.0)
        sender = sender_of(stream, profile)
        columns = eeg_columns(stream, profile)
        got_uv = columns.to_uv(values)
        np.testing.assert_allclose(
            got_uv - got_uv.mean(axis=0), signal_uv - signal_uv.mean(axis=0), atol=1e-9
        )
        assert states(sender.profile, got_uv) == ["ok", "ok"]


@pytest.mark.parametrize(
    ("stream", "program", "says"),
    [
        (
            info("Other", "", ("Fz", "Cz")),
            None,
            r"not recognised; they differ: counter counts, .* in volts volts",
        ),
        (info("Other", "", (), "", n_channels=2), None, r"order them differently: .*--program"),
        (
            info("Other", "", ("Fz", "Cz"), "counts"),
            None,
            r"says 'counts' .* no unit of voltage; .*--unit microvolts",
        ),
        (info("Centred", "", ("Fz", "Cz"), units=("V", "")), None, r"no unit holds for all channels"),
        (info("Volts", "", ("Fz", "Cz"), "microvolts"), None, r"in volts sends volts by the profile"),
    ],
)
def test_value_of_unknown_size_is_refused(
    tmp_path: Path, stream: StreamInfo, program: str | None, says: str
) -> None:
    with pytest.raises(WrongStream, match=says):
        eeg_columns(replace(stream, rate_hz=250.0), own(tmp_path, COUNTS), program=program)


def test_program_and_unit_that_are_given_win(tmp_path: Path) -> None:
    profile, stream = own(tmp_path, COUNTS), info("Other", "", ("Fz", "Cz"), rate_hz=250.0)
    assert list(eeg_columns(stream, profile, program="COUNTER").scale_uv) == [0.5, 0.5]
    assert list(eeg_columns(stream, profile, unit="volts").scale_uv) == [1e6, 1e6]
    assert sender_of(stream, profile, "in volts").as_dict() == {
        "name": "in volts",
        "recognised_by": ["--program"],
    }
    with pytest.raises(UnknownName, match=r"knows no program 'countr'; did you mean 'counter'"):
        sender_of(stream, profile, "countr")


def test_profile_without_programs_keeps_its_rails(tmp_path: Path) -> None:
    profile = own(tmp_path)
    sender = sender_of(info("any", "x", ("Fz", "Cz"), "uV", rate_hz=250.0), profile)
    assert sender.profile == profile
    assert sender.is_known
    railed = eeg(2, 250.0, 1000.0)
    railed[:, 1] = 2000.0
    assert states(profile, railed) == ["ok", "railed"]


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        (COUNTS.replace("[-1000.0, 1000.0]", "[1000.0, -1000.0]"), "the low rail comes first"),
        (COUNTS.replace("[-1000.0, 1000.0]", '"dunno"'), "unknown"),
        (COUNTS.replace("uv_per_count = 0.5", 'uv_per_count = 0.5\nunit = "volts"'), "not both"),
        (COUNTS.replace('["Cz", "Fz"]', '["Cz", "Pz"]'), "once"),
        (COUNTS.replace('"centred"', '"counter"'), "stands there already"),
        ('[disputed]\nscale = "x"', "no fact has this name"),
    ],
)
def test_wrong_program_is_refused_with_its_line(tmp_path: Path, programs: str, says: str) -> None:
    with pytest.raises(WrongProfile, match=says):
        own(tmp_path, programs)
