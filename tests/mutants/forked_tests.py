"""Tests in forked processes, on a module that is changed there and nowhere else.

In: a module, its test files, and mutants. Out: for each mutant the test that noticed it. Kept, for the next mutant:
how long each test takes, which functions it calls, and which noticed something; so the first test that is run is the
one that most likely notices, and soonest.

There are two ways. The quick one collects the tests once and forks for each mutant; there the changed functions get
their new code, and the short tests run that call one or start a process. The whole one forks before anything of the
program is imported, loads the changed module in place of its file, and runs every test of the files. What the quick
way cannot change (what a module or a class computes when it is imported) goes the whole way, and so does what it
noticed nothing of. Each process that a test starts loads the changed module too (``sitecustomize``).
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import copy
import ctypes
import functools
import gc
import itertools
import json
import marshal
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from mutations import Mutant

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A mutant that makes a test so many times slower than it is is noticed: these are endless loops. Counted in
#: the processor's time, so that a busy computer notices nothing; and one that waits for ever hangs after so long.
SLOWER, LEAST_CPU_S, HANGS_S = 8.0, 5.0, 600.0
#: What everything imports, and no test of a mutant needs anew.
PRELOADED = ("pytest", "hypothesis", "numpy", "scipy.signal", "scipy.stats", "pydantic")
#: A test that takes longer comes only the whole way.
LONG_S = 1.0
QUICK_S = 3.0
#: How likely a test notices a change before anything is known; and how much more one of the same function counts.
HOPE, SAME_FUNCTION = 0.2, 5.0

#: What a function calls by this name when it is called; among the builtins, in a forked process only.
_TOLD = "neurofb_mutants_told"

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


@dataclass
class Learned:
    """What is known of the tests of a module."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    #: The functions of the module that a test calls, by their lines; None: it starts a process, and may call all.
    calls: dict[str, list[int] | None] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)
    of_function: dict[str, Counter[str]] = field(default_factory=dict)

    def order(self, tests: Sequence[str], function: str) -> list[str]:
        """Return tests, the most that is noticed for a second first."""
        here = self.of_function.get(function, Counter())

        def hope(test: str) -> float:
            noticed = HOPE + self.noticed[test] + SAME_FUNCTION * here[test]
            return noticed / (2.0 + self.tries[test]) / (0.01 + self.cpu_s.get(test, 1.0))

        return sorted(tests, key=hope, reverse=True)

    def add(self, function: str, run: Sequence[str], noticed_by: str) -> None:
        self.tries.update(run)
        if noticed_by:
            self.noticed[noticed_by] += 1
            self.of_function.setdefault(function, Counter())[noticed_by] += 1


@dataclass
class Module:
    """A module whose mutants are tried, and the files of its tests."""

    name: str
    path: Path
    files: tuple[str, ...]

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text("utf-8"))

    def code(self, mutant: Mutant | None) -> CodeType:
        """Return the code of the changed module; None changes nothing."""
        tree = self.tree if mutant is None else mutant.of(self.tree)
        code: CodeType = compile(tree, str(self.path), "exec", dont_inherit=True)
        return code


