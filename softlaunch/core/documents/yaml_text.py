"""YAML with the line of every key, bounded: what aliases repeat, how deep it nests, which values there are."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from softlaunch.core.documents.json_text import text_objection
from softlaunch.core.documents.problems import Document, Keys, Problem, failure, written

_DEEPEST = 20
_MOST_REPEATED = 10_000
"""Values that aliases may repeat in a document: enough for shared defaults, and no bomb."""
_MOST_VALUES = 200_000
"""Values of a document, keys included; reading them takes some seconds."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONG = 1 << 14  # from here on libyaml reads, four times as fast, with poorer messages
_LONGEST_NUMBER = 40
_SHOWN_CHARACTERS = 60
_PREFIX = "tag:yaml.org,2002:"
_MERGE = f"{_PREFIX}merge"
_TEXT = f"{_PREFIX}str"
_EXPECTED = {
    f"{_PREFIX}{kind}": expected
    for kind, expected in {
        "bool": "true or false",
        "float": "a number",
        "int": "an integer that fits into 64 bits",
        "null": "null",
        "timestamp": "a date that exists",
    }.items()
}
"""The scalars besides texts, and what each must be."""
_TAGS = frozenset({*_EXPECTED, _TEXT, _MERGE, f"{_PREFIX}seq", f"{_PREFIX}map"})
_CLOCK_OR_OCTAL = re.compile(r"[-+]?(?:0[0-7_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)")


class _RefusedError(Exception):
    """The document is refused as a whole, for one problem."""

    def __init__(self, line: int, keys: Keys, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, written(keys), message)


def parse(path: Path, text: str, first_line: int = 1) -> Document:
    """Read YAML that begins on a line of a file. Raises DocumentError where it isn't YAML at all."""
    loader = None
    try:
        loader = _loader(text)
        composer = _Composer(loader, first_line)
        node = composer.document()
        if node is None:
            return Document(path, {}, {})
        reading = _Reading(loader, first_line)
        value = reading.value(node, ())
        return Document(path, value, reading.lines, tuple(reading.problems), reading.written)
    except _RefusedError as error:
        raise failure(path, [error.problem]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise failure(path, [Problem(line, "", f"this is not valid YAML: {said}")]) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two for escapes such as \UFFFFFFFF
        line = first_line + text.count("\n", 0, getattr(error, "position", 0))
        said = " ".join(str(error).split())
        raise failure(path, [Problem(line, "", f"this is not valid YAML: {said}")]) from error
    finally:
        if loader is not None:
            loader.dispose()


def _loader(text: str) -> Any:
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    is_fast = len(text) > _LONG and _HALF.search(text) is None  # libyaml takes halves of characters for none
    return (fast if is_fast else yaml.SafeLoader)(text)


def _too_deep(line: int, keys: Keys) -> _RefusedError:
    return _RefusedError(line, (written(keys[:3]) + "...",), f"nested more than {_DEEPEST} deep, or an alias of itself")


class _Composer:
    """Nodes out of a loader's events. The size of what aliases repeat is known before anything is built."""

    def __init__(self, loader: Any, first_line: int) -> None:
        self._loader = loader
        self._first_line = first_line
        self._anchors: dict[str, tuple[yaml.Node, int]] = {}
        self._open: dict[str, Keys] = {}
        self._repeated = 0
        self._values = 0

    def document(self) -> yaml.Node | None:
        """The only document's node; None where there is nothing."""
        self._loader.get_event()
        if self._loader.check_event(yaml.StreamEndEvent):
            return None
        self._loader.get_event()
        node, _ = self._node(())
        self._loader.get_event()
        if not self._loader.check_event(yaml.StreamEndEvent):
            event = self._loader.get_event()
            raise _RefusedError(self._line(event), (), "another document begins here; expected one, without '---'")
        return node

    def _node(self, keys: Keys) -> tuple[yaml.Node, int]:
        """The next node, and how many values it stands for."""
        event = self._loader.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, keys)
        if len(keys) > _DEEPEST:
            raise _too_deep(self._line(event), keys)
        self._values += 1
        if self._values > _MOST_VALUES:
            said = f"more than {_MOST_VALUES:,} values in one YAML file; split it, or write a golden set as JSON lines"
            raise _RefusedError(self._line(event), (), said)
        tag = event.tag if event.tag != "!" else None
        if tag is not None and tag not in _TAGS:
            said = f"this is not valid YAML: could not determine a constructor for the tag {tag!r}"
            raise _RefusedError(self._line(event), (), said)
        if event.anchor is not None:
            self._open[event.anchor] = keys
        node, size = self._composed(event, tag, keys)
        if event.anchor is not None:
            self._open.pop(event.anchor, None)
            self._anchors[event.anchor] = (node, size)
        return node, size

    def _composed(self, event: Any, tag: str | None, keys: Keys) -> tuple[yaml.Node, int]:
        mark: Any = event.start_mark
        if isinstance(event, yaml.ScalarEvent):
            tag = tag or self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
            return yaml.ScalarNode(tag, _PAIRS.sub(_joined, event.value), mark), 1
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, keys)
        return self._mapping(event, keys)

    def _sequence(self, event: Any, keys: Keys) -> tuple[yaml.Node, int]:
        items: list[yaml.Node] = []
        size = 1
        while not self._loader.check_event(yaml.SequenceEndEvent):
            item, inside = self._node((*keys, len(items)))
            items.append(item)
            size += inside
        self._loader.get_event()
        return yaml.SequenceNode(f"{_PREFIX}seq", items, event.start_mark), size

    def _mapping(self, event: Any, keys: Keys) -> tuple[yaml.Node, int]:
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        size = 1
        while not self._loader.check_event(yaml.MappingEndEvent):
            key, _ = self._node((*keys, "?"))
            value, inside = self._node((*keys, key.value if isinstance(key, yaml.ScalarNode) else "?"))
            pairs.append((key, value))
            size += inside + 1
        self._loader.get_event()
        return yaml.MappingNode(f"{_PREFIX}map", pairs, event.start_mark), size

    def _alias(self, event: Any, keys: Keys) -> tuple[yaml.Node, int]:
        if event.anchor in self._open:
            around = self._open[event.anchor]
            raise _too_deep(self._line(event), (*keys, *(keys[len(around) :] * 3)))
        if event.anchor not in self._anchors:
            said = f"*{event.anchor} is an alias of nothing; there is no &{event.anchor} before it"
            raise _RefusedError(self._line(event), keys, said)
        node, size = self._anchors[event.anchor]
        self._repeated += size
        if self._repeated > _MOST_REPEATED:
            said = f"aliases such as *{event.anchor} repeat more than {_MOST_REPEATED:,} values; write them out"
            raise _RefusedError(self._line(event), keys, said)
        return node, size

    def _line(self, event: Any) -> int:
        return self._first_line + int(event.start_mark.line)


