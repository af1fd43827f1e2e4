"""Runs tests on mutants, each in a forked process that has the libraries already: ``make mutants``.

In: which modules, and how many mutants of each. Out: those that no test noticed; exit code 1 if one of them is not
in ``survivors.toml``, or a module is below its bar. Kept: which test noticed the last one of a function, which
is tried first for the next. No file of the program is changed: the forked process loads a changed module instead, and
so does each process that it starts (``sitecustomize`` in ``PYTHONPATH``).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import marshal
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "neurofb"
SURVIVORS = Path(__file__).with_name("survivors.toml")
#: A mutant that makes its tests so many times slower than they are is noticed: these are endless loops. Counted in
#: the processor's time, so that a busy computer notices nothing; and one that waits for ever hangs after so long.
SLOWER, LEAST_CPU_S, HANGS_S = 5.0, 20.0, 600.0
#: The least part that must be noticed, of those that are not named as equal.
BAR_STIMULATION, BAR_OTHERS = 0.95, 0.85
SAMPLE = 20
#: What everything imports, and no test of a mutant needs anew.
PRELOADED = ("pytest", "hypothesis", "numpy", "scipy.signal", "scipy.stats", "pydantic")
#: Slow tests come only where the quick ones have noticed nothing.
SLOW = "deaf or no_schedule or nor_does_it or several_faults or whoever_answers"

#: Tests of a module, quick ones first; others are found by what they import.
TESTS = {
    "stimulation.guard": ["test_single_stops.py", "test_guard.py"],
    "stimulation.probe_model": ["test_single_stops.py", "test_guard.py"],
    "stimulation.thermal_dose": ["test_single_stops.py", "test_envelope.py", "test_guard.py"],
    "stimulation.envelope": ["test_envelope.py", "test_heat_profile.py", "test_guard.py"],
    "stimulation.heat_profile": ["test_heat_profile.py", "test_envelope.py", "test_guard.py"],
    "stimulation.event_buffer": ["test_single_stops.py", "test_guard.py"],
    "stimulation.driver": ["test_single_stops.py", "test_guard.py"],
    "stimulation.calibrated_heat": ["test_calibration.py"],
    "stimulation.calibration": ["test_calibration.py"],
    "stimulation.drivers.simulated": ["test_simulated_driver.py", "test_single_stops.py", "test_guard.py"],
    "stimulation.client": ["test_guard.py", "test_watchdog.py"],
    "stimulation.watchdog": ["test_watchdog.py"],
    "stimulation.watchdog_pipe": ["test_watchdog.py"],
}
#: For all modules of stimulation.
NUMBERS = "test_safety_numbers.py"

_HOOK = """
import importlib.abc, importlib.util, os, sys

class _Loader(importlib.abc.SourceLoader):
    def __init__(self, path): self._path = path
    def get_filename(self, name): return self._path
    def get_data(self, path):
        with open(os.environ["NEUROFB_MUTANT_SOURCE"], "rb") as file:
            return file.read()
    def source_to_code(self, data, path="<mutant>"):
        import marshal
        return marshal.loads(data)
    def path_stats(self, path): raise OSError("never cached")

class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != os.environ["NEUROFB_MUTANT"]: return None
        real = os.environ["NEUROFB_MUTANT_PATH"]
        return importlib.util.spec_from_file_location(name, real, loader=_Loader(real))

