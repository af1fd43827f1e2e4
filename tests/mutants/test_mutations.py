"""The mutants themselves: what is changed, under which name, and that named survivors exist."""

import ast

import pytest
from forked_tests import Learned, changes_import
from mutations import mutants
from try_mutants import SURVIVORS, changed_lines, files_for, modules, named_survivors, path_of

SOURCE = '''
"""A module."""
LIMIT_C = 49.0

class Guard:
    """Guards."""

    def step(self, a: float, b: float) -> float:
        """Step."""
        if a > b and not self.off:
            raise ValueError(f"{a + 1} is above")
        self.kept = min(a, b)
        self.log(a, b)
        return a - b
'''


def names(source):
    return [mutant.name for mutant in mutants(source)]


def test_each_kind_of_change_is_made_and_named_by_its_function():
    assert names(SOURCE) == [
        "(module): 49.0  ->  61.25",
        "Guard.step: if a > b and (not self.off):  ->  if True:",
        "Guard.step: if a > b and (not self.off):  ->  if False:",
        "Guard.step: a > b and (not self.off)  ->  a > b or not self.off",
        "Guard.step: a > b and (not self.off)  ->  not self.off",
        "Guard.step: a > b and (not self.off)  ->  a > b",
        "Guard.step: a > b  ->  a >= b",
        "Guard.step: a > b  ->  a <= b",
        "Guard.step: not self.off  ->  self.off",
        "Guard.step: raise ValueError(f'{a + 1} is above')  ->  pass",
        "Guard.step: self.kept = min(a, b)  ->  pass",
        "Guard.step: min(a, b)  ->  max(a, b)",
        "Guard.step: self.log(a, b)  ->  pass",
        "Guard.step: self.log(a, b)  ->  self.log(b, a)",
        "Guard.step: return a - b  ->  return None",
        "Guard.step: a - b  ->  a + b",
    ]


def test_a_mutant_differs_in_one_place_and_keeps_its_lines():
    tree = ast.parse(SOURCE)
    for mutant in mutants(SOURCE):
        changed = mutant.of(tree)
        assert ast.unparse(changed) != ast.unparse(tree), mutant.name
        compile(changed, "guard.py", "exec")
        lines = [node.lineno for node in ast.walk(changed) if isinstance(node, ast.FunctionDef)]
        assert lines == [8]
    assert ast.unparse(tree) == ast.unparse(ast.parse(SOURCE)), "the original stays as it is"


def test_names_do_not_depend_on_lines():
    assert names("\n\n# More.\n" + SOURCE) == names(SOURCE)
    assert "f: x = 1  ->  pass (no. 2)" not in names("def f(o):\n    o.x = 1\n    o.y = 1\n")
    twice = names("def f(o):\n    o.x = 1\n    o.x = 1\n")
    assert "f: o.x = 1  ->  pass (no. 2)" in twice


@pytest.mark.parametrize("module", modules(stimulation=True))
def test_each_module_of_stimulation_has_mutants_and_tests(module):
    assert mutants(path_of(module).read_text("utf-8"))
    assert files_for(module)


def test_each_named_survivor_exists_and_has_its_reason():
    """A name that fits nothing any more is taken out: the code has changed, and so may the reason have."""
    there = {
        (module, mutant.name)
        for module in modules(stimulation=True)
        for mutant in mutants(path_of(module).read_text("utf-8"))
    }
    named = named_survivors()
    assert SURVIVORS.exists()
    assert [key for key in named if key not in there] == []
    assert [key for key, reason in named.items() if not reason.startswith(("equal: ", "tame: "))] == []


def test_only_what_runs_at_import_is_called_so():
    tree = ast.parse(SOURCE)
    unchanged = compile(tree, "guard.py", "exec")
    at_import = [
        m.name for m in mutants(SOURCE) if changes_import(unchanged, compile(m.of(tree), "guard.py", "exec"))
    ]
    assert at_import == ["(module): 49.0  ->  61.25"]


def test_likely_test_comes_first_and_a_quick_one_before_a_slow_one():
    learned = Learned(cpu_s={"slow": 2.0, "quick": 0.01, "other": 0.01})
    assert learned.order(["slow", "quick"], "f") == ["quick", "slow"]
    learned.add("f", ["quick", "other"], "other")
    assert learned.order(["quick", "other"], "f") == ["other", "quick"]
    for _ in range(50):
        learned.add("g", ["other", "quick"], "quick")
    assert learned.order(["quick", "other", "slow"], "f")[-1] == "slow"


def test_clone_without_the_commit_has_nothing_to_compare(capsys):
    assert changed_lines("0" * 40, "src") == {}
    assert "nothing is tried" in capsys.readouterr().out
