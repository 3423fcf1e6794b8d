"""JSON schemas that other people wrote: whether they can be used, and whether a value fits one, within limits.

References are resolved within the schema itself and the published drafts. Nothing is ever fetched or read from a file.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from softlaunch.core.bounded import OURS, BeyondLimitsError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from referencing import Registry
    from referencing._core import Resolver

Schema = Mapping[str, Any]

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ONE_IN_PLACE = ("not", "if", "then", "else", "extends", "disallow")
_SEVERAL_IN_PLACE = ("allOf", "anyOf", "oneOf", "extends", "type", "disallow")
_NAMED_IN_PLACE = ("dependentSchemas", "dependencies")
_LONGEST_SHOWN = 100
_NO_METASCHEMA = "https://json-schema.org/schema"  # which stands for the newest draft


class _RefusedError(Exception):
    """A schema that can't be used; the text says what is wanted instead."""


def schema_objection(contract: Schema) -> str | None:
    """What is wanted in the place of a schema, or None where it can be used.

    Refused are schemas that don't fit their metaschema, regular expressions that don't compile, a `$schema` that nobody
    knows, and references that lead out of the schema, nowhere, or back to themselves.
    """
    try:
        return _objection(orjson.dumps(contract))
    except TypeError as error:
        return f"a JSON schema, all of which JSON can hold ({error})"


def misfit(contract: Schema, value: Any) -> str | None:
    """The first place where a value doesn't fit, in words; None where it fits. Raises BeyondLimitsError."""
    return OURS.call(_misfit, contract, value)


def fits(contract: bytes, document: str) -> bool | None:
    """Whether JSON fits a schema, both as text; None where the schema can't be used. To be called within limits."""
    validator = _usable(contract)
    if validator is None:
        return None
    try:
        return validator.is_valid(orjson.loads(document))
    except orjson.JSONDecodeError:
        return False


@lru_cache(maxsize=256)
def _usable(contract: bytes) -> "Validator | None":
    schema = orjson.loads(contract)
    return _validator(schema) if isinstance(schema, dict) and _checked(schema) is None else None


@lru_cache(maxsize=1024)
def _objection(contract: bytes) -> str | None:
    try:
        return OURS.call(_checked, orjson.loads(contract))
    except BeyondLimitsError as error:
        return f"a JSON schema that can be checked; {error}"


def _misfit(contract: Schema, value: Any) -> str | None:
    from jsonschema.exceptions import best_match

    wrong = best_match(_validator(contract).iter_errors(value))
    return None if wrong is None else f"{wrong.json_path}: {wrong.message}"


def _checked(contract: Schema) -> str | None:
    from jsonschema import SchemaError

    try:
        validator = _validator(contract)
        validator.check_schema(dict(contract))
        _check_references(contract, validator)
    except _RefusedError as refused:
        return str(refused)
    except SchemaError as error:
        return f"a JSON schema: {_short(error.message)}"
    except RecursionError:
        return "a JSON schema that is nested less deeply"
    except Exception as error:  # over a strange schema the libraries raise nearly anything
        return f"a JSON schema that can be understood ({type(error).__name__}: {_short(str(error))})"
    return None


def _validator(contract: Schema) -> "Validator":
    """For the draft that the schema names, 2020-12 where it names none."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    named = contract.get("$schema", _NO_METASCHEMA)
    if not isinstance(named, str) or not _is_known(named):
        raise _RefusedError(f"a $schema that is a published draft of JSON Schema, not {_shown(named)}")
    kind = validator_for({"$schema": named}, default=Draft202012Validator)
    return kind(contract, registry=_known_resources())


def _is_known(metaschema: str) -> bool:
    from jsonschema.validators import validator_for

    plain = metaschema.removesuffix("#").replace("http://", "https://", 1)
    return plain == _NO_METASCHEMA or validator_for({"$schema": metaschema}, default=None) is not None  # type: ignore[arg-type]  # None tells that there is none


def _known_resources() -> "Registry[Any]":
    """The published drafts, which come along; everything else is nowhere."""
    from jsonschema_specifications import REGISTRY

    known: Registry[Any] = REGISTRY
    return known


def _check_references(contract: Schema, validator: "Validator") -> None:
    """Follow every reference; raises _RefusedError, too, for schemas that apply themselves to the same value again."""
    from referencing.jsonschema import specification_with

    specification = specification_with(str(validator.META_SCHEMA.get("$id") or validator.META_SCHEMA["id"]))
    root = specification.create_resource(contract)
    waiting = [(contract, _known_resources().resolver_with_root(root))]
    places: dict[int, list[int]] = {}
    while waiting:
        node, resolver = waiting.pop()
        if id(node) in places or not isinstance(node, Mapping):
            continue
        if isinstance(named := node.get("$schema"), str) and not _is_known(named):
            raise _RefusedError(f"a $schema that is a published draft of JSON Schema, not {_shown(named)}")
        led = list(_led_to(node, resolver))
        in_place = list(_in_place(node))
        places[id(node)] = [id(one) for one in (*in_place, *(content for content, _ in led))]
        below = (*specification.create_resource(node).subresources(), *map(specification.create_resource, in_place))
        waiting.extend([*led, *((one.contents, resolver.in_subresource(one)) for one in below)])
    _refuse_circles(places)


def _led_to(node: Schema, resolver: "Resolver[Any]") -> Iterator[tuple[Any, "Resolver[Any]"]]:
    """What the references of a place lead to, each with what resolves references from there."""
    from referencing.exceptions import Unresolvable

    for keyword in _REFERENCES:
        reference = node.get(keyword)
        if not isinstance(reference, str):
            continue
        try:
            found = resolver.lookup(reference)
        except (Unresolvable, ValueError, LookupError, TypeError) as error:
            raise _RefusedError(
                f"references within the schema: {keyword} {_shown(reference)} leads nowhere in it, and nothing is "
                "fetched or read from files"
            ) from error
        if not isinstance(found.contents, Mapping | bool):
            raise _RefusedError(f"references to schemas: {keyword} {_shown(reference)} leads to something else")
        yield found.contents, found.resolver


def _in_place(node: Schema) -> Iterator[Schema]:
    """The schemas that a schema applies to the very value that it is applied to itself."""
    candidates: Iterable[Any] = (
        *(node.get(keyword) for keyword in _ONE_IN_PLACE),
        *(one for keyword in _SEVERAL_IN_PLACE for one in _listed(node.get(keyword))),
        *(one for keyword in _NAMED_IN_PLACE for one in _named(node.get(keyword))),
    )
    return (one for one in candidates if isinstance(one, Mapping))


def _listed(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _named(value: object) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else ()


def _refuse_circles(places: Mapping[int, list[int]]) -> None:
    """Raises _RefusedError where somebody who follows what applies to one value comes back to where they were."""
    done: set[int] = set()
    for start in places:
        path, under_way = [(start, iter(places[start]))], {start}
        while path:
            node, following = path[-1]
            after = next((one for one in following if one not in done), None)
            if after in under_way:
                raise _RefusedError("a JSON schema that ends: a $ref leads back to itself without going into the value")
            if after is None:
                path.pop()
                under_way.discard(node)
                done.add(node)
            elif after in places:
                path.append((after, iter(places[after])))
                under_way.add(after)


def _shown(value: object) -> str:
    return _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
