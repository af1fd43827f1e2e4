"""Tries mutants: which of these small wrong changes does no test notice? ``make mutants``.

In: which modules, and how many mutants of each. Out: those that no test noticed; exit code 1 if one of them is not
in ``survivors.toml``, or a module is below its bar. No file of the program is changed: see ``forked_tests``.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forked_tests import ROOT, Module, Runner
from mutations import Mutant, mutants

SOURCE = ROOT / "src" / "neurofb"
SURVIVORS = Path(__file__).with_name("survivors.toml")
#: The least part that must be noticed, of those that are not named as equal.
BAR_STIMULATION, BAR_OTHERS = 0.95, 0.85
SAMPLE = 20
#: The modules in whose mutants a fault would be worst.
FIRST = (
    "guard", "calibration", "thermal_dose", "probe_model", "envelope", "driver", "event_buffer", "heat_profile",
    "client", "watchdog", "watchdog_pipe", "watchdog_log", "conditions", "calibrated_heat",
)  # fmt: skip
#: Tests that start the watchdog, for the modules that run in it or speak with it; the others have enough without.
STARTED = "test_watchdog.py"
IN_TWO_PROCESSES = ("stimulation.client", "stimulation.watchdog", "stimulation.watchdog_pipe")


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the test that noticed it, or ""."""

    module: str
    mutant: Mutant
    noticed_by: str


def path_of(module: str) -> Path:
    return SOURCE / Path(*module.split(".")).with_suffix(".py")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def modules(*, stimulation: bool) -> list[str]:
    """Return the modules that have anything to be changed, those of ``FIRST`` first."""
    found = [module_of(path) for path in sorted(SOURCE.rglob("*.py")) if path.name != "__init__.py"]
    chosen = [each for each in found if each.startswith("stimulation.") == stimulation]
    first = [f"stimulation.{each}" for each in FIRST]
    return sorted(chosen, key=lambda each: first.index(each) if each in first else len(first))


def files_for(module: str) -> list[str]:
    """Return test files of a module: all of stimulation's, else those of its room that import it."""
    room = ROOT / "tests" / module.split(".")[0]
    found = sorted(room.rglob("test_*.py"))
    if module.startswith("stimulation."):
        found = [path for path in found if path.name != STARTED or module in IN_TWO_PROCESSES]
    else:
        word = re.compile(rf"neurofb\.{re.escape(module)}\b")
        found = [path for path in found if word.search(path.read_text("utf-8"))] or found
    return [str(path) for path in found]


def own_files(module: str) -> list[str]:
    """Return those test files that most likely notice what a module computes when it is imported."""
    names = ("test_safety_numbers.py", f"test_{module.split('.')[-1]}.py")
    files = files_for(module)
    return [path for path in files if Path(path).name in names] or files


def named_survivors() -> dict[tuple[str, str], str]:
    """Return the reason of each survivor that is known, by module and name."""
    with SURVIVORS.open("rb") as file:
        tables = tomllib.load(file).get("survivor", [])
    return {(each["module"], each["change"]): each["reason"] for each in tables}


def changed_lines(since: str, folder: str) -> dict[str, set[int]]:
    """Return the lines of each module below a folder that differ from a commit."""
    if not _is_commit(since):
        print(f"no commit {since} in this clone: no lines to compare with, nothing is tried")
        return {}
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
        "--most-s", type=float, default=math.inf, help="begin no mutant after so many seconds"
    )
    parser.add_argument(
        "--seed", default=time.strftime("%Y-%m-%d"), help="of the draws; the date if not said"
    )
    parser.add_argument("--only", help="only mutants whose name matches this")
    parser.add_argument("--list", action="store_true", help="print names, run nothing")
    parser.add_argument("--log", type=Path, help="a file to which each outcome is added as a JSON line")
    parser.add_argument(
        "--again", type=Path, help="only those that this log says were not noticed, the named left out"
    )
    parser.add_argument(
        "--quick", action="store_true", help="only the tests that most likely notice: to find holes"
    )
    how = parser.parse_args(arguments)
    names = how.module or modules(stimulation=not how.others)
    lines = changed_lines(how.since, "src/neurofb/stimulation") if how.since else {}
    todo = [(module, mutant) for module in names for mutant in chosen(module, how, lines)]
    if how.again:
        left = missed(how.again)
        todo = [(module, mutant) for module, mutant in todo if (module, mutant.name) in left]
    if how.at_most and len(todo) > how.at_most:
        kept = set(random.Random(str(how.seed)).sample(range(len(todo)), how.at_most))
        print(f"{how.at_most} of {len(todo)} mutants are tried (seed {how.seed})")
        todo = [each for at, each in enumerate(todo) if at in kept]
    if how.list:
        print("\n".join(f"{module} {mutant.name}" for module, mutant in todo))
        return 0
    start_s = time.monotonic()
    outcomes = []
    for outcome in _try_all(todo, how.quick):
        outcomes.append(outcome)
        if not outcome.noticed_by:
            print(f"NOT NOTICED  {outcome.module} {outcome.mutant.name}", flush=True)
        if how.log is not None:
            with how.log.open("a", encoding="utf-8") as file:
                entry = [outcome.module, outcome.mutant.name, outcome.mutant.kind, outcome.noticed_by]
                file.write(json.dumps(entry) + "\n")
        if time.monotonic() - start_s > how.most_s and len(outcomes) < len(todo):
            print(f"{len(todo) - len(outcomes)} of {len(todo)} were not tried: {how.most_s:g} s are over")
            break
    return _report(outcomes, time.monotonic() - start_s)


def _try_all(todo: Sequence[tuple[str, Mutant]], is_quick: bool) -> Iterator[Outcome]:
    for module in dict.fromkeys(module for module, _ in todo):
        files = tuple(files_for(module))
        runner = Runner(Module(module, path_of(module), files), is_quick=is_quick)
        yield from tried(runner, [mutant for each, mutant in todo if each == module], is_quick)


def _is_commit(name: str) -> bool:
    """Return whether a commit is there: a shallow clone has no other than its own."""
    asked = ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True).returncode == 0


def tried(runner: Runner, those: Sequence[Mutant], is_quick: bool) -> Iterator[Outcome]:
    """Try mutants: the quick way, then with all tests what that noticed nothing of, or could not change."""
    module, left = runner.module.name, []
    try:
        for mutant, noticed_by in runner.quick(those):
            if noticed_by or (is_quick and noticed_by is not None):
                yield Outcome(module, mutant, noticed_by)
            else:
                left.append(mutant)
        if left and not is_quick and (failed := runner.whole(None)):
            sys.exit(f"the tests of {module} fail without any change: {failed}")
        first = own_files(module)
        for mutant in left:
            noticed_by = runner.whole(mutant, first) or runner.whole(mutant, drawn=not is_quick)
            yield Outcome(module, mutant, noticed_by)
    finally:
        runner.close()


def missed(log: Path) -> set[tuple[str, str]]:
    """Return what was not noticed when it was last tried, and is not named, by module and name."""
    last = {
        (module, name): by for module, name, _, by in map(json.loads, log.read_text("utf-8").splitlines())
    }
    return {key for key, noticed_by in last.items() if not noticed_by} - set(named_survivors())


def _report(outcomes: Sequence[Outcome], took_s: float) -> int:
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
    print(f"{sum(noticed.values())} of {sum(tried.values())} noticed, in {took_s:.0f} s")
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
