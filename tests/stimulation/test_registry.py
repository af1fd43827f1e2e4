"""Which drivers there are, and the files that describe thermodes."""

import dataclasses
import json
from importlib.metadata import EntryPoint

import pytest
from stimulation_parts import thermode_text

from neurofb.clock import ManualClock
from neurofb.errors import NeurofbError, UnknownName, WrongFile, WrongInput
from neurofb.stimulation import registry
from neurofb.stimulation.client import open_stimulator
from neurofb.stimulation.conditions import Required
from neurofb.stimulation.drivers.simulated import SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.thermode_file import load_thermode, thermode_names


def make_lab_driver(setup):
    """A driver that a lab brings, described by a file."""
    return "the lab's", setup


@pytest.fixture
def brought(monkeypatch):
    """Let packages bring drivers."""

    def bring(*drivers):
        found = [EntryPoint(name, value, registry.GROUP) for name, value in drivers]
        monkeypatch.setattr(registry, "entry_points", lambda group: found if group == registry.GROUP else [])

    return bring


def own_file(tmp_path, kind="tcs2", **changes):
    path = tmp_path / "own.toml"
    path.write_text(thermode_text(kind, **changes), "utf-8")
    return str(path)


def test_lab_brings_its_own_driver(brought, tmp_path):
    brought(("mine", f"{__name__}:make_lab_driver"))
    assert registry.kinds() == ["mine", "mms", "simulated", "tcs2", "tsa2"]
    file = registry.find_thermode(own_file(tmp_path, "mine"))
    clock = ManualClock()
    name, setup = registry.make_driver("mine", clock, 7, (), file)
    assert name == "the lab's"
    assert (setup.clock, setup.seed, setup.file) == (clock, 7, file)


def test_driver_of_another_package_is_never_a_simulation(brought):
    """Whatever it says of itself: it needs a recording and somebody who watches."""
    brought(("mine", f"{__name__}:make_lab_driver"))
    with pytest.raises(WrongInput, match="heats a person"):
        open_stimulator("mine", envelope=Envelope(), clock=ManualClock(), required=Required(view=False))


@pytest.mark.parametrize("second", ["tcs2", "mine", "simulated"])
def test_two_drivers_of_one_name_are_refused(brought, second):
    brought(("mine", "a.package:make"), (second, "another.package:make"))
    with pytest.raises(WrongInput, match=f"two drivers call themselves '{second}'.*uninstall one"):
        registry.kinds()


def test_unknown_driver_and_thermode_say_what_there_is(tmp_path, brought):
    brought()
    with pytest.raises(UnknownName, match="no stimulator 'oven'; there are: mms, simulated, tcs2, tsa2"):
        registry.maker_of("oven")
    with pytest.raises(
        UnknownName,
        match="no stimulator 'oven'; there are: medoc-main-station, medoc-tsa-2, simulated, tcs-ii",
    ):
        registry.find_thermode("oven")
    with pytest.raises(UnknownName, match="no stimulator 'oven'"):
        registry.find_thermode(own_file(tmp_path, "oven"))
    with pytest.raises(WrongInput, match="needs no file"):
        registry.find_thermode(own_file(tmp_path, "simulated"))
    with pytest.raises(UnknownName, match=r"no thermode file .*none\.toml"):
        registry.find_thermode(str(tmp_path / "none.toml"))


def test_simulated_thermode_needs_no_file():
    assert registry.find_thermode("simulated") is None
    assert isinstance(registry.make_driver("simulated", ManualClock()), SimulatedThermode)


@pytest.mark.parametrize("name", thermode_names())
def test_bundled_thermode_has_a_driver_and_can_be_guarded(name):
    file = registry.find_thermode(name)
    assert file.capabilities().unfit() == []
    assert file.capabilities().simulated is False
    assert file.assumed


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"max_c": '"hot"'}, "max_c"),
        ({"on_silence": '"sleeps"'}, "on_silence"),
        ({"zones": "[1, 1]"}, "a zone counts once"),
        ({"zones": "[0]"}, "zones"),
        ({"lag_s": "0.1\nspeed = 3"}, "speed"),
        ({"experimental": '"no"'}, "experimental"),
        ({"period_s": "nan"}, "period_s"),
    ],
)
def test_mistake_in_a_file_is_said_with_its_line(tmp_path, changes, why):
    with pytest.raises(WrongFile, match=rf"line \d+.*{why}"):
        load_thermode(own_file(tmp_path, **changes))


def test_every_fact_needs_its_source(tmp_path):
    path = tmp_path / "own.toml"
    lines = thermode_text("tcs2").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith('abort_c_per_s = "')), "utf-8")
    with pytest.raises(WrongFile, match="say where abort_c_per_s is known from"):
        load_thermode(path)


@pytest.mark.parametrize(
    "silence, words",
    [
        ('"finishes"', "finishes its stimulus when its computer dies: stand at its power switch"),
        ('"returns"\nsilence_s = 2.0', "returns to baseline 2 s after its computer dies"),
        ('"holds"', "must not heat a person"),
    ],
)
def test_file_says_what_happens_when_the_computer_dies(tmp_path, silence, words):
    path = own_file(tmp_path, on_silence=silence)
    if "silence_s" in silence:
        with open(path, "a", encoding="utf-8") as file:
            file.write('silence_s = "assumed"\n')
    assert words in load_thermode(path).outlives()


def test_device_that_holds_its_heat_is_not_connected(tmp_path):
    file = registry.find_thermode(own_file(tmp_path, on_silence='"holds"'))
    assert "must not heat a person" in " ".join(file.capabilities().unfit())


def test_file_is_sent_to_the_watchdog_as_it_was_read(tmp_path):
    from neurofb.stimulation.client import WatchdogClient
    from neurofb.stimulation.thermode_file import ThermodeFile

    file = load_thermode("tcs-ii")
    client = WatchdogClient("tcs2", Envelope(), ManualClock(), file=file)
    sent = client._opening["file"]
    assert ThermodeFile.model_validate_json(json.dumps(sent)) == file


@pytest.mark.parametrize("path", ["mine.toml", "lab/mine", "lab\\mine"])
def test_what_looks_like_a_path_is_missed_as_a_file(path):
    with pytest.raises(NeurofbError) as error:
        registry.find_thermode(path)
    assert "say which with --thermode" not in str(error.value)
    with pytest.raises(UnknownName, match="say which with --thermode"):
        registry.find_thermode("mine")


def test_driver_is_made_with_seed_0_if_nothing_is_said(monkeypatch):
    made = []
    monkeypatch.setattr(registry, "maker_of", lambda kind: made.append)
    clock = ManualClock()
    registry.make_driver("simulated", clock)
    [setup] = made
    assert setup == registry.DriverSetup(clock, 0, (), None) == registry.DriverSetup(clock)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setup.seed = 1
    assert not hasattr(setup, "__dict__")
