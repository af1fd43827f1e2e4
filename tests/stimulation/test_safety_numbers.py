"""All numbers of the heat path in one table: a change of any of them is said here as well, with its source.

A source is looked for in the comment above the constant (``#:``), or in the docstring of its function.
"""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import neurofb.stimulation
from neurofb.stimulation.calibration import CalibrationSettings
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.envelope import RESERVE, Envelope, planned_dose
from neurofb.stimulation.heat_profile import (
    HeatProfile,
    abort_dose,
    contact_line_s,
    dose,
    ramp_dose,
)

#: Module, name, value, and a word of its source.
NUMBERS = [
    ("heat_profile", "ABSOLUTE_CAP_C", 50.0, "PMC7211210"),
    ("heat_profile", "STEEPEST_C_PER_S", 70.0, "CHEPS"),
    ("heat_profile", "LONGEST_PLATEAU_S", 600.0, "Medoc's manual"),
    ("heat_profile", "_OFFSET", 113.4, "Springborg et al. 2021"),
    ("heat_profile", "_POWER", 28.3, "Springborg et al. 2021"),
    ("envelope", "RESERVE", 0.02, "Assumed"),
    ("guard", "GAP_S", 0.5, "Assumed"),
    ("guard", "RETURN_S", 1.5, "Assumed"),
    ("guard", "LATE_S", 1.0, "Assumed"),
    ("guard", "SPREAD_S", 0.2, "Assumed"),
    ("guard", "PATIENCE_S", 0.1, "Assumed"),
    ("driver", "SLOWEST_READING_S", 0.3, "Assumed"),
    ("driver", "LATEST_ONSET_S", 0.5, "Assumed"),
    ("driver", "LATEST_CONFIRMATION_S", 1.0, "Assumed"),
    ("driver", "_NEAR", 1e-6, "Assumed"),
    ("heat_profile", "ABORT_C_PER_S", 10.0, "Assumed"),
    ("probe_model", "PERIODS", 1.5, "Assumed"),
    ("probe_model", "CAP_TOLERANCE_C", 0.3, "Assumed"),
    ("probe_model", "AT_BASELINE_C", 1.0, "Assumed"),
    ("probe_model", "FRESH_S", 0.1, "Assumed"),
    ("probe_model", "AT_ONCE", 2.0, "Assumed"),
    ("probe_model", "COLDEST_C", -10.0, "Medoc's range"),
    ("probe_model", "HOTTEST_C", 70.0, "TCS II"),
    ("probe_model", "AHEAD_S", 0.1, "Assumed"),
    ("conditions", "SAMPLE_S", 1.0, "Assumed"),
    ("conditions", "FACTS_S", 0.5, "Assumed"),
    ("event_buffer", "READING_S", 0.02, "Assumed"),
    ("event_buffer", "_MOST_READINGS", 3000, "Assumed"),
    ("calibration", "MOST_UP_C", 1.0, "Assumed"),
    ("calibration", "STEP_C", 0.1, "TCS II"),
    ("client", "BEAT_S", 0.05, "HEARTBEAT_S"),
    ("client", "SILENT_S", 1.0, "Assumed"),
    ("client", "ANSWER_S", 0.5, "Assumed"),
    ("client", "DOUBT_S", 0.25, "Assumed"),
    ("client", "END_S", 10.0, "Assumed"),
    ("client", "_N_CLOCK_QUESTIONS", 16, "Assumed"),
    ("watchdog", "TICK_S", 0.002, "Assumed"),
    ("watchdog", "IDLE_TICK_S", 0.005, "Assumed"),
    ("watchdog", "HEARTBEAT_S", 0.5, "Assumed"),
    ("watchdog", "USED_S", 0.5, "Assumed"),
    ("watchdog", "STAY_S", 60.0, "Assumed"),
    ("watchdog_log", "DOSES_S", 0.1, "Assumed"),
    ("watchdog_log", "COOLEST_C", 30.0, "Assumed"),
    ("watchdog_log", "SLOWEST_C_PER_S", 1.0, "Assumed"),
    ("thermal_dose", "MOST_SHARE", 10.0, "Assumed"),
    ("watchdog_pipe", "START_S", 10.0, "Assumed"),
    ("watchdog_pipe", "MOST_UNSENT", 200, "Assumed"),
    ("watchdog_pipe", "PRIORITY", -15, "Assumed"),
    ("client", "PREPARE_S", 60.0, "Assumed"),
    ("bench", "PLATEAU_OFF_C", 1.0, "Assumed"),
    ("bench", "PRESS_S", 10.0, "Assumed"),
    ("bench", "ALONE_S", 2.0, "Assumed"),
    ("bench", "TURN_S", 0.002, "Assumed"),
    ("drivers.tcs2", "ASK_S", 0.02, "Assumed"),
    ("drivers.tcs2", "ANSWER_S", 0.2, "Assumed"),
    ("drivers.tcs2", "ABORT_AGAIN_S", 0.05, "Assumed"),
    ("drivers.tcs2", "CHARACTER_S", 0.001, "DecNef"),
    ("drivers.progress", "ONSET_C", 0.5, "Assumed"),
    ("drivers.progress", "FALLEN_C", 1.0, "Assumed"),
    ("drivers.tcs2", "HELP_S", 2.0, "10 kB"),
    ("drivers.tcs2", "PROOF_CAP_C", 40.0, "Assumed"),
    ("drivers.tcs2", "PROOF_TARGET_C", 45.0, "Assumed"),
    ("drivers.tcs2", "LEAST_BATTERY", 20, "clients"),
    ("drivers.tcs2", "TEST_C", 2.0, "TCS II.1"),
    ("drivers.tcs2", "TEST_MEAN_C", 1.5, "TCS II.1"),
    ("drivers.tcs2", "TEST_WORST_C", 4.0, "TCS II.1"),
    ("drivers.tcs2", "_MOST_BYTES", 20000, "10 kB"),
    ("drivers.mms", "ASK_S", 0.05, "Assumed"),
    ("drivers.mms", "ANSWER_S", 0.3, "Assumed"),
    ("drivers.mms", "LOST_S", 0.9, "Assumed"),
    ("drivers.mms", "ABORT_AGAIN_S", 0.25, "Assumed"),
    ("drivers.mms", "MOST_ABORTS", 4, "Assumed"),
    ("drivers.mms", "GREETING_S", 1.0, "Assumed"),
    ("drivers.mms", "_LOOK_S", 0.002, "Assumed"),
    ("drivers.mms_words", "_MOST_TEXT", 2000, "Assumed"),
    ("drivers.tsa2_words", "GRAVE", 0xC000, "maker's"),
    ("drivers.tsa2_words", "EMERGENCY_ERROR", 0x8019, "maker's"),
    ("drivers.tsa2_words", "BUTTONS", 3, "maker's"),
    ("drivers.tsa2_words", "_MOST", 511, "maker's"),
    ("drivers.tsa2_words", "_ALLOW_EMPTY", 128, "maker's"),
    ("drivers.tsa2_words", "_WITH_SURFACES", 5, "maker's"),
    ("drivers.tsa2_words", "_PID_BYTES", 13, "maker's"),
    ("drivers.tsa2", "ASK_S", 0.025, "Assumed"),
    ("drivers.tsa2", "ANSWER_S", 0.2, "Assumed"),
    ("drivers.tsa2", "ABORT_AGAIN_S", 0.05, "Assumed"),
    ("drivers.tsa2", "RUNG_S", 0.3, "Assumed"),
    ("drivers.tsa2", "LAST_RUNG_S", 0.6, "Assumed"),
    ("drivers.tsa2", "FALLS_C", 0.5, "Assumed"),
    ("drivers.tsa2", "NEAR_C", 1.0, "Assumed"),
    ("drivers.tsa2", "SELF_TEST_S", 45.0, "maker's"),
    ("drivers.tsa2", "GREETING_S", 1.0, "Assumed"),
    ("drivers.tsa2", "_LOOK_S", 0.002, "Assumed"),
    ("drivers.tsa2", "_MOST_BYTES", 1024, "longest frames"),
    ("drivers.network", "MOST_BYTES", 4096, "Assumed"),
    ("drivers.simulated", "LAG_S", 0.1, "Assumed"),
    ("drivers.simulated", "SKIN_LAG_S", 0.3, "Assumed"),
    ("drivers.simulated", "NOISE_C", 0.02, "Assumed"),
    ("drivers.simulated", "MAX_C", 50.5, "Assumed"),
    ("drivers.simulated", "LINK_S", 0.5, "Assumed"),
    ("drivers.simulated", "RISE_C_PER_S", 70.0, "CHEPS"),
    ("drivers.simulated", "COOL_C_PER_S", 40.0, "CHEPS"),
    ("drivers.simulated", "COOLANT_C", 20.0, "Assumed"),
    ("drivers.simulated", "PASSIVE_S", 1.0, "Assumed"),
    ("drivers.simulated", "_STEP_S", 0.005, "Assumed"),
]

