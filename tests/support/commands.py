"""What a command of ours did, for tests of the command line."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from softlaunch.cli.main import build


@dataclass(frozen=True)
class Done:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def run(*arguments: str) -> str:
    """What a command prints; raises what it raises."""
    result = CliRunner().invoke(build(), arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def run_json(*arguments: str) -> Any:
    """The document that a command prints with --json."""
    return json.loads(run(*arguments, "--json"))
