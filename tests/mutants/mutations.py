"""Small wrong changes to a module, one at a time: what a suite that can fail must notice.

In: source text. Out: mutants, each a changed syntax tree with the lines of the original, so that messages and
tracebacks stay where they were. Not mutated: docstrings, messages, types, and the bodies of protocols.

A mutant is named by its function, the text that changes and what it becomes, never by a line: other changes to the
file leave names as they are.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Change = Callable[[ast.AST], ast.AST]

_COMPARED = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
#: What an assignment must go to, to be left out: a name would be missed at once.
_KEPT = (ast.Attribute, ast.Subscript, ast.Tuple)
#: A number that only shapes text, or is looked up by a library.
_UNTOUCHED_CALLS = ("timeout", "nearest")


@dataclass(frozen=True)
class Mutant:
    """One change. ``number`` counts equal changes within a function, from the first line on."""

    function: str
    before: str
    after: str
    number: int
    kind: str
    first_line: int
    last_line: int
    path: tuple[tuple[str, int | None], ...] = field(repr=False)
    change: Change = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        again = f" (no. {self.number})" if self.number > 1 else ""
        return f"{self.function}: {self.before}  ->  {self.after}{again}"

    def of(self, tree: ast.Module) -> ast.Module:
        """Return the changed copy of a tree."""
        changed = copy.deepcopy(tree)
        at: ast.AST = changed
        for name, index in self.path[:-1]:
            at = _child(at, name, index)
        name, index = self.path[-1]
        old = _child(at, name, index)
        new = ast.fix_missing_locations(ast.copy_location(self.change(old), old))
        if index is None:
            setattr(at, name, new)
        else:
            getattr(at, name)[index] = new
        return changed


def _child(node: ast.AST, name: str, index: int | None) -> ast.AST:
    value = getattr(node, name)
    return value if index is None else value[index]


def mutants(source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    counts: dict[tuple[str, str, str], int] = {}
    found = []
    for node, path, function in _walk(tree, (), "(module)"):
        for kind, change in _changes(node):
            before = _text(node)
            after = _text(change(copy.deepcopy(node)))
            key = function, before, after
            counts[key] = counts.get(key, 0) + 1
            found.append(
                Mutant(
                    function, before, after, counts[key], kind, node.lineno,
                    node.end_lineno or node.lineno, path, change,
                )
            )  # fmt: skip
    return found


def _text(node: ast.AST) -> str:
    text = ast.unparse(node)
    if isinstance(node, (ast.If, ast.For, ast.With, ast.FunctionDef)):
        text = text.splitlines()[0]
    return " ".join(text.split())


def _walk(
    node: ast.AST, path: tuple[tuple[str, int | None], ...], function: str
) -> Iterator[tuple[ast.AST, tuple[tuple[str, int | None], ...], str]]:
    """Every node that may be changed, with the way to it and the function it stands in."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = node.name if function == "(module)" else f"{function}.{node.name}"
    if hasattr(node, "lineno"):
        yield node, path, function
    for name, value in ast.iter_fields(node):
        if _is_text(node, name):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not _is_untouched(node, child, name):
                yield from _walk(child, (*path, (name, index)), function)


def _is_text(node: ast.AST, name: str) -> bool:
    """What a person reads, or a type."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Raise) and name in ("exc", "cause")):
        return True
    if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases):
        return True
    if isinstance(node, (ast.FunctionDef, ast.arg)) and name in ("annotation", "returns", "decorator_list"):
        return True
    # The bounds of a field stand in its annotation: ``Annotated[float, Field(gt=0)]``.
    return (
        isinstance(node, ast.AnnAssign)
        and name == "annotation"
        and "Field(" not in ast.unparse(node.annotation)
    )


def _is_untouched(node: ast.AST, child: ast.AST, name: str) -> bool:
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True  # a docstring, or three dots
    if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
        return True
    if isinstance(child, ast.Assert):
        return True
    return isinstance(node, ast.keyword) and node.arg in ("description", *_UNTOUCHED_CALLS)


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                for other in _COMPARED.get(type(op), ()):
                    kind = (
                        "boundary"
                        if other is _COMPARED[type(op)][0] and len(_COMPARED[type(op)]) > 1
                        else "comparison"
                    )
                    yield kind, _with_op(at, other)
        case ast.BoolOp():
            yield "and/or", _other_bool
            for at in range(len(node.values)):
                yield "part of a condition", _without_value(at)
        case ast.BinOp(op=op) if type(op) in _COMPUTED:
            if not isinstance(node.left, (ast.Constant, ast.JoinedStr)) or not isinstance(
                getattr(node.left, "value", None), str
            ):
                yield "arithmetic", _other_op
        case ast.AugAssign(op=op):
            if type(op) in _COMPUTED:
                yield "arithmetic", _other_op
            yield "removed assignment", _nothing
        case ast.UnaryOp(op=ast.Not()):
            yield "not", lambda n: n.operand
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", lambda n: n.operand
        case ast.Constant(value=bool(value)):
            yield "flag", lambda n: ast.Constant(not n.value)
        case ast.Constant(value=int() | float()):
            yield "number", _other_number
        case ast.Call(func=ast.Name(id=name)) if name in _SWAPPED:
            yield "min/max", _other_function
        case ast.Call(args=[first, second, *_]) if ast.unparse(first) != ast.unparse(second):
            if not isinstance(first, (ast.Constant, ast.JoinedStr)) and not isinstance(node.func, ast.Name):
                yield "arguments", _swapped
        case ast.IfExp():
            yield "condition", lambda n: n.body
            yield "condition", lambda n: n.orelse
        case ast.If():
            yield "condition", _always(True)
            yield "condition", _always(False)
        case ast.Expr(value=ast.Call()):
            yield "removed call", _nothing
        case ast.Assign(targets=targets) if all(
            isinstance(t, (ast.Attribute, ast.Subscript, ast.Tuple)) for t in targets
        ):
            yield "removed assignment", _nothing
        case ast.Raise():
            yield "removed raise", _nothing
        case ast.Return(value=ast.expr() as value) if not (
            isinstance(value, ast.Constant) and value.value is None
        ):
            yield "removed return value", lambda n: ast.Return(ast.Constant(None))


def _with_op(at: int, other: type[ast.cmpop]) -> Change:
    def change(node: ast.AST) -> ast.AST:
        node.ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
        return node

    return change


def _without_value(at: int) -> Change:
    def change(node: ast.AST) -> ast.AST:
        left = [value for i, value in enumerate(node.values) if i != at]
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    return change


def _always(value: bool) -> Change:
    def change(node: ast.AST) -> ast.AST:
        node.test = ast.Constant(value)
        return node

    return change


def _other_bool(node: ast.AST) -> ast.AST:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return node


def _other_op(node: ast.AST) -> ast.AST:
    node.op = _COMPUTED[type(node.op)]()
    return node


def _other_function(node: ast.AST) -> ast.AST:
    node.func = ast.Name(_SWAPPED[node.func.id], ast.Load())
    return node


def _swapped(node: ast.AST) -> ast.AST:
    node.args[0], node.args[1] = node.args[1], node.args[0]
    return node


def _other_number(node: ast.AST) -> ast.AST:
    value = node.value
    return ast.Constant(value + 1 if isinstance(value, int) or value == 0 else value * 1.25)


def _nothing(node: ast.AST) -> ast.AST:
    return ast.Pass()
