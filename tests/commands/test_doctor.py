"""``neurofb doctor``: what is well, what is missing, and the fix, in circumstances that are really broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import invoke

from neurofb.cli import commands
from neurofb.clock import ManualClock
from neurofb.commands import doctor, doctor_checks, doctor_links
from neurofb.commands.doctor_checks import Finding

WELL = [Finding("Python", "ok", "3.13"), Finding("kernels", "ok", "there")]


def states(findings: list[Finding]) -> dict[str, str]:
    return {each.check: each.state for each in findings}


def in_a_process(code: str, *, before: str = "", **environment: str) -> list[Finding]:
    """Run a check in a process of its own, which what is broken there does not outlive."""
    text = (
        f"{before}\nimport json\nfrom dataclasses import asdict\n"
        f"from neurofb.commands import doctor_checks, doctor_links\nprint(json.dumps([asdict(e) for e in {code}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [Finding(**each) for each in json.loads(done.stdout)]


def blocked(module: str) -> str:
    return f"import sys\nsys.modules[{module!r}] = None"


# -- this computer -------------------------------------------------------------------------------------------------


def test_old_python_is_refused_with_required_version():
    (finding,) = doctor_checks.python_findings((3, 10, 4))
    assert finding.state == "missing"
    assert "3.10.4" in finding.found
    assert "Python 3.11 or later" in finding.fix
    assert states(doctor_checks.python_findings()) == {"Python": "ok"}


def test_unbuilt_kernels_come_with_build_command():
    (finding,) = in_a_process("doctor_checks.kernel_findings()", before=blocked("neurofb._kernels"))
    assert finding.state == "missing"
    assert "setup.py build_ext --inplace" in finding.fix


@pytest.mark.parametrize(
    "is_checked, is_stale, state, word",
    [
        (False, False, "ok", "up to date"),
        (True, False, "limited", "tests every index"),
        (False, True, "limited", "older than _kernels.pyx"),
    ],
)
def test_checked_or_stale_kernels_are_reported(tmp_path, monkeypatch, is_checked, is_stale, state, word):
    built, source = tmp_path / "_kernels.so", tmp_path / "_kernels.pyx"
    for path, time_s in ((built, 100), (source, 200 if is_stale else 50)):
        path.write_text("")
        os.utime(path, (time_s, time_s))
    stand_in = type(sys)("neurofb._kernels")
    stand_in.__file__, stand_in.CHECKED = str(built), int(is_checked)
    monkeypatch.setitem(sys.modules, "neurofb._kernels", stand_in)
    (finding,) = doctor_checks.kernel_findings()
    assert finding.state == state
    assert word in finding.found


def test_each_required_library_is_loaded():
    (finding,) = doctor_checks.library_findings()
    assert finding.state == "ok"
    assert all(name in finding.found for name in ("numpy", "pylsl", "mne-bids", "click"))


def test_unloadable_library_comes_with_install_command():
    (finding,) = in_a_process("doctor_checks.library_findings()", before=blocked("rich"))
    assert (finding.check, finding.state) == ("library rich", "missing")
    assert "cannot be loaded" in finding.found
    assert "pip install --force-reinstall 'rich>=" in finding.fix


def test_old_or_absent_library_is_missing(monkeypatch):
    asked = ["numpy>=99.1", "no-such-library>=1.0", 'pytest>=999; extra == "dev"']
    monkeypatch.setattr(doctor_checks.importlib.metadata, "requires", lambda _: asked)
    old, absent = doctor_checks.library_findings()
    assert "needed is 99.1 or later" in old.found
    assert absent.found == "not installed"
    assert absent.fix == "python -m pip install 'no-such-library>=1.0'"
    assert {old.state, absent.state} == {"missing"}


def test_disk_check_uses_the_data_folder(tmp_path):
    findings = doctor_checks.disk_findings(tmp_path / "not" / "there" / "yet")
    assert list(states(findings)) == ["disk speed", "disk space"]
    assert str(tmp_path) in findings[0].found
    assert list(tmp_path.iterdir()) == []


def test_slow_disk_is_reported(tmp_path):
    for step_s, state in ((0.010, "ok"), (0.060, "limited")):
        clock = ManualClock()

        def reading(clock=clock, step_s=step_s):
            clock.advance(step_s)
            return clock.now_s()

        assert states(doctor_checks.disk_findings(tmp_path, reading))["disk speed"] == state


def test_unwritable_folder_is_missing(monkeypatch):
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no folder here that takes nothing even from root")
    (finding,) = doctor_checks.disk_findings(Path("/proc/self"))
    assert finding.state == "missing"
    assert "nothing can be written in /proc/self" in finding.found
    assert "--data" in finding.fix


class BrokenClock(ManualClock):
    """A clock whose readings jump by a step each time they are asked for."""

    def __init__(self, step_s: float, late_s: float = 0.0) -> None:
        super().__init__(100.0)
        self._step_s, self._late_s = step_s, late_s

    def now_s(self) -> float:
        self._now_s += self._step_s
        return self._now_s

    def wait_until(self, time_s: float) -> None:
        super().wait_until(time_s + self._late_s)


def test_backward_or_drifting_clock_is_missing():
    good = ManualClock()
    assert states(doctor_checks.clock_findings(good, good.now_s)) == {"clock": "ok", "timer": "ok"}
    back = doctor_checks.clock_findings(BrokenClock(-0.01), lambda: 100.0)[0]
    assert back.state == "missing"
    assert "backwards 99 times" in back.found or "backwards 100 times" in back.found
    apart = doctor_checks.clock_findings(BrokenClock(0.0), lambda: 100.0)[0]
    assert apart.state == "missing"
    assert "100.00 ms apart" in apart.found


def test_late_timer_is_limited():
    clock = BrokenClock(0.0, late_s=0.015)
    timer = doctor_checks.clock_findings(clock, lambda: clock.now_s())[1]
    assert timer.state == "limited"
    assert "15.00 ms late (median)" in timer.found


def test_little_memory_is_limited(tmp_path):
    meminfo = tmp_path / "meminfo"
    for kilobytes, state in ((500_000, "limited"), (8_000_000, "ok")):
        meminfo.write_text(f"MemTotal: 16000000 kB\nMemAvailable:   {kilobytes} kB\n", "utf-8")
        assert states(doctor_checks.memory_findings(meminfo)) == {"memory": state}
    assert states(doctor_checks.memory_findings(tmp_path / "none")) == {"memory": "ok"}


def test_failing_check_is_a_finding():
    def fails() -> list[Finding]:
        raise RuntimeError("no idea")

    (finding,) = doctor_checks.run_check("sound", fails)
    assert finding.state == "limited"
    assert "RuntimeError: no idea" in finding.found


# -- around it -----------------------------------------------------------------------------------------------------


def without_network(*arguments: str, is_up: bool) -> dict[str, object]:
    """Run the doctor where there is no network but a loopback, or not even that."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux can take the network from one process")
    before = "ip link set lo up && " if is_up else ""
    environment = {name: text for name, text in os.environ.items() if name != "LSLAPICFG"}
    words = ["unshare", "-n", "sh", "-c", f'{before}exec "$0" "$@"', sys.executable, *arguments]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        pytest.skip(f"the network cannot be taken from a process here: {done.stderr.strip()[-200:]}")
    return {**json.loads(done.stdout), "exit_code": done.returncode}


