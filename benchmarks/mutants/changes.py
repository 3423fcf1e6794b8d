"""The small changes that code can be given: which there are in a source, and the source with one of them."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_SHOWN = 110
_LOGGED = {"_LOGGER", "logger", "logging", "warnings"}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
_OPAQUE = (ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Assert)
"""What is left alone: Python 3.11 doesn't say where in the source the parts of an f-string are."""
_PASSIVE = {"annotation", "returns", "decorator_list", "type_params", "bases"}

Node = ast.stmt | ast.expr


@dataclass(frozen=True, slots=True)
class Change:
    """One change: what stands from `start` to `end` of a source (bytes) is replaced. Lines count from one."""

    line: int
    last_line: int
    kind: str
    before: str
    after: str
    start: int
    end: int

    def apply(self, source: str) -> str:
        """The source with this change."""
        content = source.encode()
        return (content[: self.start] + self.after.encode() + content[self.end :]).decode()

    @property
    def shown(self) -> str:
        """The change in one short line."""
        return f"{_short(self.before)}  ->  {_short(self.after)}"


def changes_of(source: str) -> list[Change]:
    """Every change that a source can be given, in its order; some may leave it as it is, or not be valid."""
    offsets = [0]
    for line in source.encode().splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    found = (_placed(node, kind, after, offsets) for node, kind, after in _walk(ast.parse(source)))
    return sorted(dict.fromkeys(found), key=lambda change: (change.start, change.kind, change.after))


def makes_a_difference(change: Change, source: str) -> bool:
    """Whether a source with a change is still valid, and another program."""
    try:
        return ast.dump(ast.parse(change.apply(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _placed(node: Node, kind: str, after: str, offsets: list[int]) -> Change:
    last = node.end_lineno or node.lineno
    start, end = offsets[node.lineno - 1] + node.col_offset, offsets[last - 1] + (node.end_col_offset or 0)
    return Change(node.lineno, last, kind, ast.unparse(node), after, start, end)


def _walk(node: ast.AST) -> Iterator[tuple[Node, str, str]]:
    """Each node that can be changed, with the kind of the change and the text that takes its place."""
    if isinstance(node, _OPAQUE) or _is_talk(node):
        return
    if isinstance(node, ast.stmt):
        yield from ((node, kind, after) for kind, after in _of_statement(node))
    if isinstance(node, ast.expr):
        yield from ((node, kind, f"({ast.unparse(changed)})") for kind, changed in _of_expression(node))
    if isinstance(node, ast.If | ast.IfExp) and isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
        yield node.test, "negated condition", f"(not {ast.unparse(node.test)})"
    for child in _parts(node):
        yield from _walk(child)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below a node that do something: what an error says is text, and types are for mypy."""
    if isinstance(node, ast.Raise):
        return
    for name, value in ast.iter_fields(node):
        if name not in _PASSIVE:
            yield from (
                child for child in (value if isinstance(value, list) else [value]) if isinstance(child, ast.AST)
            )


def _is_talk(node: ast.AST) -> bool:
    """Whether a statement is only read by people: a docstring, or a line of the program's log."""
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    called = node.value.func if isinstance(node.value, ast.Call) else None
    return isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in _LOGGED


def _of_statement(node: ast.stmt) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield "returned None", "return None"
        case ast.AugAssign(target=target, op=op, value=value):
            yield "removed statement", "pass"
            yield "arithmetic", f"{ast.unparse(target)} = {ast.unparse(value)}"
            if type(op) in _ARITHMETIC and not _is_text(value):
                yield "arithmetic", ast.unparse(ast.AugAssign(target, _ARITHMETIC[type(op)](), value))
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Delete() | ast.Raise():
            yield "removed statement", "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "removed statement", "pass"


def _of_expression(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Compare():
            yield from _of_comparison(node)
        case ast.BoolOp():
            yield from _of_condition(node)
        case ast.Constant(value=value):
            yield from (("constant", ast.Constant(other)) for other in _other_values(value))
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in _ARITHMETIC and not (_is_text(left) or _is_text(right)):
                yield "arithmetic", ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "dropped not", operand
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "swapped branches", ast.IfExp(test, orelse, body)


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, ast.expr]]:
    for place, op in enumerate(node.ops):
        changed = copy.deepcopy(node)
        changed.ops[place] = _COMPARISONS[type(op)]()
        yield "comparison", changed


def _of_condition(node: ast.BoolOp) -> Iterator[tuple[str, ast.expr]]:
    yield "boolean", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for place in range(len(node.values)):
        rest = node.values[:place] + node.values[place + 1 :]
        yield "dropped condition", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _other_values(value: object) -> tuple[bool | float, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int | float):
        return (value + 1, value * 2) if value else (value + 1,)
    return ()


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
