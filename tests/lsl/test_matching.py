"""Which stream is wanted, which device it fits, what its values mean; and ``neurofb streams``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from lsl_senders import MUSE, outlet, unique

from neurofb.acquisition.stream_health import MagnitudeCheck
from neurofb.devices import load_profile, profile_names
from neurofb.errors import StreamMissing, WrongStream
from neurofb.lsl.inlet import Resolver, find_streams
from neurofb.lsl.matching import (
    StreamInfo,
    StreamQuery,
    best_matches,
    choose,
    eeg_columns,
    match_profile,
)
from neurofb.views.setup import query_of

MUSE_STREAM = StreamInfo(
    name="Muse",
    type="EEG",
    source_id="Muse_00:55",
    uid="u1",
    hostname="lab",
    n_channels=5,
    rate_hz=256.0,
    value_format="float32",
    labels=(*MUSE, "AUX_RIGHT"),
    units=("microvolts",) * 5,
)
GUI_STREAM = StreamInfo("obci_eeg1", "EEG", "openbcigui", "u2", "lab", 8, 250.0, "float32")


def test_muse_matches_by_name_and_labels() -> None:
    fits = best_matches(MUSE_STREAM, map(load_profile, profile_names()))
    assert "muse-2" in [each.profile.name for each in fits]
    muse = match_profile(MUSE_STREAM, load_profile("muse-2"))
    assert muse.reasons == (
        "sent by MuseLSL2, by its name 'Muse' and by its source_id 'Muse_00:55'",
        "has its channel labels",
        "256 Hz",
    )
    assert muse.missing == ()


def test_match_names_what_openbci_gui_lacks() -> None:
    (found,) = best_matches(GUI_STREAM, map(load_profile, profile_names()))
    assert found.profile.name == "openbci-cyton"
    assert found.missing == (
        "labels (from the profile: Fp1 Fp2 C3 C4 P7 P8 O1 O2)",
        "unit (from the profile: microvolts)",
    )


@pytest.mark.parametrize(
    ("changes", "against"),
    [
        ({"type": "ACC"}, "its type is 'ACC', not EEG"),
        ({"rate_hz": 64.0}, "its rate is 64 Hz, not 256"),
        ({"n_channels": 3, "labels": (), "units": ()}, "its channels 3 are not TP9, AF7, AF8, TP10"),
    ],
)
def test_match_names_what_contradicts_the_profile(changes: dict[str, object], against: str) -> None:
    found = match_profile(replace(MUSE_STREAM, **changes), load_profile("muse-2"))  # type: ignore[arg-type]
    assert not found.fits
    assert against in found.against


@pytest.mark.parametrize(
    ("query", "uid"),
    [
        (StreamQuery(type="eeg"), "u1"),
        (StreamQuery(like="Mu*", type="EEG"), "u1"),
        (StreamQuery(like="Mu*", type="ACC"), "u3"),
        (StreamQuery(profile=load_profile("muse-2")), "u1"),
        (StreamQuery(), "u1"),
    ],
)
def test_choose_finds_stream_by_any_property(query: StreamQuery, uid: str) -> None:
    # Four streams of a Muse have one source_id; it decides nothing.
    others = [replace(MUSE_STREAM, uid="u3", type="ACC", labels=(), units=(), n_channels=3, rate_hz=52.0)]
    assert choose([MUSE_STREAM, *others], query, 1.0).uid == uid


def test_choose_refuses_several_matches_and_lists_them() -> None:
    twin = replace(MUSE_STREAM, uid="u9", hostname="other")
    with pytest.raises(
        StreamMissing, match=r"asked for one stream named 'Muse', found 2:\n.*uid u1\n.*uid u9\nSay"
    ) as error:
        choose([MUSE_STREAM, twin], StreamQuery(name="Muse"), 1.0)
    assert error.value.exit_code == 3


def test_choose_without_match_lists_streams_seen() -> None:
    with pytest.raises(
        StreamMissing, match=r"(?s)no stream named 'Mouse' came up in 2 s.*'Muse'.*did you mean 'Muse'"
    ):
        choose([MUSE_STREAM], StreamQuery(name="Mouse"), 2.0)
    with pytest.raises(StreamMissing, match="its rate is 256 Hz, not 250"):
        choose([MUSE_STREAM], StreamQuery(profile=load_profile("openbci-cyton")), 2.0)


def test_choose_on_empty_network_names_likely_causes() -> None:
    with pytest.raises(StreamMissing, match=r"(?s)No stream at all was seen.*LSLAPICFG.*KnownPeers"):
        choose([], StreamQuery(), 2.0)


def test_eeg_columns_leave_out_other_columns() -> None:
    labels = (
        "Timestamp",
        "Counter",
        "Interpolate",
        *load_profile("emotiv-epoc-x").labels,
        "HardwareMarker",
        "Markers",
    )
    epoc = StreamInfo("EmotivDataStream-EEG", "EEG", "", "u", "lab", 19, 128.0, "float32", labels)
    where = eeg_columns(epoc, load_profile("emotiv-epoc-x"))
    assert where.labels == load_profile("emotiv-epoc-x").labels
    assert where.columns == tuple(range(3, 17))
    assert where.counter == 1
    assert eeg_columns(replace(epoc, labels=()), load_profile("emotiv-epoc-x")).columns == where.columns


@pytest.mark.parametrize(
    ("unit", "scale_uv"),
    [("microvolts", 1), ("uV", 1), ("µV", 1), ("-6", 1), ("V", 1e6), ("volts", 1e6), ("0", 1e6), ("mV", 1e3)],
)
def test_stream_unit_has_priority_over_profile(unit: str, scale_uv: float) -> None:
    where = eeg_columns(replace(MUSE_STREAM, units=(unit,) * 5), load_profile("muse-2"))
    np.testing.assert_array_equal(where.scale_uv, np.full(4, scale_uv))
    assert where.unit_from == f"{unit}, by the stream"


@pytest.mark.parametrize(
    ("units", "said"), [((), "does not say its unit"), (("",) * 5, "does not say its unit")]
)
def test_missing_unit_comes_from_profile_or_user(units: tuple[str, ...], said: str) -> None:
    stream = replace(MUSE_STREAM, units=units)
    assert eeg_columns(stream, load_profile("muse-2")).unit_from.startswith(
        "microvolts, by the profile of Muse 2"
    )
    assert eeg_columns(stream, unit="mV").scale_uv[0] == 1e3
    with pytest.raises(WrongStream, match=f"(?s){said}.*volts or microvolts.*--device.*--unit"):
        eeg_columns(stream)


def test_units_that_differ_from_the_profile_in_some_channels_are_refused() -> None:
    mixed = replace(MUSE_STREAM, units=("V", "", "", "", ""))
    with pytest.raises(WrongStream, match="says '', 'V' for its EEG, but Muse 2 sends microvolts"):
        eeg_columns(mixed, load_profile("muse-2"))
    assert (
        eeg_columns(replace(mixed, units=("uV", "", "", "", "")), load_profile("muse-2")).scale_uv[0] == 1.0
    )
    each = eeg_columns(replace(mixed, units=("V", "uV", "mV", "nV", "")), load_profile("muse-2"))
    np.testing.assert_array_equal(each.scale_uv, [1e6, 1.0, 1e3, 1e-3])


#: How a stream may name its channels, and in which column TP9, AF7, AF8 and TP10 are then; or why it is refused.
NAMES: list[tuple[tuple[str, ...], tuple[int, ...] | str]] = [
    (MUSE, (0, 1, 2, 3)),
    (MUSE[::-1], (3, 2, 1, 0)),
    (("AF7", "TP10", "TP9", "AF8"), (2, 0, 3, 1)),
    (("tp9", "af7", "AF8 ", " Tp10."), (0, 1, 2, 3)),
    (("EEG TP10-REF", "EEG AF8-REF", "EEG AF7-REF", "EEG TP9-REF"), (3, 2, 1, 0)),
    (("TP9", "Right AUX", "AF7", "Trigger", "AF8", "Counter", "TP10"), (0, 2, 4, 6)),
    (("Fz", "TP10", "Cz", "AF8", "AF7", "TP9", "Pz"), (5, 4, 3, 1)),
    (("TP9", "", "AF7", "AF8", "TP10"), (0, 2, 3, 4)),
    ((), (0, 1, 2, 3)),
    (("TP9", "AF7"), "are not TP9, AF7, AF8, TP10: missing or twice AF8, TP10"),
    (("TP9", "AF7", "AF8", "Fp2"), "missing or twice TP10"),
    (("TP9", "AF7", "AF8", ""), "missing or twice TP10; it names its channels, but not number 4"),
    (("TP9", "TP9", "AF7", "AF8", "TP10"), "missing or twice TP9"),
    (("TP9", "EEG TP9", "AF7", "AF8", "TP10"), "missing or twice TP9"),
    (("tp9", "TP9", "AF7", "AF8", "TP10"), "missing or twice TP9"),
    (("TP9-AF7", "AF7-AF8", "AF8-TP10", "TP10-TP9"), "missing or twice TP9, AF7, AF8, TP10"),
    (("1", "2", "3", "4"), "its channels 1, 2, 3, 4 are not"),
    (("TP9", "AF7", "AF8", "TP10", "AUX", "AUX2"), "it describes 6 channels but sends 4"),
    (("TP9", "AF7", "AF8"), "it describes 3 channels but sends 4"),
]


@pytest.mark.parametrize(("labels", "expected"), NAMES)
def test_names_of_a_stream_decide_or_are_refused(
    labels: tuple[str, ...], expected: tuple[int, ...] | str
) -> None:
    n = 4 if isinstance(expected, str) and "describes" in expected else len(labels) or 4
    stream = replace(MUSE_STREAM, n_channels=n, labels=labels, units=("uV",) * n)
    profile = load_profile("muse-2")
    found = match_profile(stream, profile)
    if isinstance(expected, tuple):
        assert eeg_columns(stream, profile).columns == expected
        assert found.against == ()
        return
    with pytest.raises(WrongStream) as refused:
        eeg_columns(stream, profile)
    assert expected in str(refused.value)
    assert expected in "; ".join(found.against)  # what `neurofb streams` and the setup page say
    assert profile.name not in [each.profile.name for each in best_matches(stream, [profile])]


def test_stream_without_names_is_not_read_in_the_order_of_the_simulated_headset() -> None:
    simulated = load_profile("simulated")
    stream = replace(GUI_STREAM, n_channels=simulated.n_channels)
    with pytest.raises(
        WrongStream, match="it names no channels, as the simulated headset does; choose the device"
    ):
        eeg_columns(stream, simulated)
    assert best_matches(stream, [simulated]) == []
    named = replace(stream, labels=simulated.labels, units=("uV",) * simulated.n_channels)
    assert eeg_columns(named, simulated).labels == simulated.labels


def test_stream_without_profile_needs_a_name_for_each_channel() -> None:
    for labels, why in (
        (("Fz", "", "Pz", "Oz"), "not number 2"),
        (("Fz", "Cz", "Pz"), "describes 3 channels but sends 4"),
        (("Fz", "Cz", "Fz", "Oz"), "more than one channel Fz"),
    ):
        with pytest.raises(WrongStream, match=why):
            eeg_columns(replace(MUSE_STREAM, n_channels=4, labels=labels, units=("uV",) * 4))


def test_read_info_keeps_what_a_description_says_and_what_it_lacks() -> None:
    name = unique("Partial")
    kept = [outlet(name, ("Fz", "", "Pz")), outlet(name, ("Fz", "Pz"), n_channels=3, type_="short")]
    found = {info.type: info for info, _ in find_streams(StreamQuery(predicate=f"name='{name}'"), 10.0)}
    assert found["EEG"].labels == ("Fz", "", "Pz")
    assert "not number 2" in found["EEG"].label_problem
    assert found["short"].labels == ("Fz", "Pz")
    assert found["short"].label_problem == "it describes 2 channels but sends 3"
    assert all(info.answered for info in found.values())
    assert len(kept) == 2


def test_unknown_unit_is_refused() -> None:
    with pytest.raises(WrongStream, match="'furlongs' is no unit of voltage"):
        eeg_columns(MUSE_STREAM, unit="furlongs")


def test_unreadable_stream_is_refused() -> None:
    with pytest.raises(WrongStream, match="does not name its channels"):
        eeg_columns(GUI_STREAM)
    with pytest.raises(WrongStream, match="carries text, not samples"):
        eeg_columns(replace(MUSE_STREAM, value_format="string"))
    with pytest.raises(WrongStream, match="is not from Muse 2: its rate is 250 Hz"):
        eeg_columns(replace(MUSE_STREAM, rate_hz=250.0), load_profile("muse-2"))


@pytest.mark.parametrize(
    ("size_uv", "likely"), [(20e-6, "volts"), (2e7, None), (20.0, ""), (20.0 + 4200.0, "")]
)
def test_magnitude_that_contradicts_unit_is_an_event(size_uv: float, likely: str | None) -> None:
    check = MagnitudeCheck(256.0, 1.0, "microvolts, by the stream")
    rng = np.random.default_rng(0)
    level, size = (4200.0, 20.0) if size_uv > 4000 and size_uv < 5000 else (0.0, size_uv)
    events = [event for _ in range(80) for event in check.push(level + rng.normal(0, size, (12, 4)), 5.0)]
    assert check.done
    if likely == "":
        assert events == []
        return
    (event,) = events
    assert event.kind == "unit"
    assert "that is no EEG" in event.message
    assert likely is None or event.details["likely_unit"] == likely


def test_streams_command_lists_streams() -> None:
    name = unique("obci_eeg")
    kept = outlet(name, (), n_channels=8, rate_hz=250.0)
    command = [
        sys.executable,
        "-c",
        "from neurofb.cli import main; main()",
        "streams",
        "--json",
        "--wait",
        "3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (found,) = [stream for stream in json.loads(done.stdout) if stream["name"] == name]
    assert kept.channel_count == found["n_channels"]
    assert [each["device"] for each in found["fits"]] == ["openbci-cyton"]
    assert found["fits"][0]["reasons"][0] == f"named {name!r} as by OpenBCI GUI"
    assert any(text.startswith("unit") for text in found["missing"])


def test_streams_command_without_streams_exits_with_3(tmp_path: object) -> None:
    # With a session of its own the command is alone.
    import os
    from pathlib import Path

    settings = Path(str(tmp_path)) / "lsl_api.cfg"
    settings.write_text("[multicast]\nResolveScope = machine\n[lab]\nSessionID = nobody\n[log]\nlevel = -2\n")
    command = [sys.executable, "-c", "from neurofb.cli import main; main()", "streams", "--wait", "0.5"]
    environment = {**os.environ, "LSLAPICFG": str(settings)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 3
    assert done.stderr.startswith("neurofb: looked for LSL streams for 0.5 s. No stream at all was seen")
    assert "KnownPeers" in done.stderr
    assert "Traceback" not in done.stderr


def test_find_streams_passes_predicate_to_lsl() -> None:
    name = unique("Pred")
    kept = [outlet(name), outlet(name, type_="ACC", n_channels=3, labels=())]
    query = StreamQuery(predicate=f"name='{name}' and type='ACC'")
    found = find_streams(query, 10.0)
    assert [facts.type for facts, _ in found] == ["ACC"]
    assert len(kept) == 2


#: Names that anybody may give a stream; each is asked for as it is.
ODD_NAMES = [
    "Muse*",
    "a=b",
    "name='Muse'",
    'Anna\'s "EEG" [1]',
    "C:\\lab\\eeg",
    "Größe µV",
    "  spaces around ",
    "alpha and beta or gamma",
    "?[!x]",
    "'",
    '"',
    "''\"\"''",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_name_is_taken_as_it_is(name: str) -> None:
    mine, other = replace(MUSE_STREAM, name=name), replace(MUSE_STREAM, name=f"x{name}", uid="u9")
    assert choose([other, mine], StreamQuery(name=name), 1.0) is mine
    assert not StreamQuery(name=name.strip() + "x").accepts(mine)


def test_pattern_and_predicate_have_options_of_their_own() -> None:
    assert choose([MUSE_STREAM, GUI_STREAM], StreamQuery(like="Mu*"), 1.0) is MUSE_STREAM
    with pytest.raises(StreamMissing, match=r"A name is taken as it is; a pattern is given by --stream-like"):
        choose([MUSE_STREAM], StreamQuery(name="Mu*"), 1.0)
    with pytest.raises(StreamMissing, match=r"a predicate is given by --where"):
        choose([MUSE_STREAM], StreamQuery(name="type='EEG'"), 1.0)


def test_odd_names_are_found_on_the_network_by_literals_that_lsl_reads() -> None:
    session = unique("odd")
    names = [f"{session}{name}" for name in ODD_NAMES]
    kept = [outlet(name) for name in names]
    found = [Resolver.by_name(name) for name in names[3:]]
    seen = [each for each, _ in find_streams(None, 2.0)]
    for name in names:
        wanted = choose(seen, StreamQuery(name=name), 1.0)
        assert query_of(wanted, None).name == name
    assert [[each.name() for each in resolver.results()] for resolver in found] == [[n] for n in names[3:]]
    assert len(kept) == len(names)