def test_loopback_without_multicast_prints_lsl_setting(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom neurofb.commands import doctor\n"
        f"sys.exit(not doctor.examine_and_print(True, Path({str(tmp_path)!r})))"
    )
    document = without_network("-c", code, is_up=True)
    found = {each["check"]: each for each in document["findings"]}
    assert found["LSL on this computer"]["state"] == "limited"
    assert "loopback has no multicast" in found["LSL on this computer"]["found"]
    assert "LSLAPICFG" in found["LSL on this computer"]["fix"]
    assert "KnownPeers = {127.0.0.1}" in document["lsl_setting"]
    assert found["LSL on the network"]["found"] == "no network"


def test_session_cannot_run_without_any_stream():
    code = (
        "import json\nfrom dataclasses import asdict\nfrom neurofb.commands import doctor_links\n"
        "print(json.dumps({'findings': [asdict(e) for e in doctor_links.lsl_findings()]}))"
    )
    (finding,) = without_network("-c", code, is_up=False)["findings"]
    assert finding["state"] == "missing"
    assert finding["found"].startswith("0 of 2 streams")
    assert "firewall" in finding["fix"]


def test_local_streams_are_found_with_lsl_setting(tmp_path):
    (finding,) = doctor_links.lsl_findings()
    assert finding.state == "ok", finding
    assert "2 of 2 streams found" in finding.found