#: Field of the envelope, default, least, most. Above 0 is written as 0.0.
ENVELOPE = {
    "cap_c": (49.0, 30.0, 50.0),
    "single": (0.5, 0.0, 0.5),
    "budget": (1.0, 0.0, 1.0),
    "interval_s": (8.0, 8.0, None),
    "baseline_low_c": (30.0, 30.0, 35.0),
    "baseline_high_c": (35.0, 30.0, 35.0),
    "stale_s": (1.0, 0.0, 1.0),
    "deviation_c": (1.0, 0.0, 1.0),
    "deviation_s": (1.0, 0.0, 1.0),
}

CALIBRATION = {
    "limits_n": (3, 1, 20),
    "limits_c_per_s": (1.0, 0, 4.0),
    "ladder_n": (8, 3, 20),
    "ladder_step_c": (0.5, 0, 1.0),
    "ladder_below_c": (1.0, 0.0, 5.0),
    "plateau_s": (5.0, 0, 60.0),
    "stop_rating": (80.0, 0, 100),
    "least_answers": (4, 3, 20),
    "verify_n": (3, 1, 20),
    "tolerance": (10.0, 0, 100),
}


def assigned(path):
    """Names of the numbers that a module sets, and the comment above each."""
    lines = path.read_text("utf-8").splitlines()
    found = {}
    for node in ast.parse("\n".join(lines)).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        first = node.lineno - 2
        while first >= 0 and lines[first].startswith("#:"):
            first -= 1
        comment = " ".join(line.lstrip("#: ") for line in lines[first + 1 : node.lineno - 1])
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                found[ast.unparse(name)] = comment
    return found


