"""Prompt versions as files: `prompts/<name>/v1.4.0.md`, or `.txt` for a system message alone.

A Markdown file may begin with YAML between two `---` lines (author, date, purpose, variables, defaults). The text after
it is the system message; lines that are exactly `## system`, `## developer`, `## user` or `## assistant` begin further
messages, in order. The name of a text file may leave out zeros: `v1.txt` is version 1.0.0.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from jinja2 import TemplateSyntaxError
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from softlaunch.catalog.versions import Bump, bumped, precedence
from softlaunch.core.content import SEMANTIC_VERSION
from softlaunch.core.documents import (
    LONGEST_DOCUMENT,
    Document,
    DocumentError,
    Problem,
    decode,
    failure,
    parse,
    read_text,
)
from softlaunch.core.documents.check import check
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.prompt_templates import compiled
from softlaunch.core.system_messages import SystemRule
from softlaunch.core.variant import HeavyTemplateError, PromptVersion, TemplateVariablesError

_FENCE = "---"
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)^---\s*$\n?", re.DOTALL | re.MULTILINE)
_OURS = re.compile(r"^(author|date|created|purpose|version):.*\n?(?:[ \t]+.*\n)*", re.MULTILINE)
_PART = re.compile(r"## (system|developer|user|assistant)\s*")
_FILE = re.compile(rf"v(?P<version>{SEMANTIC_VERSION.pattern})\.(md|txt)")
_CONFLICT = ("<<<<<<<", "=======", ">>>>>>>")
"""Git's markers, in order; each may be followed by a space and a name."""
_SHORT = re.compile(r"v(?P<version>(0|[1-9]\d*)(\.(0|[1-9]\d*))?)\.txt")


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
    created: date | None = Field(default=None, validation_alias=AliasChoices("created", "date"))
    purpose: str = ""
    system: SystemRule = SystemRule.MERGE
    variables: tuple[str, ...] | None = None
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
    found: dict[str, PromptFile] = {}
    for path in (path for path in sorted(folder.glob("*/*")) if is_prompt(path.name)):
        prompt = load_prompt(path)
        if prompt.label in found:
            raise PromptFileError(f"{prompt.label} has two files, {found[prompt.label].path} and {path}; delete one")
        found[prompt.label] = PromptFile(prompt, path)
    if not found:
        raise PromptFileError(f"there is no prompt in {folder}; write one as {folder}/<name>/v1.0.0.md")
    return tuple(found.values())


def is_prompt(file_name: str) -> bool:
    """Whether a file of a prompt's folder is meant as a version."""
    return file_name.endswith((".md", ".txt")) and not file_name.lower().startswith("readme")


def version_of(path: PurePath) -> str:
    """The version that a file is named after. Raises PromptFileError."""
    named = _FILE.fullmatch(path.name) or _SHORT.fullmatch(path.name)
    if not named:
        raise PromptFileError(f"{path} isn't named after its version; call it v1.0.0.md, or move it out of the folder")
    version = named["version"]
    return version if "-" in version else version + ".0" * (2 - version.count("."))


def load_prompt(path: Path) -> PromptVersion:
    """The prompt version in one file; its name and version are those of the path. Raises PromptFileError."""
    version = version_of(path)
    try:
        return _read(path, read_text(path), version, complete=False)
    except DocumentError as error:
        raise PromptFileError(str(error)) from error


def parse_prompt(path: Path, content: bytes, *, complete: bool) -> PromptVersion:
    """The prompt version in a file's content. Raises PromptFileError.

    Where it must be complete, a Markdown file says author, date and purpose, and declares every variable; and no merge
    conflict is left in the file.
    """
    version = version_of(path)
    if len(content) > LONGEST_DOCUMENT:
        raise PromptFileError(f"{path} has more than {LONGEST_DOCUMENT >> 20} MiB; make the prompt shorter")
    try:
        return _read(path, decode(path, content), version, complete=complete)
    except DocumentError as error:
        raise PromptFileError(str(error)) from error


def _read(path: Path, text: str, version: str, *, complete: bool) -> PromptVersion:
    lines, name = text.split("\n"), path.parent.name
    if path.suffix == ".txt":
        document, parts = Document(path, {}, {}), [_Part("system", 1, tuple(lines))]
    else:
        document, first = _front_matter(path, lines)
        parts = list(_parts(lines, first))
    front_matter = check(document, _FrontMatter)
    _agrees(document, "name", front_matter.name, name)
    _agrees(document, "version", front_matter.version, version)
    _compile(path, parts)
    content: dict[str, Any] = {
        "name": name,
        "version": version,
        "messages": [{"role": part.role, "content": part.content} for part in parts],
        **front_matter.model_dump(exclude={"name", "version", "variables"}),
    }
    prompt = check(replace(document, value=content), PromptVersion)
    missing = complete and path.suffix == ".md"
    _try(path, parts, prompt)
    problems = [
        *_undeclared(document, front_matter, prompt, complete=missing),
        *(_missing(front_matter) if missing else ()),
        *(_unsettled(lines) if complete else ()),
    ]
    if problems:
        raise failure(path, problems)
    return prompt


