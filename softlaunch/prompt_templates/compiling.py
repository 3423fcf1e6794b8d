"""From a template's text to one that renders within a budget, or to what is wrong with it and on which line."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateSyntaxError, meta, nodes

from softlaunch.prompt_templates.budget import Budget, TooHeavyError
from softlaunch.prompt_templates.sandbox import MeteredContext, MeteredSandbox

_DEEPEST_BRACKETS = 16
_DEEPEST = 60
_SANDBOX = MeteredSandbox()
_NESTED = f"brackets are nested more than {_DEEPEST_BRACKETS} deep, or blocks and operators more than {_DEEPEST}"


@lru_cache(maxsize=1024)
def compiled(template: str) -> Template:
    """A template that can be rendered. Raises TemplateSyntaxError with the line, whatever is wrong with it."""
    tree = _parsed(template)
    try:
        code = _SANDBOX.compile(tree)
    except TemplateSyntaxError:
        raise
    except (RecursionError, MemoryError, SyntaxError) as error:  # of Python's compiler, for what nests too deep
        raise TemplateSyntaxError(_NESTED, 1) from error
    except Exception as error:
        raise TemplateSyntaxError(f"it can't be compiled: {error}", 1) from error
    made = Template.from_code(_SANDBOX, code, _SANDBOX.make_globals(None))
    made.globals = dict(made.globals)  # a ChainMap otherwise, which every rendering would flatten anew
    return made


def variables_of(template: str) -> frozenset[str]:
    """Names that a template takes from outside. Raises TemplateSyntaxError."""
    return frozenset(meta.find_undeclared_variables(_parsed(template)))


def rendered(template: str, variables: Mapping[str, Any], budget: Budget) -> str:
    """The text that a template makes of variables, paid for out of a budget.

    Raises TooHeavyError, or nearly anything that an expression of the template raises.
    """
    made = compiled(template)
    context = MeteredContext(_SANDBOX, {**made.globals, **variables}, None, made.blocks, made.globals)
    context.budget = budget
    try:
        return "".join(made.root_render_func(context))
    except RecursionError as error:
        raise TooHeavyError("it calls itself too often; end the recursion earlier, or use a loop") from error


def _parsed(template: str) -> nodes.Template:
    try:
        _check_brackets(template)
        tree = _SANDBOX.parse(template)
        _check_depth(tree)
    except TemplateSyntaxError:
        raise
    except RecursionError as error:
        raise TemplateSyntaxError(_NESTED, 1) from error
    except Exception as error:  # such as a ValueError for a number of 6,000 digits
        raise TemplateSyntaxError(f"it can't be read: {error}", 1) from error
    return tree


def _check_brackets(template: str) -> None:
    """Refuse what the parser, which calls itself for each bracket, could read here and not elsewhere."""
    depth = 0
    for line, kind, text in _SANDBOX.lex(template):
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
