"""YAML written by people, read with the line of every key; `document_check` turns it into frozen values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from softlaunch.errors import SoftlaunchError

Keys = tuple[str | int, ...]
_DEEPEST = 20
_MERGE = "tag:yaml.org,2002:merge"


class DocumentError(SoftlaunchError):
    """A file that can't be used; the message lists every problem with its line and key."""


class KeyedError(ValueError):
    """A validator's objection that names the key to change, by the keys that lead to it from the validated value."""

    def __init__(self, message: str, *keys: str | int) -> None:
        super().__init__(message)
        self.keys: Keys = keys


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is and what was expected. Line numbers begin at 1."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.message}" if self.key else f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its value, the line of every key, and the mistakes that YAML itself lets pass."""

    path: Path
    value: Any
    lines: Mapping[Keys, int]
    problems: tuple[Problem, ...] = ()

    def line(self, keys: Keys) -> int:
        """The line of a key, or of the nearest thing around it that is written down."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def at(self, keys: Keys) -> Any:
        """The value under some keys, None where there is none."""
        value = self.value
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def read_text(path: Path) -> str:
    """A UTF-8 file's text without a byte-order mark, line ends as newlines. Raises DocumentError."""
    try:
        return decode(path, path.read_bytes())
    except OSError as error:
        raise DocumentError(f"{path} can't be read: {error.strerror}") from error


def decode(path: Path, content: bytes) -> str:
    """The text of a file's content without a byte-order mark, line ends as newlines. Raises DocumentError."""
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DocumentError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error


def parse(path: Path, text: str, first_line: int = 1) -> Document:
    """Read YAML that begins on a line of a file. Raises DocumentError where it isn't YAML at all."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(path, {}, {})
        lines: dict[Keys, int] = {}
        problems = tuple(_walk(node, (), lines, first_line))
        if any(problem.message.startswith("nested") for problem in problems):
            raise failure(path, problems)
        return Document(path, loader.construct_document(node), lines, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise failure(path, [Problem(line, "", f"this is not valid YAML: {said}")]) from error
    except yaml.YAMLError as error:
        raise failure(path, [Problem(first_line, "", f"this is not valid YAML: {error}")]) from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, keys: Keys, lines: dict[Keys, int], first_line: int) -> Iterator[Problem]:
    """Note the line of everything below a node; yields keys that are given twice or are no texts."""
    line = first_line + node.start_mark.line
    lines.setdefault(keys, line)
    if len(keys) > _DEEPEST:
        yield Problem(line, written(keys[:3]) + "...", f"nested more than {_DEEPEST} deep, or an alias of itself")
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _walk(item, (*keys, position), lines, first_line)
    elif isinstance(node, yaml.MappingNode):
        yield from _walk_mapping(node, keys, lines, first_line)


def _walk_mapping(node: yaml.MappingNode, keys: Keys, lines: dict[Keys, int], first_line: int) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = first_line + key.start_mark.line
        if key.tag == _MERGE:
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                yield from _walk(part, keys, lines, first_line)
        elif key.tag != "tag:yaml.org,2002:str":
            yield Problem(line, written(keys), f"the key {str(key.value)!r} is no text; put it in quotes")
        elif key.value in seen:
            yield Problem(line, written((*keys, key.value)), f"given twice; the first one is on line {seen[key.value]}")
            lines[*keys, key.value] = line  # YAML takes the last one, so this is the value that is checked
        else:
            seen[key.value] = line
            lines[*keys, key.value] = line
            yield from _walk(value, (*keys, key.value), lines, first_line)


def failure(path: Path, problems: Sequence[Problem]) -> DocumentError:
    """The error that lists these problems, in the order of the file and each only once."""
    ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.key, problem.message))
    if len(ordered) == 1:
        return DocumentError(f"{path}, {ordered[0]}")
    return DocumentError("\n".join([f"{path} has {len(ordered)} problems:", *(f"  {path}, {one}" for one in ordered)]))


def written(keys: Keys) -> str:
    """Keys as people write them: `stages[2].weight_percent`."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys]
    return "".join(parts).removeprefix(".")