def test_lsl_setting_is_tried_before_recommended(monkeypatch):
    tried = []

    def found(environment):
        tried.append(environment.get("LSLAPICFG"))
        return (2, 2) if len(tried) == 2 else (1, 1)

    monkeypatch.setattr(doctor_links, "_found", found)
    (finding,) = doctor_links.lsl_findings({})
    assert finding.state == "missing"
    assert "1 of 2 streams" in finding.found
    assert "LSL setting below" in finding.fix
    assert tried[0] is None
    assert tried[1].endswith("lsl_api.cfg")


def test_foreign_address_has_no_multicast():
    (finding,) = doctor_links.network_findings("203.0.113.7")
    assert finding.state == "limited"
    assert "firewall" in finding.fix


def test_missing_qt_comes_with_install_command():
    code = "import sys\nimport importlib.util as u\nf = u.find_spec\n"
    no_qt = code + "u.find_spec = lambda name, *more: None if name == 'PySide6' else f(name, *more)\n"
    text = doctor_links._output_of(no_qt + doctor_links._WINDOWS, "libraries")
    assert "pip install 'neurofb[screens]'" in text


def test_windows_without_display_are_reported(monkeypatch):
    if not sys.platform.startswith("linux"):
        pytest.skip("other systems always have a display")
    pytest.importorskip("PySide6")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    findings = doctor_links.window_findings()
    assert findings[-1].state == "limited"
    assert "display" in findings[-1].fix or "Qt" in findings[-1].fix


@pytest.mark.parametrize(
    "stand_in, word",
    [
        ("raise OSError('PortAudio library not found')", "libportaudio2"),
        ("def query_devices(*_): raise RuntimeError('no device')", "loudspeakers"),
        ("raise ModuleNotFoundError('sounddevice')", r"neurofb[sound]"),
    ],
)
def test_unavailable_sound_comes_with_remedy(tmp_path, monkeypatch, stand_in, word):
    (tmp_path / "sounddevice.py").write_text(stand_in, "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    (finding,) = doctor_links.sound_findings()
    assert finding.state == "limited"
    assert word in finding.fix


def test_available_sound_device_is_named(tmp_path, monkeypatch):
    there = "def query_devices(*_): return {'name': 'Loudspeaker', 'default_samplerate': 48000.0}"
    (tmp_path / "sounddevice.py").write_text(there, "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert doctor_links.sound_findings() == [Finding("sound", "ok", "Loudspeaker 48000 Hz")]


# -- what is said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "worst, exit_code, verdict",
    [
        ("ok", 0, "All that a session needs is there."),
        ("limited", 0, "Could be better: Qt."),
        ("missing", 3, "A session cannot run here yet. Missing: Qt."),
    ],
)
def test_exit_code_and_last_line_by_worst_finding(monkeypatch, worst, exit_code, verdict):
    monkeypatch.setattr(doctor, "examine", lambda _: iter([*WELL, Finding("Qt", worst, "x", "do y")]))
    result = invoke(doctor.command)
    assert result.exit_code == exit_code
    assert result.stdout.rstrip().endswith(verdict)
    result = invoke(doctor.command, "--json")
    assert result.exit_code == exit_code
    document = json.loads(result.stdout)
    assert document["ok"] == (exit_code == 0)
    assert "lsl_setting" not in document


def test_checks_run_in_their_order(monkeypatch, tmp_path):
    for module, name in (
        (doctor_links, "lsl_findings"),
        (doctor_links, "network_findings"),
        (doctor_links, "window_findings"),
        (doctor_links, "sound_findings"),
        (doctor_checks, "library_findings"),
    ):
        monkeypatch.setattr(module, name, lambda name=name: [Finding(name, "ok", "")])
    checks = [each.check for each in doctor.examine(tmp_path)]
    assert checks[:3] == ["Python", "kernels", "library_findings"]
    assert checks[5:] == [
        "clock",
        "timer",
        "disk speed",
        "disk space",
        "memory",
        "window_findings",
        "sound_findings",
    ]


@pytest.mark.parametrize("worst, exit_code", [("ok", 0), ("missing", 3)])
def test_doctor_command_has_exit_code_of_findings(monkeypatch, worst, exit_code):
    monkeypatch.setattr(doctor, "examine", lambda _: iter([Finding("kernels", worst, "x")]))
    result = CliRunner().invoke(commands, ["doctor", "--json"])
    assert result.exit_code == exit_code
    assert json.loads(result.output)["findings"][0]["state"] == worst
