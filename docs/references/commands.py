"""The reference of the command line, from the program itself."""

from collections.abc import Iterator
from typing import Any

import typer.main

from references.markdown import NOTE, code, table
from softlaunch.cli.main import build

_INTRODUCTION = """
This is the text of `--help`. With `--json`, commands print one JSON document instead of text.
"""


def lines() -> Iterator[str]:
    """The page."""
    command: Any = typer.main.get_command(build())
    yield NOTE
    yield "# Commands"
    yield _INTRODUCTION
    yield command.help.strip() + "\n"
    context = command.make_context("softlaunch", [], resilient_parsing=True)
    names = command.list_commands(context)
    found = {name: command.get_command(context, name) for name in names}
    rows = [(f"[{name}](#softlaunch-{name})", one.get_short_help_str(200)) for name, one in found.items()]
    yield from table(("command", "description"), rows)
    for name, one in found.items():
        yield from _command(one, f"softlaunch {name}", 2)


def _command(command: Any, path: str, level: int) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    yield f"{'#' * level} {path}"
    yield ""
    yield (command.help or "").strip() + "\n"
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            yield from _command(command.get_command(context, name), f"{path} {name}", level + 1)
        return
    yield f"```\n{path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    records = [parameter.get_help_record(context) for parameter in command.params]
    if any(records):
        yield from table(("parameter", "description"), ((code(record[0]), record[1]) for record in records if record))
