"""How versions are kept as files in Git, kind by kind: what checks their history and records them works for each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any, Protocol

from sqlmodel import Session

from softlaunch.catalog import records
from softlaunch.catalog.parameter_files import is_parameters, parse_parameters, version_of_parameters
from softlaunch.catalog.prompt_files import is_prompt, parse_prompt, version_of
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import PromptVersion
from softlaunch.store.tables import ParametersRow, PromptRow

Version = PromptVersion | Parameters


class Parse(Protocol):
    """Reads a version from its file's path and content; a complete one says author, date and purpose."""

    def __call__(self, path: Path, content: bytes, *, complete: bool) -> Version:
        """Raises DocumentError."""
        ...


@dataclass(frozen=True, slots=True)
class VersionFiles:
    """One kind: its plural, which file names are versions of it, how they are read, and where they are recorded."""

    plural: str
    is_version: Callable[[str], bool]
    version_of: Callable[[PurePath], str]
    parse: Parse
    table: type[PromptRow] | type[ParametersRow]
    record: Callable[[Session, Any, str, datetime], bool]


PROMPTS = VersionFiles("prompts", is_prompt, version_of, parse_prompt, PromptRow, records.record_prompt)
PARAMETERS = VersionFiles(
    "parameters", is_parameters, version_of_parameters, parse_parameters, ParametersRow, records.record_parameters
)
