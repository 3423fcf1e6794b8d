"""`softlaunch init`: a new app around one's own model, or from the example."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from softlaunch.catalog.example import EXAMPLE, REHEARSAL_FILE, OwnModel, make_app, make_own_app
from softlaunch.cli.output import JSON_OPTION, print_commands, print_json, print_text
from softlaunch.core.content import Name
from softlaunch.core.errors import SoftlaunchError

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_Folder = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="Where to create the app; also its name, unless --app is given.")
]
_App = Annotated[
    str | None, typer.Option("--app", metavar="NAME", help="The app's name, which clients use as the model.")
]
_Endpoint = Annotated[str | None, typer.Option(metavar="URL", help="Your model's base URL, up to and including /v1.")]
_Model = Annotated[str | None, typer.Option(metavar="ID", help="The model id to request from the endpoint.")]
_KeyEnv = Annotated[
    str | None, typer.Option("--key-env", metavar="NAME", help="The environment variable that holds your key.")
]


class AppNameError(SoftlaunchError):
    """A name that no app can have."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    folder: _Folder = None,
    name: _App = None,
    endpoint: _Endpoint = None,
    model: _Model = None,
    key_env: _KeyEnv = None,
    minimal: Annotated[
        bool, typer.Option("--minimal", help="Write a policy of five lines; the rest is defaults.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Copy the example with its simulated models, without asking.")
    ] = False,
    as_json: bool = JSON_OPTION,
) -> None:
    """Create an app around your own model, or from the example.

    With --endpoint and --model it uses your model; otherwise it copies the example, whose models are simulated. In a
    terminal it asks for whatever isn't given. The app has a policy, a prompt, a model, a variant and a golden set.
    """
    asked = not (endpoint or model or example or as_json) and _by_hand()
    if folder is None and name is None and asked:
        name = typer.prompt("Name of the app, which clients use as the model", default="my-bot")
    chosen = _app_name(name or (folder.resolve().name if folder else EXAMPLE))
    own = _ask_model() if asked else _own_model(endpoint, model, key_env)
    folder = folder or Path(chosen)
    if own is None and minimal:
        raise SoftlaunchError("--minimal requires your own model: also give --endpoint and --model")
    files = make_app(folder, chosen) if own is None else make_own_app(folder, chosen, own, minimal=minimal)
    if as_json:
        print_json({"app": chosen, "folder": str(folder), "files": [str(file) for file in files]})
        return
    print_text(f"Created {chosen} in {folder}: {', '.join(str(file.relative_to(folder)) for file in files)}")
    print_commands("Next", _next_of_example(chosen, folder) if own is None else _next_of_own(chosen, folder))


def _next_of_example(name: str, folder: Path) -> list[tuple[str, str]]:
    return [
        (f"softlaunch apply {folder}", "record prompts, models, variants and the policy"),
        ("softlaunch rehearse provider", "its simulated models, in their own terminal"),
        ("softlaunch gateway", "serve it, in its own terminal"),
        (f"softlaunch doctor {name}", "check everything"),
    ]


def _next_of_own(name: str, folder: Path) -> list[tuple[str, str]]:
    return [
        (f"edit {folder / 'golden.jsonl'}", "your users' questions, and what the answers must contain"),
        (f"edit {folder / 'prompts' / name / 'v1.0.0.md'}", "your prompt"),
        (f"softlaunch apply {folder}", "record everything"),
        (f"softlaunch doctor {name}", "check everything"),
        ("softlaunch up", "gateway, Prefect and its UI, in its own terminal"),
        (f"less {folder / REHEARSAL_FILE}", "a policy with short stages, to try out a release"),
    ]


def _by_hand() -> bool:
    """Whether a person types at this command."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask_model() -> OwnModel | None:
    """The model that a person names; None where they want the simulated ones."""
    endpoint = typer.prompt(
        "Your model's base URL, up to /v1 (empty: simulated models)", default="", show_default=False
    )
    if not endpoint:
        return None
    model = typer.prompt("The model's id at that endpoint")
    key = typer.prompt("Environment variable with the key (empty: it needs none)", default="", show_default=False)
    return _own_model(endpoint, model, key)


def _own_model(endpoint: str | None, model: str | None, key_env: str | None) -> OwnModel | None:
    """The model that the options name; None where they name none. Raises SoftlaunchError where they are half of one."""
    if not (endpoint or model or key_env):
        return None
    if not endpoint or not model:
        raise SoftlaunchError("an own model has two parts: --endpoint https://host/v1 and --model ID; give both")
    if not endpoint.startswith(("http://", "https://")):
        raise SoftlaunchError(f"--endpoint is {endpoint!r}; it must start with http:// or https:// and end with /v1")
    if key_env and not _VARIABLE.fullmatch(key_env):
        raise SoftlaunchError("--key-env is the name of a variable, such as OPENAI_API_KEY, and never the key itself")
    return OwnModel(endpoint.rstrip("/"), model, key_env or None)


def _app_name(name: str) -> str:
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise AppNameError(f"--app: {message}") from error
