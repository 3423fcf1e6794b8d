"""A check's result as workflow commands of GitHub's Actions, which annotate the lines of a pull request's files."""

from collections.abc import Iterator

from softlaunch.catalog.app_folder import VARIANTS_FILE
from softlaunch.core.documents import DocumentError, parse, read_text
from softlaunch.pull_requests.changes import AppChange
from softlaunch.pull_requests.formats.escaping import annotation, annotation_property
from softlaunch.pull_requests.formats.sentences import change_lines, headline, notes_of, spent
from softlaunch.pull_requests.results import AppResult, CheckResult, Conclusion, PairResult
from softlaunch.pull_requests.sides import AppSide

_LEVELS = {
    Conclusion.BROKEN: "error",
    Conclusion.FAIL: "error",
    Conclusion.REVIEW: "warning",
    Conclusion.INCONCLUSIVE: "warning",
    Conclusion.NOT_JUDGED: "notice",
    Conclusion.PASS: "notice",
    Conclusion.UNCHANGED: "notice",
}
_LONGEST = 4000


def to_github(result: CheckResult) -> str:
    """An annotation a line: one for each variant, on its prompt or its entry, and one for each edit to know of."""
    return "".join(f"{line}\n" for line in _lines(result))


def _lines(result: CheckResult) -> Iterator[str]:
    for app in result.touched:
        yield from _app_lines(app)
    for reason in result.withheld:
        yield _command("warning", "No model was asked", reason)
    yield _command(_LEVELS[result.conclusion], "softlaunch check", f"{headline(result)} {spent(result)}")


def _app_lines(app: AppResult) -> Iterator[str]:
    if app.problem:
        yield _command("error", f"{app.name} can't be used", app.problem)
    if app.change is None:
        return
    for line in change_lines(app.change):
        yield _command("notice", app.name, line, _golden_set(app.change) if line.startswith("golden set") else None)
    for result in app.pairs:
        yield from _pair_lines(app, app.change, result)


def _pair_lines(app: AppResult, change: AppChange, result: PairResult) -> Iterator[str]:
    place = None if change.head is None else _place(change.head, result)
    for judged in result.judged:
        where = f" by {judged.on}" if judged.on else ""
        title = f"{app.name}: {result.pair.name} {judged.conclusion.value}{where}"
        yield _command(_LEVELS[judged.conclusion], title, "\n".join([judged.reason, *notes_of(judged)]), place)


def _place(side: AppSide, result: PairResult) -> tuple[str, int]:
    """The file and line that a pair is about: the prompt where it is another one, else the variant's entry."""
    pair = result.pair
    if pair.base.prompt.digest != pair.head.prompt.digest:
        file = next((one for one in side.files.prompts if one.prompt.digest == pair.head.prompt.digest), None)
        if file is not None:
            return side.place(file.path), 1
    path = side.files.path / VARIANTS_FILE
    try:
        return side.place(path), parse(path, read_text(path)).line(("variants", pair.name))
    except DocumentError:
        return side.place(path), 1


def _golden_set(change: AppChange) -> tuple[str, int] | None:
    side = change.head
    return None if side is None or side.golden_set is None else (side.place(side.golden_set), 1)


def _command(level: str, title: str, message: str, place: tuple[str, int] | None = None) -> str:
    properties = {"title": title, **({} if place is None else {"file": place[0], "line": str(place[1])})}
    written = ",".join(f"{name}={annotation_property(value)}" for name, value in properties.items())
    return f"::{level} {written}::{annotation(message[:_LONGEST])}"
