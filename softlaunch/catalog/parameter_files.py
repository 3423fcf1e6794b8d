"""Parameters as files: `parameters/<name>/v1.4.0.yaml`, named and versioned as prompts are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

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
from softlaunch.core.parameters import Parameters

_FILE = re.compile(rf"v(?P<version>{SEMANTIC_VERSION.pattern})\.yaml")


class ParameterFileError(DocumentError):
    """A file of parameters that can't be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class ParameterFile:
    """A version of parameters and the file that it was read from."""

    parameters: Parameters
    path: Path


def load_all_parameters(folder: Path) -> tuple[ParameterFile, ...]:
    """Every version below a folder, by name and file; none where there is no folder. Raises ParameterFileError."""
    paths = (path for path in sorted(folder.glob("*/*")) if is_parameters(path.name))
    return tuple(ParameterFile(load_parameters(path), path) for path in paths)


def is_parameters(file_name: str) -> bool:
    """Whether a file of a folder of parameters is meant as a version."""
    return file_name.endswith((".yaml", ".yml"))


def version_of_parameters(path: PurePath) -> str:
    """The version that a file is named after. Raises ParameterFileError."""
    named = _FILE.fullmatch(path.name)
    if not named:
        raise ParameterFileError(
            f"{path} isn't named after its version; call it v1.0.0.yaml, or move it out of the folder"
        )
    return named["version"]


def load_parameters(path: Path) -> Parameters:
    """The parameters in one file; their name and version are those of the path. Raises ParameterFileError."""
    try:
        return _read(path, read_text(path), complete=False)
    except DocumentError as error:
        raise ParameterFileError(str(error)) from error


def parse_parameters(path: Path, content: bytes, *, complete: bool) -> Parameters:
    """The parameters in a file's content. Raises ParameterFileError.

    Where they must be complete, they say author, date and purpose.
    """
    version_of_parameters(path)
    if len(content) > LONGEST_DOCUMENT:
        raise ParameterFileError(f"{path} has more than {LONGEST_DOCUMENT >> 20} MiB; make it shorter")
    try:
        return _read(path, decode(path, content), complete=complete)
    except DocumentError as error:
        raise ParameterFileError(str(error)) from error


def _read(path: Path, text: str, *, complete: bool) -> Parameters:
    document = parse(path, text)
    written = {} if document.value is None else document.value
    if not isinstance(written, dict):
        raise failure(path, [Problem(1, "", "expected a mapping of keys to values, such as reasoning_effort: low")])
    named = {"name": path.parent.name, "version": version_of_parameters(path)}
    problems = list(_disagreeing(document, written, named))
    if problems:
        raise failure(path, problems)
    content = {("created" if key == "date" else key): value for key, value in written.items()}
    parameters = check(replace(document, value={**content, **named}), Parameters)
    missing = list(_missing(parameters)) if complete else []
    if missing:
        raise failure(path, missing)
    return parameters


def _disagreeing(document: Document, written: dict[str, object], named: dict[str, str]) -> Iterator[Problem]:
    for key, path_says in named.items():
        if key in written and written[key] != path_says:
            problem = f"found {written[key]!r}, but the path says {path_says!r}; leave the key out or rename the file"
            yield Problem(document.line((key,)), key, problem)


def _missing(parameters: Parameters) -> Iterator[Problem]:
    wanted = {"author": "who answers for this version", "date": "when it was written", "purpose": "what it changes"}
    given = {"author": parameters.author, "date": parameters.created, "purpose": parameters.purpose}
    yield from (Problem(1, key, f"is missing: {what}") for key, what in wanted.items() if not given[key])