class _Reading:
    """Values out of nodes, with their lines, and what YAML lets pass and no reader should."""

    def __init__(self, loader: Any, first_line: int) -> None:
        self._loader = loader
        self._first_line = first_line
        self.lines: dict[Keys, int] = {}
        self.problems: list[Problem] = []
        self.written: dict[Keys, str] = {}

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        """What a node means; the problems in it are noted."""
        line = self._line(node)
        self.lines.setdefault(keys, line)
        if len(keys) > _DEEPEST:
            raise _too_deep(line, keys)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*keys, position)) for position, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        return self._scalar(node, keys, line)

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = self._line(key)
            if key.tag == _MERGE:
                merged = {**self._merged(value, keys), **merged}
            elif key.tag != _TEXT:
                shown = repr(_shortened(key.value)) if isinstance(key, yaml.ScalarNode) else "(a list or mapping)"
                self._note(line, keys, f"the key {shown} is no text; put it in quotes")
            elif key.value in seen:
                self._note(line, (*keys, key.value), f"given twice; the first one is on line {seen[key.value]}")
                self.lines[*keys, key.value] = line
                found[key.value] = self.value(value, (*keys, key.value))  # the last one is the one that is checked
            else:
                self._note_text(line, keys, key.value)
                seen[key.value] = self.lines[*keys, key.value] = line
                found[key.value] = self.value(value, (*keys, key.value))
        return {**merged, **found}

    def _merged(self, node: yaml.Node, keys: Keys) -> dict[str, Any]:
        """What `<<` takes over, the first of several before the later ones."""
        found: dict[str, Any] = {}
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(part, yaml.MappingNode):
                found = {**self._mapping(part, keys), **found}
            else:
                self._note(self._line(part), keys, "<< takes over a mapping or a list of mappings, and this is none")
        return found

    def _scalar(self, node: yaml.Node, keys: Keys, line: int) -> Any:
        shown, expected = _shortened(node.value), _EXPECTED.get(node.tag)
        if expected is None:
            self._note_text(line, keys, node.value)
            return node.value
        if node.tag in {f"{_PREFIX}int", f"{_PREFIX}float"} and _CLOCK_OR_OCTAL.fullmatch(node.value):
            said = f"found {shown}, which YAML takes for {self._built(node)}; put it in quotes, or write the number"
            self._note(line, keys, said)
            return node.value
        value = self._built(node)
        if isinstance(value, float) and not math.isfinite(value):
            self._note(line, keys, f"found {shown}, expected a finite number")
        elif value is None and node.tag != f"{_PREFIX}null":
            self._note(line, keys, f"found {shown}, expected {expected}; put it in quotes if it is a text")
        elif value is not None and _canonical(value) != node.value:
            self.written[keys] = node.value
        return value

    def _built(self, node: yaml.Node) -> Any:
        """The value of a scalar that is no text; None where there is none such, or none that can be kept."""
        if len(node.value) > _LONGEST_NUMBER and node.tag != f"{_PREFIX}null":
            return None
        try:
            value = self._loader.construct_object(node)
        except Exception:  # PyYAML's constructors raise whatever int(), float(), date() and dictionaries do
            return None
        return None if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64 else value

    def _note_text(self, line: int, keys: Keys, text: str) -> None:
        objection = text_objection(text)
        if objection:
            self._note(line, keys, objection)

    def _note(self, line: int, keys: Keys, message: str) -> None:
        self.problems.append(Problem(line, written(keys), message))

    def _line(self, node: yaml.Node) -> int:
        return self._first_line + int(node.start_mark.line)


def _joined(pair: re.Match[str]) -> str:
    """One character of the two halves that JSON writes it in, as it stands in YAML that a program wrote."""
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _canonical(value: object) -> str:
    """How a value is written that YAML takes for what stands there; a date is a text to everybody else."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
