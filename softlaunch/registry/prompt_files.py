"""Prompt versions as files: `prompts/<name>/v1.4.0.md`, or `.txt` for a system message alone.

A Markdown file may begin with YAML between two `---` lines (author, created, purpose, defaults). The text after it is
the system message; lines that are exactly `## system`, `## developer`, `## user` or `## assistant` begin further
messages, in order.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field

from softlaunch.document_check import check
from softlaunch.documents import Document, DocumentError, Problem, failure, parse, read_text
from softlaunch.variant import SEMANTIC_VERSION, PromptVersion

_FENCE = "---"
_PART = re.compile(r"## (system|developer|user|assistant)\s*")
_FILE = re.compile(rf"v(?P<version>{SEMANTIC_VERSION.pattern})\.(md|txt)")
_TEMPLATES = ImmutableSandboxedEnvironment()


class PromptFileError(DocumentError):
    """A prompt file that can't be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A prompt version and the file that it was read from."""

    prompt: PromptVersion
    path: Path


class _FrontMatter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    version: str | None = None
    author: str = ""
    created: date | None = None
    purpose: str = ""
    defaults: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Part:
    """One message's text, and the line of the file on which it begins."""

    role: str
    first_line: int
    lines: tuple[str, ...]

    @property
    def content(self) -> str:
        return "\n".join(self.lines).strip("\n").rstrip()


def load_prompts(folder: Path) -> tuple[PromptFile, ...]:
    """Every prompt version below a folder, by name and version. Raises PromptFileError."""
    if not folder.is_dir():
        raise PromptFileError(f"there is no folder {folder}; write prompts as {folder}/<name>/v1.0.0.md")
    files = [
        path
        for path in sorted(folder.glob("*/*"))
        if path.suffix in {".md", ".txt"} and not path.name.lower().startswith("readme")
    ]
    found: dict[str, PromptFile] = {}
    for path in files:
        prompt = load_prompt(path)
        if prompt.label in found:
            raise PromptFileError(f"{prompt.label} has two files, {found[prompt.label].path} and {path}; delete one")
        found[prompt.label] = PromptFile(prompt, path)
    if not found:
        raise PromptFileError(f"there is no prompt in {folder}; write one as {folder}/<name>/v1.0.0.md")
    return tuple(found.values())


def load_prompt(path: Path) -> PromptVersion:
    """The prompt version in one file; its name and version are those of the path. Raises PromptFileError."""
    named = _FILE.fullmatch(path.name)
    if not named:
        raise PromptFileError(f"{path} isn't named after its version; call it v1.0.0.md, or move it out of the folder")
    try:
        return _read(path, path.parent.name, named["version"])
    except DocumentError as error:
        raise PromptFileError(str(error)) from error


def _read(path: Path, name: str, version: str) -> PromptVersion:
    lines = read_text(path).split("\n")
    if path.suffix == ".txt":
        document, parts = Document(path, {}, {}), [_Part("system", 1, tuple(lines))]
    else:
        document, first = _front_matter(path, lines)
        parts = list(_parts(lines, first))
    told = check(document, _FrontMatter)
    _agrees(document, "name", told.name, name)
    _agrees(document, "version", told.version, version)
    _compile(path, parts)
    content: dict[str, Any] = {
        "name": name,
        "version": version,
        "messages": [{"role": part.role, "content": part.content} for part in parts],
        **told.model_dump(exclude={"name", "version"}),
    }
    return check(replace(document, value=content), PromptVersion)


def _front_matter(path: Path, lines: list[str]) -> tuple[Document, int]:
    """The YAML at the beginning, and the index of the first line after it."""
    if lines[0].rstrip() != _FENCE:
        return Document(path, {}, {}), 0
    ends = [index for index, line in enumerate(lines) if index and line.rstrip() == _FENCE]
    if not ends:
        raise failure(path, [Problem(1, "", f"the front matter has no end; close it with a line {_FENCE}")])
    return parse(path, "\n".join(lines[1 : ends[0]]), first_line=2), ends[0] + 1


def _parts(lines: list[str], first: int) -> Iterator[_Part]:
    """Messages in order; the text before the first heading is a system message, left out where it is empty."""
    starts = [index for index in range(first, len(lines)) if _PART.fullmatch(lines[index])]
    begin = _Part("system", first + 1, tuple(lines[first : starts[0] if starts else len(lines)]))
    if begin.content or not starts:
        yield begin
    for start, end in pairwise([*starts, len(lines)]):
        role = lines[start].removeprefix("## ").rstrip()
        yield _Part(role, start + 2, tuple(lines[start + 1 : end]))


def _agrees(document: Document, key: str, written: str | None, path_says: str) -> None:
    if written is not None and written != path_says:
        said = f"found {written!r}, but the path says {path_says!r}; leave the key out or rename the file"
        raise failure(document.path, [Problem(document.line((key,)), key, said)])


def _compile(path: Path, parts: list[_Part]) -> None:
    problems = []
    for part in parts:
        if not part.content:
            problems.append(Problem(max(1, part.first_line - 1), "", f"the {part.role} message has no text"))
        try:
            _TEMPLATES.parse("\n".join(part.lines))
        except TemplateSyntaxError as error:
            line = part.first_line + error.lineno - 1
            problems.append(Problem(line, "", f"the {part.role} message is no valid template: {error.message}"))
    if problems:
        raise failure(path, problems)
