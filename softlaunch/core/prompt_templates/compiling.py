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
    """A template that can be rendered, and the names that it takes from outside.

    `plain` are the pieces of one that has nothing but texts and names: each text, and whether it is a name.
    """

    template: Template
    variables: frozenset[str]
    plain: tuple[tuple[str, bool], ...] | None


@lru_cache(maxsize=1024)
def compiled(template: str) -> Compiled:
    """A template made ready. Raises TemplateSyntaxError with the line, whatever is wrong with it."""
    try:
        _check_words(template)
        tree = _SANDBOX.parse(template)
        _check_depth(tree)
        variables = frozenset(meta.find_undeclared_variables(tree))
        plain = _plain_pieces(tree)
        made = Template.from_code(_SANDBOX, _SANDBOX.compile(tree), _SANDBOX.make_globals(None))
    except TemplateSyntaxError:
        raise
    except (RecursionError, MemoryError, SyntaxError) as error:  # of the parser, or of Python's compiler
        raise TemplateSyntaxError(_NESTED, 1) from error
    except Exception as error:  # such as a ValueError for a number of 6,000 digits
        raise TemplateSyntaxError(f"it can't be read: {error}", 1) from error
    made.globals = dict(made.globals)  # a ChainMap otherwise, which every rendering would flatten anew
    return Compiled(made, variables, plain)


def variables_of(template: str) -> frozenset[str]:
    """Names that a template takes from outside. Raises TemplateSyntaxError."""
    return compiled(template).variables


def rendered(template: str, variables: Mapping[str, Any], budget: Budget) -> str:
    """The text that a template makes of variables, paid for out of a budget.

    Raises TooHeavyError, or nearly anything that an expression of the template raises.
    """
    ready = compiled(template)
    if ready.plain is not None:
        text = _filled(ready.plain, variables, budget)
        if text is not None:
            return text
    made = ready.template
    context = MeteredContext(_SANDBOX, {**made.globals, **variables}, None, made.blocks, made.globals)
    context.budget = budget
    try:
        return "".join(made.root_render_func(context))
    except RecursionError as error:
        raise TooHeavyError("it calls itself too often; end the recursion earlier, or use a loop") from error


def _plain_pieces(tree: nodes.Template) -> tuple[tuple[str, bool], ...] | None:
    """The pieces of a template that only puts values between texts; None for one that does more."""
    pieces: list[tuple[str, bool]] = []
    for part in tree.body:
        for node in part.nodes if isinstance(part, nodes.Output) else [part]:
            if isinstance(node, nodes.TemplateData):
                pieces.append((node.data, False))
            elif isinstance(node, nodes.Name):
                pieces.append((node.name, True))
            else:
                return None
    return tuple(pieces)


def _filled(pieces: tuple[tuple[str, bool], ...], variables: Mapping[str, Any], budget: Budget) -> str | None:
    """What the template would make of values that are texts, paid for as it pays; None where one isn't a text."""
    texts: list[str] = []
    written: list[int] = []
    for piece, is_name in pieces:
        if is_name:
            value = variables.get(piece)
            if type(value) is not str:
                return None
            written.append(len(value))
            texts.append(value)
        else:
            texts.append(piece)
    for size in written:
        budget.write(size)
    return "".join(texts)


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
