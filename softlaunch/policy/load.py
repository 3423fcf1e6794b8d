"""Reading a policy file: frozen objects, or every mistake in it at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from softlaunch.core.documents import Document, DocumentError, Problem, failure, parse, read_text
from softlaunch.core.documents.check import check
from softlaunch.core.settings import Settings
from softlaunch.policy.model import RETIRED, Policy

_SHORTHAND = "golden_set"


class PolicyError(DocumentError):
    """A policy file that can't be used; the message lists every problem with its line and key."""


def load_policy(path: Path) -> Policy:
    """The policy in a YAML file, with its defaults filled in.

    `golden_set` at the top level is short for `eval.golden_set`. Raises PolicyError.
    """
    try:
        return check(_spelled_out(parse(path, read_text(path))), Policy, shorthands=(_SHORTHAND,))
    except DocumentError as error:
        raise PolicyError(str(error)) from error


def retired_keys(path: Path) -> list[tuple[int, str]]:
    """Line and key of everything at the top level of a sound policy file that nothing reads any more."""
    document = parse(path, read_text(path))
    return [
        (document.line((key,)), key) for key in RETIRED if isinstance(document.value, dict) and key in document.value
    ]


def golden_set_path(policy: Policy, policy_path: Path, *app_folders: Path) -> Path:
    """Where the policy's golden set is: relative paths begin at the policy file's folder.

    With all links followed it must lie in that folder, in one of `app_folders` or in one that
    `SOFTLAUNCH_GOLDEN_SET_FOLDERS` allows: a policy that somebody sent must not have another file of this machine read,
    asked of a model or quoted. Raises PolicyError.
    """
    if policy.eval.golden_set is None:
        raise PolicyError(f"{policy_path}: eval.golden_set: there is none, so nothing can be evaluated; name one")
    written = policy_path.parent / policy.eval.golden_set
    allowed = (policy_path.parent, *app_folders, *Settings().allowed_golden_set_folders)
    try:
        found = written.resolve()
        inside = any(found.is_relative_to(folder.resolve()) for folder in allowed)
    except (OSError, RuntimeError, ValueError) as error:  # a RuntimeError for links that go in circles
        raise PolicyError(f"{policy_path}: eval.golden_set: the path can't be followed ({error}); fix it") from error
    if not inside:
        raise PolicyError(
            f"{policy_path}: eval.golden_set: found {policy.eval.golden_set!r}, which leads out of the app's folder; "
            f"expected a file in {policy_path.parent.resolve()}. Move it there, or allow its folder to whoever runs "
            f"evals: SOFTLAUNCH_GOLDEN_SET_FOLDERS={written.parent.resolve()}"
        )
    return written


def folder_of_golden_set(policy: Policy, policy_path: Path) -> Path:
    """The folder in which the golden set of a frozen policy was checked: the policy file's where it has none."""
    return (policy_path.parent / (policy.eval.golden_set or "-")).parent


def _spelled_out(document: Document) -> Document:
    """The document with the shorthand moved to where it belongs."""
    if not isinstance(document.value, dict):
        return document
    value: dict[str, Any] = dict(document.value)
    evaluation = value.get("eval", {})
    if not isinstance(evaluation, dict):
        return document
    if _SHORTHAND in value:
        if _SHORTHAND in evaluation:
            line = document.line((_SHORTHAND,))
            first = document.line(("eval", _SHORTHAND))
            raise failure(
                document.path, [Problem(line, _SHORTHAND, f"given twice; line {first} has it as eval.golden_set")]
            )
        evaluation = {**evaluation, _SHORTHAND: value.pop(_SHORTHAND)}
    lines = {**document.lines}
    if (_SHORTHAND,) in lines:
        lines["eval", _SHORTHAND] = lines[_SHORTHAND,]
    return replace(document, value={**value, "eval": evaluation}, lines=lines)
