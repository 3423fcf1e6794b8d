"""The reference of settings: the environment variables that every program of an installation reads."""

from collections.abc import Iterator

from references.markdown import NOTE, code, table
from softlaunch.core.settings import HOME, Settings

_INTRODUCTION = """
Every program reads these environment variables once, when it starts. [Install and
configure](../operations/install.md#configure) lists which program needs which, and other projects' variables that
matter. In containers, a secret can come from a file: `NAME_FILE` sets `NAME`
([Security](../operations/security.md#what-to-set)).
"""


def lines() -> Iterator[str]:
    """The page."""
    yield NOTE
    yield "# Settings"
    yield _INTRODUCTION
    prefix = Settings.model_config.get("env_prefix", "")
    rows = [
        (
            code(f"{prefix}{name.upper()}"),
            _said(field.description or name.replace("_", " ")),
            _default(HOME if field.default_factory else field.default),
        )
        for name, field in Settings.model_fields.items()
    ]
    yield from table(("variable", "description", "default"), rows)


def _said(text: str) -> str:
    return text[:1].upper() + text[1:]


def _default(value: object) -> str:
    if value is None or value == "":
        return "none"
    return code(str(value).lower() if isinstance(value, bool) else value)