class Runner:
    """Runs the tests of the mutants of one module.

    ``is_quick`` tries so many tests of a mutant only as take ``QUICK_S`` together: to look for holes.
    """

    def __init__(self, module: Module, *, is_quick: bool = False) -> None:
        self.module = module
        self._most_s = QUICK_S if is_quick else math.inf
        self.unchanged = module.code(None)
        self.learned = Learned()
        self._live: list[FunctionType] = []
        self._folder = Path(tempfile.mkdtemp(prefix="neurofb-mutants-"))
        (self._folder / "hook").mkdir()
        (self._folder / "hook" / "sitecustomize.py").write_text(_HOOK, "utf-8")
        for name in PRELOADED:
            with contextlib.suppress(ImportError):
                __import__(name)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def quick(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str | None]]:
        """Yield each mutant with the test that noticed it, "" if none did, None if the quick way cannot change it.

        Ends the program if a test fails without any change.
        """
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reads)
            os.environ["NEUROFB_FUZZ_BLOCKS"] = "0"
            self._in_child(lambda: self._collect_and_try(mutants, writes), self._folder / "worker")
        os.close(writes)
        with os.fdopen(reads, encoding="utf-8") as file:
            for line in file:
                said = json.loads(line)
                if "failed" in said:
                    sys.exit(f"the tests of {self.module.name} fail without any change: {said['failed']}")
                if "learned" in said:
                    self.learned = _learned(said["learned"])
                else:
                    yield mutants[said["at"]], said["noticed_by"]
        os.waitpid(child, 0)

    def whole(self, mutant: Mutant | None, files: Sequence[str] = (), *, drawn: bool = True) -> str:
        """Return which of all tests noticed a mutant, with nothing imported before; "" if none did.

        ``files`` are others than all; ``drawn`` says whether drawn schedules are among them.
        """
        return self._forked(lambda: self._run_anew(mutant, files or self.module.files, drawn))

    def _forked(self, run: Callable[[], int]) -> str:
        """Return the test at which a forked process ended; "" if all passed. ``run`` writes it into the report."""
        (self._folder / "report").write_text("", "utf-8")
        child = os.fork()
        if child == 0:
            os.setsid()
            self._in_child(run, self._folder / "tmp")
        end_s, done = time.monotonic() + HANGS_S, (0, 0)
        while done == (0, 0) and time.monotonic() < end_s:
            time.sleep(0.003)
            done = os.waitpid(child, os.WNOHANG)
        with contextlib.suppress(ProcessLookupError):  # itself if it hangs, and what it started
            os.killpg(child, signal.SIGKILL)
        if done == (0, 0):
            os.waitpid(child, 0)
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)
        if done != (0, 0) and os.waitstatus_to_exitcode(done[1]) == 0:
            return ""
        return (self._folder / "report").read_text("utf-8") or "at import"

    def _in_child(self, run: Callable[[], int], folder: Path) -> None:
        code = 70
        try:
            with contextlib.suppress(AttributeError):  # Linux: ends with what started it
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            folder.mkdir(exist_ok=True)
            tempfile.tempdir = str(folder)
            os.environ["TMPDIR"] = str(folder)
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(silence, descriptor)
            os.chdir(ROOT)
            sys.path.insert(0, str(ROOT))  # as `python -m pytest` does
            code = run()
        finally:
            os._exit(code)

    def _replace(self, code: CodeType) -> None:
        """Let processes that are started load the changed module."""
        compiled = self._folder / "mutant"
        compiled.write_bytes(marshal.dumps(code))
        os.environ |= {
            "NEUROFB_MUTANT": f"neurofb.{self.module.name}",
            "NEUROFB_MUTANT_PATH": str(self.module.path),
            "NEUROFB_MUTANT_SOURCE": str(compiled),
            "PYTHONPATH": f"{self._folder / 'hook'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }

    def _run_anew(self, mutant: Mutant | None, files: Sequence[str], drawn: bool) -> int:
        os.environ["NEUROFB_FUZZ_BLOCKS"] = "1" if drawn else "0"
        self._replace(self.module.code(mutant))
        exec(_HOOK, {})
        function = mutant.function if mutant else ""
        loop = _Loop(lambda items: self._run(self._ordered(items, function)))
        code = _pytest(files, loop)
        return 0 if loop.is_done else code or 70

    def _collect_and_try(self, mutants: Sequence[Mutant], writes: int) -> int:
        def say(**what: object) -> None:
            os.write(writes, json.dumps(what).encode() + b"\n")

        def learn_and_try(items: list[pytest.Item]) -> None:
            self._live = [
                each
                for each in gc.get_objects()
                if isinstance(each, FunctionType) and each.__code__.co_filename == str(self.module.path)
            ]
            if failed := self._forked(functools.partial(self._measure, items)):
                say(failed=failed)
                return
            self.learned.cpu_s, self.learned.calls = json.loads((self._folder / "learned").read_text("utf-8"))
            for at, mutant in enumerate(mutants):
                say(at=at, noticed_by=self._try(mutant, items))
            say(learned=vars(self.learned))

        loop = _Loop(learn_and_try)
        _pytest(self.module.files, loop)
        if not loop.is_done:
            say(failed="at import")
        return 0

    def _try(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str | None:
        code = self.module.code(mutant)
        before = _functions(self.unchanged)
        changed = {at: each for at, each in _functions(code).items() if each != before[at]}
        if not changed or changes_import(self.unchanged, code):
            return None
        live = [each for each in self._live if _place(each.__code__) in changed]
        if {_place(each.__code__) for each in live} != set(changed):
            return None
        places, learned = {line for _, line in changed}, self.learned
        short = [item for item in items if learned.cpu_s[item.nodeid] <= LONG_S]
        reached = [
            item for item in short if (known := learned.calls[item.nodeid]) is None or places & set(known)
        ]
        ordered = self._ordered(reached, mutant.function)
        sums_s = itertools.accumulate(self.learned.cpu_s[item.nodeid] for item in ordered)
        ordered = [item for item, sum_s in zip(ordered, sums_s, strict=True) if sum_s <= self._most_s]

        def run() -> int:
            for each in live:
                each.__code__ = changed[_place(each.__code__)]
            self._replace(code)
            self._run(ordered)
            return 0

        noticed_by = self._forked(run)
        names = [item.nodeid for item in ordered]
        ran = names[: names.index(noticed_by) + 1] if noticed_by in names else names
        self.learned.add(mutant.function, ran, noticed_by)
        return noticed_by

    def _ordered(self, items: Sequence[pytest.Item], function: str) -> list[pytest.Item]:
        by_name = {item.nodeid: item for item in items}
        return [by_name[name] for name in self.learned.order(list(by_name), function)]

    def _run(self, items: Sequence[pytest.Item]) -> None:
        """Run tests in their order; the first that fails ends the process, its name in the report."""
        with (self._folder / "report").open("r+b", buffering=0) as report:
            for item, after in zip(items, [*items[1:], None], strict=True):
                report.seek(0)
                report.truncate()
                report.write(item.nodeid.encode())
                most_s = max(LEAST_CPU_S, SLOWER * self.learned.cpu_s.get(item.nodeid, LEAST_CPU_S))
                signal.setitimer(signal.ITIMER_PROF, most_s)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            signal.setitimer(signal.ITIMER_PROF, 0.0)

    def _measure(self, items: Sequence[pytest.Item]) -> int:
        """Write down how long each test takes, and which functions of the module it calls."""
        called, started = set[int](), []
        codes = _functions(
            compile(_telling(self.module.tree), str(self.module.path), "exec", dont_inherit=True)
        )
        setattr(builtins, _TOLD, called.add)
        for each in self._live:
            each.__code__ = codes.get(_place(each.__code__), each.__code__)

        def on_audit(event: str, _: tuple[object, ...]) -> None:
            if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec"):
                started.append(event)

        sys.addaudithook(on_audit)
        cpu_s: dict[str, float] = {}
        calls: dict[str, list[int] | None] = {}
        for item in items:
            called.clear()
            started.clear()
            before_s = _cpu_s()
            self._run([item])
            cpu_s[item.nodeid] = _cpu_s() - before_s
            calls[item.nodeid] = None if started else sorted(called)
        (self._folder / "learned").write_text(json.dumps([cpu_s, calls]), "utf-8")
        return 0


class _Loop:
    """Takes the place of pytest's own loop over the tests; the first test that fails ends the process."""

    def __init__(self, run: Callable[[list[pytest.Item]], None]) -> None:
        self._run, self.is_done = run, False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if not session.testsfailed:  # at import
            self._run(session.items)
            self.is_done = True
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(1)


def _pytest(files: Sequence[str], loop: _Loop) -> int:
    import pytest
    from hypothesis import Phase, settings

    # What fails is not made smaller, and is not kept for the next mutant.
    phases = [Phase.explicit, Phase.generate, Phase.target]
    settings.register_profile("mutants", database=None, phases=phases, report_multiple_bugs=False)
    settings.load_profile("mutants")
    asked = ["-q", "-s", "--tb=no", "--no-header", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    for plugin in ("cacheprovider", "randomly", "pytest-qt"):
        asked += ["-p", f"no:{plugin}"]
    return int(pytest.main([*asked, *files], plugins=[loop]))


def _telling(tree: ast.Module) -> ast.Module:
    """Return a module whose functions each tell by their first line that they were called."""
    telling = copy.deepcopy(tree)
    for node in ast.walk(telling):
        if isinstance(node, ast.FunctionDef):
            line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            call = ast.parse(f"{_TOLD}({line})").body[0]
            first = node.body[0]
            for each in ast.walk(call):
                ast.copy_location(each, first)
            node.body.insert(ast.get_docstring(node) is not None, call)
    return telling


def _functions(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """Return the functions of a module and of its classes; those within others are part of these."""
    found = {}
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found |= {_place(each): each} if _is_function(each) else _functions(each)
    return found


def changes_import(one: CodeType, other: CodeType) -> bool:
    """Return whether two modules differ in what they do when they are imported."""
    if one.co_code != other.co_code or one.co_names != other.co_names:
        return True
    if len(one.co_consts) != len(other.co_consts):
        return True
    for a, b in zip(one.co_consts, other.co_consts, strict=True):
        if isinstance(a, CodeType) and isinstance(b, CodeType):
            if not _is_function(a) and changes_import(a, b):
                return True
        elif repr(a) != repr(b):
            return True
    return False


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & 0x1)  # CO_OPTIMIZED: what a class body is not


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _learned(said: dict[str, Any]) -> Learned:
    return Learned(
        said["cpu_s"],
        said["calls"],
        Counter(said["tries"]),
        Counter(said["noticed"]),
        {function: Counter(tests) for function, tests in said["of_function"].items()},
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
