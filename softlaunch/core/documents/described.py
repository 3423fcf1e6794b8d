"""What the text below a key says, read from the source when somebody asks.

pydantic can do it for every model at import. That takes longer than all else that a policy's models need, and a
rollback asks for none of it.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise

from pydantic import BaseModel


@lru_cache(maxsize=256)
def descriptions(kind: type[BaseModel]) -> Mapping[str, str]:
    """What a model's fields mean, by name: as the field itself says, or else the text below it."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _texts_below(base)
    own = {name: field.description for name, field in kind.model_fields.items() if field.description}
    return {name: text for name, text in {**found, **own}.items() if name in kind.model_fields}


def _texts_below(kind: type[BaseModel]) -> dict[str, str]:
    """The texts below the fields that a class itself declares."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
