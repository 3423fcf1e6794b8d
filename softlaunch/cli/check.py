"""`softlaunch check`: the check of a pull request, for people and for CI."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.output import errors, print_json
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.quantities import parse_duration

if TYPE_CHECKING:
    from softlaunch.evals.orders import EvalProgress
    from softlaunch.pull_requests.check import Tell
    from softlaunch.pull_requests.results import CheckResult

_ENDINGS = ".md (a comment), .json, .xml (JUnit), .txt"
_Apps = Annotated[list[str] | None, typer.Option("--app", metavar="APP", help="Only this app; repeatable.")]
_Base = Annotated[str, typer.Option(metavar="REV", help="The branch that the change will be merged into.")]
_Head = Annotated[str | None, typer.Option(metavar="REV", help="The change. Left out: the files of the checkout.")]
_Dry = Annotated[
    bool, typer.Option("--dry", help="Make no calls: show what changes, and how many calls a check would take.")
]
_Write = Annotated[
    list[Path] | None, typer.Option("--write", metavar="FILE", help=f"Also write the result to a file: {_ENDINGS}.")
]
_Hosts = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="HOST", help="A host to which the change may send a key for the first time."),
]
_Calls = Annotated[int | None, typer.Option(min=1, help="Maximum number of calls for the whole check.")]
_Usd = Annotated[float | None, typer.Option(min=0.000001, help="Maximum cost of all its answers.")]
_Reuse = Annotated[str, typer.Option(metavar="AGE", help="Reuse recorded answers up to this age; '0 s' reuses none.")]


class CheckError(SoftlaunchError):
    """An option that the check can't use."""


class Format(StrEnum):
    """What is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


_BY_ENDING = {".txt": Format.TEXT, ".md": Format.MARKDOWN, ".json": Format.JSON, ".xml": Format.JUNIT}


def register(app: typer.Typer) -> None:
    """Add `check`."""
    app.command("check")(check)


def check(
    repo: Annotated[
        Path, typer.Argument(metavar="REPO", help="The Git repository.", show_default="this folder")
    ] = Path(),
    base: _Base = "origin/main",
    head: _Head = None,
    app: _Apps = None,
    dry: _Dry = False,
    form: Annotated[Format, typer.Option("--format", help="The output format.")] = Format.TEXT,
    write: _Write = None,
    budget_calls: _Calls = None,
    budget_usd: _Usd = None,
    reuse: _Reuse = "30 d",
    allow_host: _Hosts = None,
) -> None:
    """Check a pull request: compare the variants that it changes.

    Each variant is compared on the golden set with its state at the point where the branch left the base. A golden set
    or policy that changes together with a variant can't hide a loss: the variant is also judged by the base's. Answers
    are kept in the ledger, so a check that is killed and restarted, or repeated, pays for nothing twice, and a release
    reuses them (eval.reuse in its policy).

    Exit codes: 0 pass, or no variant is changed; 3 fail; 5 inconclusive, for review, or not judged because a key is
    missing; 2 files that can't be used. With --dry 0, unless files can't be used or a variant can't be asked.
    """
    targets = [(path, _form_of(path)) for path in write or []]
    result = _checked(repo, base, head, app or [], dry, budget_calls, budget_usd, _age(reuse), allow_host or [], form)
    for path, own in targets:
        _write(path, rendered(result, own))
    if form is Format.JSON:
        from softlaunch.pull_requests.formats.document import to_document

        print_json(to_document(result))
    else:
        typer.echo(rendered(result, form), nl=False)
    raise typer.Exit(exit_of(result))


def _checked(
    repo: Path,
    base: str,
    head: str | None,
    apps: list[str],
    dry: bool,
    calls: int | None,
    usd: float | None,
    reuse_seconds: float,
    hosts: list[str],
    form: Format,
) -> "CheckResult":
    from softlaunch.cli.ledger import ledger
    from softlaunch.core.settings import Settings
    from softlaunch.evals.calls.budget import Limits
    from softlaunch.pull_requests.check import CheckOrder, run_check

    settings = Settings()
    has_ledger = settings.database_url is not None or (settings.home / "ledger.db").is_file()
    allowed = frozenset(host.lower() for host in hosts)
    order = CheckOrder(repo, base, head, tuple(apps), dry, Limits(calls, usd), reuse_seconds, allowed)
    with _progress(quiet=form is not Format.TEXT) as tell:
        return run_check(order, ledger, tell, has_ledger=has_ledger)


def exit_of(result: "CheckResult") -> Exit:
    """The exit code of a result: what was left undecided on purpose is no failure."""
    from softlaunch.pull_requests.results import Conclusion

    return {
        Conclusion.BROKEN: Exit.USAGE,
        Conclusion.FAIL: Exit.REJECTED,
        Conclusion.REVIEW: Exit.INCONCLUSIVE,
        Conclusion.INCONCLUSIVE: Exit.INCONCLUSIVE,
        Conclusion.NOT_JUDGED: Exit.OK if result.asked_dry else Exit.INCONCLUSIVE,
    }.get(result.conclusion, Exit.OK)


def rendered(result: "CheckResult", form: Format) -> str:
    """A result in a format."""
    import orjson

    from softlaunch.pull_requests.formats import document, github, junit, markdown, text

    if form is Format.JSON:
        return orjson.dumps(document.to_document(result), option=orjson.OPT_INDENT_2).decode() + "\n"
    writers = {
        Format.TEXT: text.to_text,
        Format.MARKDOWN: markdown.to_markdown,
        Format.JUNIT: junit.to_junit,
        Format.GITHUB: github.to_github,
    }
    return writers[form](result)


def _form_of(path: Path) -> Format:
    form = _BY_ENDING.get(path.suffix.lower())
    if form is None:
        raise CheckError(f"--write {path}: the file ending sets the format; use one of {_ENDINGS}")
    return form


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise CheckError(f"--write {path}: {error.strerror}; name a file that you may write") from error


def _age(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CheckError(f"--reuse {text}: {error}") from error


@contextmanager
def _progress(*, quiet: bool) -> Iterator["Tell"]:
    """A bar on a terminal, with what was spent so far; nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from softlaunch.core.formatting import show_cost

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[spent]}", markup=False),
    )
    disabled = quiet or not errors.is_terminal
    with Progress(*columns, console=errors, disable=disabled, transient=True) as bar:
        task = bar.add_task("", total=None, spent="")

        def tell(what: str, progress: "EvalProgress") -> None:
            spent = "" if progress.cost_usd is None else f"{show_cost(progress.cost_usd)} so far"
            bar.update(task, description=what, completed=progress.done, total=progress.planned, spent=spent)

        yield tell