def modules():
    package = neurofb.stimulation
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        module = importlib.import_module(found.name)
        yield found.name.removeprefix(package.__name__ + "."), module, Path(module.__file__)


@pytest.mark.parametrize("module, name, value, source", NUMBERS)
def test_number_has_its_value_and_its_source(module, name, value, source):
    found = importlib.import_module(f"neurofb.stimulation.{module}")
    assert getattr(found, name) == value
    assert source in assigned(Path(found.__file__))[name]


def test_no_number_is_missing_in_the_table():
    written = {(module, name) for module, name, _, _ in NUMBERS}
    numbers = {
        (name, constant)
        for name, module, path in modules()
        for constant in assigned(path)
        if isinstance(getattr(module, constant, None), int | float)
    }
    assert len(numbers) > 30
    assert numbers == written


def bounds(field):
    least = most = None
    for bound in field.metadata:
        low = getattr(bound, "ge", None) if getattr(bound, "gt", None) is None else bound.gt
        least = low if least is None else least if low is None else max(least, low)
        high = getattr(bound, "le", None)
        most = high if most is None else most if high is None else min(most, high)
    return least, most


@pytest.mark.parametrize("table, expected", [(Envelope, ENVELOPE), (CalibrationSettings, CALIBRATION)])
def test_limits_have_their_defaults_and_bounds(table, expected):
    fields = table.model_fields
    found = {name: (field.default, *bounds(field)) for name, field in fields.items()}
    assert found == expected


def test_device_that_declares_nothing_never_returns_by_itself():
    plain = Capabilities("plain", 50.5, 70.0, 40.0, 40.0, 0.1)
    assert (plain.lowers, plain.outlasts_s, plain.simulated) == (True, float("inf"), False)
    holds = "it never returns to baseline by itself when the computer dies: it must not heat a person"
    assert plain.unfit() == [holds]
    slow = Capabilities("slow", 50.5, 70.0, 40.0, 40.0, 1.0, simulated=True)
    assert slow.unfit() == ["the lag of the probe is below 1 s: found 1 s"]
    assert Capabilities("odd", 50.5, 70.0, 40.0, 40.0, -0.1).unfit() != []
    assert Capabilities("still", 50.5, 70.0, 40.0, 0.0, 0.1).unfit() != []
    assert Capabilities("", 50.5, 70.0, 40.0, 1e-9, 0.0, on_silence="finishes").unfit() == []


# Numbers inside functions, by hand: the line of Springborg et al. at whole degrees, and what leaving costs.


@pytest.mark.parametrize(
    "celsius, seconds", [(43, 1051.6), (45, 290.46), (47, 84.845), (49, 26.088), (50, 14.728)]
)
def test_contact_line_is_that_of_the_source(celsius, seconds):
    assert contact_line_s(celsius) == pytest.approx(seconds, rel=2e-4)


def test_leaving_is_counted_from_half_a_degree_above_at_ten_degrees_a_second():
    assert abort_dose(47.0) == ramp_dose(47.5, 32.0, 10.0)
    assert abort_dose(47.0, 35.0) == ramp_dose(47.5, 35.0, 10.0)
    assert abort_dose(47.0, 32.0, 5.0) == ramp_dose(47.5, 32.0, 5.0), "a slow device takes longer"
    assert abort_dose(47.0, 32.0, 40.0) == ramp_dose(47.5, 32.0, 10.0), "a quick one counts as no quicker"
    longer, shorter = dose(HeatProfile(47.0, 5.0)), dose(HeatProfile(47.0, 3.0))
    assert longer - shorter == pytest.approx(2.0 / contact_line_s(47.0))
    profile = HeatProfile(47.0, 3.0)
    assert planned_dose(profile) == dose(profile) * (1.0 + RESERVE) + abort_dose(47.0)


def test_profile_starts_as_the_protocol_has_it_if_nothing_is_said():
    profile = HeatProfile(47.0, 2.0)
    assert (profile.baseline_c, profile.rise_c_per_s, profile.return_c_per_s) == (32.0, 8.0, 8.0)
    assert re.match(r"HeatProfile\(target_c=47.0, plateau_s=2.0", repr(profile))
