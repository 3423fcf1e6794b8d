"""Jinja's sandbox with a budget: nothing runs in it that wasn't paid for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import BuiltinMethodType, MethodType
from typing import Any

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import _PassArg
from jinja2.visitor import NodeTransformer

from softlaunch.core.prompt_templates import operations
from softlaunch.core.prompt_templates.budget import Budget

_LOOP, _JOINED, _SEEN = " loop", " joined", " seen"  # names that no template can write
_MOST_TURNS = 100_000
_CALL_STEPS = 3
_LOOKING = ("keys", "values", "items", "get")  # methods that cost the same whatever a value holds


class MeteredContext(Context):
    """A template's variables, and the budget of its rendering."""

    budget: Budget = Budget(0)
    """Nothing, until the one who renders sets it."""

    def derived(self, locals: dict[str, Any] | None = None) -> Context:  # noqa: A002  (Jinja's name)
        """The context of a block, which pays out of the same budget."""
        context = super().derived(locals)
        if isinstance(context, MeteredContext):
            context.budget = self.budget
        return context


@dataclass(frozen=True, slots=True, eq=False)
class _Format:
    """`format` or `format_map` of a text, which only the sandbox calls."""

    text: str
    apply: Callable[..., str]


class MeteredSandbox(ImmutableSandboxedEnvironment):
    """An environment whose loops, calls, filters, tests and operators are paid for before they run.

    Constants aren't folded while compiling, as `'x' * 10 ** 9` would be made there.
    """

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    context_class = MeteredContext

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, optimized=False)
        self.finalize = _written
        self.filters = {name: _paid_filter(name, made) for name, made in self.filters.items()}
        tests: dict[str, Any] = self.tests
        self.tests = {name: _paid_test(made) for name, made in tests.items()}
        self.filters |= {_LOOP: _turns, _JOINED: _joined, _SEEN: _seen}
        self.globals["range"] = _range
        del self.globals["lipsum"]

    def _generate(self, source: nodes.Template, *arguments: Any, **named: Any) -> str:
        return super()._generate(_Metering(source).visit(source), *arguments, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator after paying for it."""
        return operations.operate(_budget(context), operator, left, right, self.binop_table[operator])

    def wrap_str_format(self, value: Any) -> Any:
        """`format` of a text, bounded when it is called."""
        wrapped = super().wrap_str_format(value)
        return None if wrapped is None else _Format(value.__self__, wrapped)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call something after paying for it."""
        budget = _budget(__context)
        budget.step(_CALL_STEPS)
        if isinstance(__obj, _Format):
            arguments = {name: value for name, value in kwargs.items() if name not in {"_loop_vars", "_block_vars"}}
            values = tuple(args[0].values()) if args and isinstance(args[0], Mapping) else ()
            budget.make(operations.format_size(budget, __obj.text, (*args, *values), arguments))
            return __obj.apply(*args, **arguments)
        if isinstance(__obj, LoopContext):
            args = (budget.turns(args[0]), *args[1:]) if args else args
        elif isinstance(__obj, BuiltinMethodType | MethodType):
            args = _method_paid(budget, __obj, args, kwargs)
        elif not isinstance(__obj, Macro):
            budget.spend(len(args) + len(kwargs))
        return super().call(__context, __obj, *args, **kwargs)


def _budget(context: Context) -> Budget:
    budget: Budget = context.budget  # type: ignore[attr-defined]  # the sandbox makes no other contexts
    return budget


def _method_paid(
    budget: Budget, method: BuiltinMethodType | MethodType, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """Pay for a method of a value; returns the arguments, with what comes one by one counted."""
    owner, name = method.__self__, method.__name__
    args = tuple(operations.materialised(budget, value) for value in args)
    if isinstance(owner, str):
        arguments = {key: value for key, value in named.items() if not key.startswith("_")}
        joins = name == "join" and bool(args)
        size = (
            operations.join_size(budget, owner, args[0] if isinstance(args[0], list | tuple) else list(args[0]))
            if joins
            else operations.method_size(budget, owner, name, args, arguments)
        )
        budget.make(size)
    elif isinstance(owner, bytes):
        raise TypeError("bytes have no methods in a prompt; work with texts")
    elif name not in _LOOKING and isinstance(owner, dict | list | tuple | int | float | type):
        operations.narrow(args, {})
        budget.make(sum(budget.size(value) for value in args) + (len(owner) if isinstance(owner, list | tuple) else 0))
    return args


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > _MOST_TURNS:
        raise OverflowError(f"range() of more than {_MOST_TURNS:,}; loop over less")
    return found


@pass_context
def _written(context: Context, value: Any) -> Any:
    budget = _budget(context)
    if type(value) is str:
        budget.write(len(value))
        return value
    budget.write(4 * budget.size(value))
    return value


@pass_context
def _turns(context: Context, values: Any) -> Any:
    return iter(values) if isinstance(values, StrictUndefined) else _budget(context).turns(values)


@pass_context
def _joined(context: Context, *parts: Any) -> str:
    budget = _budget(context)
    budget.make(4 * sum(0 if isinstance(part, str) else budget.size(part) for part in parts))
    texts = [str(part) for part in parts]
    budget.make(sum(map(len, texts)))
    return "".join(texts)


@pass_context
def _seen(context: Context, value: Any) -> Any:
    _budget(context).spend(len(value) if isinstance(value, str | list | tuple | dict) else 1)
    return value


def _paid_filter(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays before it runs; what it hands on one by one is paid for as it is taken."""
    passed, cost, takes_all = _PassArg.from_obj(made), operations.filter_cost(name), name in operations.TAKING_ALL

    @pass_context
    def run(context: Context, *args: Any, **named: Any) -> Any:
        budget = _budget(context)
        if takes_all:
            args = (operations.materialised(budget, args[0]), *args[1:])
        budget.make(cost(budget, args, named))
        done = made(*args, **named) if passed is None else made(_passed(passed, context), *args, **named)
        return iter(budget.turns(done)) if hasattr(done, "__next__") else done

    return run


def _paid_test(made: Callable[..., Any]) -> Callable[..., Any]:
    """A test that pays before it runs, by the length of what it looks at."""
    passed = _PassArg.from_obj(made)

    @pass_context
    def run(context: Context, *args: Any, **named: Any) -> Any:
        budget = _budget(context)
        budget.step()
        for value in args:
            budget.spend(len(value) if isinstance(value, str | list | tuple | dict) else 1)
        return made(*args, **named) if passed is None else made(_passed(passed, context), *args, **named)

    return run


def _passed(kind: _PassArg, context: Context) -> Any:
    if kind is _PassArg.context:
        return context
    return context.eval_ctx if kind is _PassArg.eval_context else context.environment


class _Metering(NodeTransformer):
    """Puts paying into a template: before loops, joined texts, slices, and what a loop writes and compares."""

    def __init__(self, template: nodes.Template) -> None:
        repeats = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Call, nodes.Block)
        self._repeats = next(template.find_all(repeats), None) is not None

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802  (Jinja's name)
        """A text that may be written again and again is paid for like any other output."""
        return nodes.Const(node.data, lineno=node.lineno) if self._repeats else node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  (Jinja's name)
        """Each turn is paid for."""
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  (Jinja's name)
        """Texts joined by `~` are paid for by their length."""
        self.generic_visit(node)
        return _filtered(node.nodes[0], _JOINED, node.nodes[1:])

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802  (Jinja's name)
        """Comparing and searching is paid for by the length."""
        self.generic_visit(node)
        if self._repeats:
            node.expr = _filtered(node.expr, _SEEN)
            for operand in node.ops:
                operand.expr = _filtered(operand.expr, _SEEN)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802  (Jinja's name)
        """A slice is a copy."""
        self.generic_visit(node)
        return _filtered(node, _SEEN) if isinstance(node.arg, nodes.Slice) else node


def _filtered(node: Any, name: str, arguments: list[nodes.Expr] | None = None) -> nodes.Filter:
    return nodes.Filter(node, name, arguments or [], [], None, None, lineno=node.lineno)