if "NEUROFB_MUTANT" in os.environ:
    sys.meta_path.insert(0, _Finder())
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the test that noticed it, or ""."""

    module: str
    mutant: Mutant
    noticed_by: str
    took_s: float


def path_of(module: str) -> Path:
    return SOURCE / Path(*module.split(".")).with_suffix(".py")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def modules(*, stimulation: bool) -> list[str]:
    """Return the modules that have anything to be changed, the guard and what it needs first."""
    found = [module_of(path) for path in sorted(SOURCE.rglob("*.py")) if path.name != "__init__.py"]
    chosen = [each for each in found if each.startswith("stimulation.") == stimulation]
    return sorted(chosen, key=lambda each: list(TESTS).index(each) if each in TESTS else len(TESTS))


def files_for(module: str) -> list[str]:
    """Return test files of a module: those listed, or those of its room that import it."""
    room = ROOT / "tests" / module.split(".")[0]
    if module in TESTS:
        return [str(room / name) for name in (NUMBERS, *TESTS[module]) if (room / name).exists()]
    word = re.compile(rf"neurofb\.{re.escape(module)}\b")
    own = [path for path in room.rglob("test_*.py") if word.search(path.read_text("utf-8"))]
    if module.startswith("stimulation."):
        own = [*room.glob("test_*.py")]
    found = own or list(room.rglob("test_*.py"))
    return [str(path) for path in sorted(found, key=lambda path: path.stat().st_size)]


def named_survivors() -> dict[tuple[str, str], str]:
    """Return the reason of each survivor that is known, by module and name."""
    with SURVIVORS.open("rb") as file:
        tables = tomllib.load(file).get("survivor", [])
    return {(each["module"], each["change"]): each["reason"] for each in tables}


def changed_lines(since: str, folder: str) -> dict[str, set[int]]:
    """Return the lines of each module below a folder that differ from a commit."""
    asked = ["git", "diff", "--unified=0", "--no-color", since, "--", folder]
    diff = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, set[int]] = {}
    module = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            path = ROOT / line[4:].partition("/")[2]
            module = module_of(path) if path.suffix == ".py" and path.exists() else ""
        elif module and (hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line)):
            first, n = int(hunk[1]), int(hunk[2] or 1)
            found.setdefault(module, set()).update(range(first, first + n))
    return found


class Runner:
    """Runs the tests of one mutant after the other."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], str] = {}
        self._cpu_s: dict[str, float] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="neurofb-mutants-"))
        (self._folder / "hook").mkdir()
        (self._folder / "hook" / "sitecustomize.py").write_text(_HOOK, "utf-8")
        for name in PRELOADED:
            with contextlib.suppress(ImportError):
                __import__(name)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def outcome(self, module: str, mutant: Mutant) -> Outcome:
        """Run quick tests, the one that noticed the last change of this function before all; slow ones if need be."""
        start_s = time.monotonic()
        files = files_for(module)
        last = self._last.get((module, mutant.function))
        noticed_by = self._run(module, mutant, [last], "") if last else ""
        noticed_by = noticed_by or self._run(module, mutant, files, f"not ({SLOW})")
        if not noticed_by and any(name in Path(files[-1]).name for name in ("guard", "calibration")):
            noticed_by = self._run(module, mutant, files, SLOW)
        if noticed_by and "::" in noticed_by:
            self._last[module, mutant.function] = noticed_by
        return Outcome(module, mutant, noticed_by, time.monotonic() - start_s)

    def check(self, module: str) -> None:
        """Stop if the tests of a module fail, or are too slow, without any change."""
        before_s = _children_s()
        for words in (f"not ({SLOW})", SLOW):
            failed = self._run(module, None, files_for(module), words)
            if failed:
                sys.exit(f"the tests of {module} fail without any change: {failed}")
        self._cpu_s[module] = max(LEAST_CPU_S, SLOWER * (_children_s() - before_s))

    def _run(self, module: str, mutant: Mutant | None, tests: Sequence[str], words: str) -> str:
        """Return the test that failed; "" if all passed."""
        report = self._folder / "report"
        report.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            os.setsid()
            self._in_child(module, mutant, tests, words, report)
        end_s, hangs = time.monotonic() + HANGS_S, False
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > end_s:
                hangs = True
                os.killpg(child, signal.SIGKILL)
                done = os.waitpid(child, 0)
                break
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):  # what it started
            os.killpg(child, signal.SIGKILL)
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)
        if hangs:
            return "hangs"
        code = os.waitstatus_to_exitcode(done[1])
        if code in (0, 5):  # 5: no test is left by the words
            return ""
        if code == -signal.SIGXCPU:
            return "endless, or nearly"
        return report.read_text("utf-8") if report.exists() else f"ended with {code}"

    def _in_child(
        self, module: str, mutant: Mutant | None, tests: Sequence[str], words: str, report: Path
    ) -> None:
        code = 70
        try:
            (self._folder / "tmp").mkdir(exist_ok=True)
            tempfile.tempdir = None
            os.environ["TMPDIR"] = str(self._folder / "tmp")
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(silence, descriptor)
            self._change(module, mutant)
            os.environ["NEUROFB_FUZZ_BLOCKS"] = "1"
            if mutant is not None:
                most_s = int(self._cpu_s.get(module, LEAST_CPU_S))
                resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 5))
            os.chdir(ROOT)
            code = _pytest(tests, words, report)
        except BaseException as error:
            report.write_text(f"at import: {error!r}", "utf-8")
            code = 1
        finally:
            os._exit(code)

    def _change(self, module: str, mutant: Mutant | None) -> None:
        """Let this process and those it starts load a changed module; None changes nothing, on the same way."""
        real = path_of(module)
        tree = ast.parse(real.read_text("utf-8"))
        tree = tree if mutant is None else mutant.of(tree)
        compiled = self._folder / "mutant"
        compiled.write_bytes(marshal.dumps(compile(tree, str(real), "exec", dont_inherit=True)))
        os.environ |= {
            "NEUROFB_MUTANT": f"neurofb.{module}",
            "NEUROFB_MUTANT_PATH": str(real),
            "NEUROFB_MUTANT_SOURCE": str(compiled),
            "PYTHONPATH": f"{self._folder / 'hook'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        exec(_HOOK, {})


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pytest(tests: Sequence[str], words: str, report: Path) -> int:
    import pytest

    class FirstFailure:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                said.append(report.nodeid)

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                said.append(f"at import of {report.nodeid}")

    said: list[str] = []
    asked = ["-x", "-q", "--no-header", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    for plugin in ("cacheprovider", "randomly", "pytest-qt"):
        asked += ["-p", f"no:{plugin}"]
    code = int(pytest.main([*asked, *(["-k", words] if words else []), *tests], plugins=[FirstFailure()]))
    report.write_text(said[0] if said else f"ended with {code}", "utf-8")
    return code


def chosen(module: str, how: argparse.Namespace, lines: dict[str, set[int]]) -> list[Mutant]:
    """Return the mutants of a module that are to be tried."""
    found = mutants(path_of(module).read_text("utf-8"))
    if how.since:
        touched = lines.get(module, set())
        found = [m for m in found if touched & set(range(m.first_line, m.last_line + 1)) and _is_small(m)]
    if how.only:
        found = [m for m in found if re.search(how.only, m.name)]
    if how.sample and len(found) > how.sample:
        kept = set(random.Random(f"{how.seed} {module}").sample(range(len(found)), how.sample))
        found = [m for at, m in enumerate(found) if at in kept]
    return found


def _is_small(mutant: Mutant) -> bool:
    """A condition over a whole block is not touched by each of its lines."""
    return mutant.last_line - mutant.first_line < 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutants and print what was not noticed; 0 if each survivor is known and each bar is held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("module", nargs="*", help="such as stimulation.guard; none: all of stimulation")
    parser.add_argument("--others", action="store_true", help="the other rooms' modules instead")
    parser.add_argument("--sample", type=int, help="so many of each module at most")
    parser.add_argument("--since", help="only lines of stimulation/ that differ from this commit")
    parser.add_argument("--at-most", type=int, default=0, help="so many in all, drawn from those chosen")
    parser.add_argument(
        "--seed", default=time.strftime("%Y-%m-%d"), help="of the draws; the date if not said"
    )
    parser.add_argument("--only", help="only mutants whose name matches this")
    parser.add_argument("--list", action="store_true", help="print names, run nothing")
    parser.add_argument("--log", type=Path, help="a file to which each outcome is added as a JSON line")
    how = parser.parse_args(arguments)
    names = how.module or modules(stimulation=not how.others)
    lines = changed_lines(how.since, "src/neurofb/stimulation") if how.since else {}
    todo = [(module, mutant) for module in names for mutant in chosen(module, how, lines)]
    if how.at_most and len(todo) > how.at_most:
        kept = set(random.Random(str(how.seed)).sample(range(len(todo)), how.at_most))
        print(f"{how.at_most} of {len(todo)} mutants are tried (seed {how.seed})")
        todo = [each for at, each in enumerate(todo) if at in kept]
    if how.list:
        print("\n".join(f"{module} {mutant.name}" for module, mutant in todo))
        return 0
    return _report(_run_all(todo, how.log))


def _run_all(todo: Iterable[tuple[str, Mutant]], log: Path | None) -> list[Outcome]:
    runner, checked, outcomes = Runner(), set(), []
    try:
        for module, mutant in todo:
            if module not in checked:
                checked.add(module)
                runner.check(module)
            outcome = runner.outcome(module, mutant)
            outcomes.append(outcome)
            if not outcome.noticed_by:
                print(f"NOT NOTICED  {module} {mutant.name}", flush=True)
            if log is not None:
                with log.open("a", encoding="utf-8") as file:
                    entry = [module, mutant.name, mutant.kind, outcome.noticed_by, round(outcome.took_s, 2)]
                    file.write(json.dumps(entry) + "\n")
    finally:
        runner.close()
    return outcomes


def _report(outcomes: Sequence[Outcome]) -> int:
    known = named_survivors()
    is_wrong = False
    tried, noticed = Counter[str](), Counter[str]()
    for each in outcomes:
        reason = known.get((each.module, each.mutant.name), "")
        if reason.startswith("equal"):
            continue
        tried[each.module] += 1
        noticed[each.module] += bool(each.noticed_by)
        if not each.noticed_by and not reason and each.module.startswith("stimulation."):
            is_wrong = True
            print(
                f"new survivor: {each.module} {each.mutant.name}\n  test it, or name it in {SURVIVORS.name}"
            )
    for module, n in tried.items():
        bar = BAR_STIMULATION if module.startswith("stimulation.") else BAR_OTHERS
        is_low = noticed[module] < bar * n and n >= SAMPLE
        is_wrong |= is_low
        share, mark = 100 * noticed[module] / n, " TOO FEW" if is_low else ""
        print(f"{module:40} {noticed[module]:4} of {n:4}, {share:5.1f} %{mark}")
    took_s = sum(each.took_s for each in outcomes)
    print(f"{sum(noticed.values())} of {sum(tried.values())} noticed, in {took_s:.0f} s")
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