def _try(path: Path, parts: list[_Part], prompt: PromptVersion) -> None:
    """Render once, so that a prompt which is too heavy whatever its variables are is known before users ask for it."""
    try:
        prompt.render((), {name: prompt.defaults.get(name, "x") for name in prompt.variables})
    except HeavyTemplateError as error:
        raise failure(path, [Problem(parts[0].first_line, "", str(error))]) from error
    except TemplateVariablesError:
        return  # the variables of a request are of another kind


def _missing(front_matter: _FrontMatter) -> Iterator[Problem]:
    wanted = {"author": "who answers for this version", "date": "when it was written", "purpose": "what it changes"}
    given = {"author": front_matter.author, "date": front_matter.created, "purpose": front_matter.purpose}
    yield from (Problem(1, key, f"is missing: {what}") for key, what in wanted.items() if not given[key])


def _unsettled(lines: Sequence[str]) -> Iterator[Problem]:
    """Merge conflicts that are left: a model would read their markers."""
    advice = "choose one side; if the prompt means these lines, indent them"
    first, found = 0, 0
    for number, line in enumerate(lines, 1):
        marker = line.rstrip().partition(" ")[0]
        if marker == _CONFLICT[0]:
            first, found = number, 1
        elif found and marker == _CONFLICT[found]:
            found += 1
        if found == len(_CONFLICT):
            yield Problem(first, "", f"a merge conflict is not resolved: {advice}")
            found = 0


def _undeclared(
    document: Document, front_matter: _FrontMatter, prompt: PromptVersion, *, complete: bool
) -> Iterator[Problem]:
    """Variables that are used and not declared, or declared and not used."""
    declared = set(front_matter.variables or ())
    line = document.line(("variables",))
    if front_matter.variables is not None or complete:
        for name in sorted(prompt.variables - declared - front_matter.defaults.keys()):
            yield Problem(line, "variables", f"{name!r} is used; declare it here, or give it a value in defaults")
    for name in sorted(declared - prompt.variables):
        yield Problem(line, "variables", f"{name!r} is declared, but no message uses it; take it out")


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
        problem = f"found {written!r}, but the path says {path_says!r}; leave the key out or rename the file"
        raise failure(document.path, [Problem(document.line((key,)), key, problem)])


def _compile(path: Path, parts: list[_Part]) -> None:
    problems = []
    for part in parts:
        if not part.content:
            problems.append(Problem(max(1, part.first_line - 1), "", f"the {part.role} message has no text"))
        try:
            compiled(part.content)
        except TemplateSyntaxError as error:
            blank = next((position for position, line in enumerate(part.lines) if line), 0)
            line = part.first_line + blank + error.lineno - 1
            problems.append(Problem(line, "", f"the {part.role} message is no valid template: {error.message}"))
    if problems:
        raise failure(path, problems)


class NewPromptError(SoftlaunchError):
    """The file of a new version can't be written."""


def write_next(folder: Path, name: str, bump: Bump, author: str, today: date) -> Path:
    """Write the next version of a prompt, with the text of the newest one, or the first version; returns its path.

    Author and date are filled in, the purpose is left to be written. Raises NewPromptError.
    """
    files = [path for path in sorted((folder / name).glob("*")) if is_prompt(path.name)]
    newest = max(files, key=lambda path: precedence(version_of(path)), default=None)
    version = "1.0.0" if newest is None else bumped(version_of(newest), bump)
    path = folder / name / f"v{version}.md"
    declared, body = ("", "Say here what the model is to do.\n") if newest is None else _parts_of_newest(newest)
    head = f'{_FENCE}\nauthor: {author}\ndate: {today}\npurpose: ""\n{declared}{_FENCE}\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(head + body)
    except FileExistsError as error:
        raise NewPromptError(f"{path} exists already; edit it, or delete it first") from error
    except OSError as error:
        raise NewPromptError(f"{path} can't be written: {error.strerror}; name another folder with --folder") from error
    return path


def _parts_of_newest(newest: Path) -> tuple[str, str]:
    """What the front matter says besides author, date and purpose, and the body."""
    text = read_text(newest)
    found = _FRONT_MATTER.match(text) if newest.suffix == ".md" else None
    if found is None:
        return "", text
    return _OURS.sub("", found[1]), text[found.end() :]
