"""From a template's text to one that renders within a budget, or to what is wrong with it and on which line."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateSyntaxError, meta, nodes

from softlaunch.core.prompt_templates.budget import Budget, TooHeavyError
from softlaunch.core.prompt_templates.sandbox import MeteredContext, MeteredSandbox

_DEEPEST_BRACKETS = 16
_DEEPEST = 60
_MOST_WORDS = 10_000
_SANDBOX = MeteredSandbox()
_NESTED = f"brackets are nested more than {_DEEPEST_BRACKETS} deep, or blocks and operators more than {_DEEPEST}"
_CODELESS = frozenset({"data", "whitespace", "comment", "comment_begin", "comment_end", "raw_begin", "raw_end"})


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template that can be rendered, and the names that it takes from outside."""

    template: Template
    variables: frozenset[str]


@lru_cache(maxsize=1024)
def compiled(template: str) -> Compiled:
    """A template made ready. Raises TemplateSyntaxError with the line, whatever is wrong with it."""
    try:
        _check_words(template)
        tree = _SANDBOX.parse(template)
        _check_depth(tree)
        variables = frozenset(meta.find_undeclared_variables(tree))
        made = Template.from_code(_SANDBOX, _SANDBOX.compile(tree), _SANDBOX.make_globals(None))
    except TemplateSyntaxError:
        raise
    except (RecursionError, MemoryError, SyntaxError) as error:  # of the parser, or of Python's compiler
        raise TemplateSyntaxError(_NESTED, 1) from error
    except Exception as error:  # such as a ValueError for a number of 6,000 digits
        raise TemplateSyntaxError(f"it can't be read: {error}", 1) from error
    made.globals = dict(made.globals)  # a ChainMap otherwise, which every rendering would flatten anew
    return Compiled(made, variables)


def variables_of(template: str) -> frozenset[str]:
    """Names that a template takes from outside. Raises TemplateSyntaxError."""
    return compiled(template).variables


def rendered(template: str, variables: Mapping[str, Any], budget: Budget) -> str:
    """The text that a template makes of variables, paid for out of a budget.

    Raises TooHeavyError, or nearly anything that an expression of the template raises.
    """
    made = compiled(template).template
    context = MeteredContext(_SANDBOX, {**made.globals, **variables}, None, made.blocks, made.globals)
    context.budget = budget
    try:
        return "".join(made.root_render_func(context))
    except RecursionError as error:
        raise TooHeavyError("it calls itself too often; end the recursion earlier, or use a loop") from error


def _check_words(template: str) -> None:
    """Refuse what takes long to compile, and what the parser could read here and not where its stack is deeper."""
    depth = words = 0
    for line, kind, text in _SANDBOX.lex(template):
        words += kind not in _CODELESS
        if words > _MOST_WORDS:
            raise TemplateSyntaxError(f"its code has more than {_MOST_WORDS:,} words and signs; write less", line)
        if kind == "operator":
            depth += (text in "([{") - (text in ")]}")
            if depth > _DEEPEST_BRACKETS:
                raise TemplateSyntaxError(_NESTED, line)


def _check_depth(tree: nodes.Template) -> None:
    waiting: list[tuple[int, nodes.Node]] = [(0, tree)]
    while waiting:
        depth, node = waiting.pop()
        if depth > _DEEPEST:
            raise TemplateSyntaxError(_NESTED, node.lineno)
        waiting += [(depth + 1, child) for child in node.iter_child_nodes()]
