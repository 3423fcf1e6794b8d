"""Starting a release: a form of what is recorded, what it would change, how long it will take, and the start itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from pydantic import ValidationError
from sqlmodel import Session, col, select
from starlette.responses import RedirectResponse, Response

from softlaunch.approvals.rules import who_else_is_needed
from softlaunch.catalog.candidates import preview_candidate
from softlaunch.catalog.records import check_app
from softlaunch.catalog.variant_changes import diff_variants
from softlaunch.console.access import ORIGIN
from softlaunch.console.background import Found
from softlaunch.console.pages import FIRST, Again, Asking, AskingIn, FormIn, objection, page
from softlaunch.console.queries.time_left import foresee
from softlaunch.console.state import Console
from softlaunch.core.errors import ConflictError, SoftlaunchError
from softlaunch.core.variant import Sampling, Variant
from softlaunch.forecast.wording import in_a_sentence
from softlaunch.policy.model import Policy
from softlaunch.releases.changes import Changes
from softlaunch.releases.freezing import foresee_freeze
from softlaunch.releases.opening import ReleaseRequest, serving_variant
from softlaunch.store.tables import ModelRow, ParametersRow, PromptRow, VariantRow

router = APIRouter()
_FIELDS = ("variant", "prompt", "model", "parameters", "temperature")
_OPTIONS = 100
_FORECAST_SECONDS = 600.0


class CandidateFieldError(SoftlaunchError):
    """A field of the form has a value that can't be."""


@dataclass(frozen=True, slots=True)
class Field:
    """A choice: its options are pairs of value and text, newest first."""

    name: str
    label: str
    options: Sequence[tuple[str, str]]


@router.get("/apps/{name}/start")
def choose(asking: AskingIn, name: str) -> Response:
    """The form, and what the choice so far would change."""
    return _form(asking, name, _chosen(asking.request.query_params))


@router.post("/apps/{name}/start")
def begin(asking: AskingIn, form: FormIn, name: str) -> Response:
    """Start it, and go to its page."""
    console, chosen = asking.console, _chosen(form)
    refused = objection(asking, form)
    if refused is not None:
        return _form(asking, name, chosen, refused)
    try:
        with console.database.read() as session:
            check_app(session, name)
            stable = serving_variant(session, name)
        if stable.digest != form.get("stable"):
            problem = f"{stable.label} serves by now, so nothing was started. Check what changes now."
            return _form(asking, name, chosen, Again(problem, status=409))
        asked = ReleaseRequest(app=name, changes=_changes(chosen), actor=asking.visitor.name, origin=ORIGIN)
        release_id = console.start(asked)
    except SoftlaunchError as error:
        return _form(asking, name, chosen, Again(str(error), status=409 if isinstance(error, ConflictError) else 422))
    console.live.forget()
    return RedirectResponse(f"/releases/{quote(release_id, safe='')}", 303)


def _form(asking: Asking, name: str, chosen: Mapping[str, str], again: Again = FIRST) -> Response:
    with asking.console.database.read() as session:
        policy = Policy.model_validate(check_app(session, name).policy)
        stable = serving_variant(session, name)
        fields = _fields(session, stable)
        candidate, wrong = _preview(session, name, stable, chosen)
    if wrong and not again.problem:
        again = Again(wrong)
    return page(
        *(asking, "start.html.j2"),
        status=again.status,
        name=name,
        serves=stable.label,
        stable=stable.digest,
        fields=fields,
        chosen=chosen,
        candidate=candidate,
        diffs=None if candidate is None else diff_variants(stable, candidate),
        forecast=_forecast(asking.console, name, policy, stable),
        needed=who_else_is_needed(policy),
        freeze=foresee_freeze(policy, asking.console.clock()),
        problem=again.problem,
        here=f"/apps/{quote(name, safe='')}/start?{urlencode(dict(chosen))}",
    )


def _chosen(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given[name].strip()[:200] for name in _FIELDS if given.get(name, "").strip()}


def _changes(chosen: Mapping[str, str]) -> Changes:
    """What was chosen; raises CandidateFieldError."""
    try:
        sampling = Sampling(temperature=float(chosen["temperature"])) if "temperature" in chosen else Sampling()
    except (ValueError, ValidationError) as error:
        raise CandidateFieldError(f"temperature is {chosen['temperature']!r}; expected 0 to 2, or nothing") from error
    parts = {part: chosen.get(part) for part in ("variant", "prompt", "model", "parameters")}
    return Changes(sampling=sampling, **parts)


def _preview(session: Session, name: str, stable: Variant, chosen: Mapping[str, str]) -> tuple[Variant | None, str]:
    """The candidate of a choice, or what is wrong with it; neither where nothing was chosen yet."""
    if not chosen:
        return None, ""
    try:
        candidate = preview_candidate(session, name, stable, _changes(chosen).change)
    except SoftlaunchError as error:
        return None, str(error)
    same = f"{stable.label} serves already; choose something else." if candidate.digest == stable.digest else ""
    return (None, same) if same else (candidate, "")


def _forecast(console: Console, name: str, policy: Policy, stable: Variant) -> Found:
    def work() -> str:
        now = console.clock()
        return in_a_sentence(foresee(console.database, name, policy, stable.digest, now, console.poll_seconds))

    return console.background.get(("forecast of", name, stable.digest, repr(policy)), work, _FORECAST_SECONDS)


def _fields(session: Session, stable: Variant) -> list[Field]:
    """What is recorded: variants and prompts of the same name as what serves, models and parameters; newest first."""
    prompt = stable.prompt.name
    variants = select(VariantRow).where(VariantRow.prompt_name == prompt, VariantRow.digest != stable.digest)
    prompts = select(PromptRow.name, PromptRow.version).where(PromptRow.name == prompt)
    found = [
        Field(
            "variant", "A variant, whole", [(one.digest, one.label) for one in _newest(session, variants, VariantRow)]
        ),
        Field("prompt", "Prompt", [_labelled(one) for one in _newest(session, prompts, PromptRow)]),
        Field("model", "Model", [(one, one) for one in _newest(session, select(ModelRow.name), ModelRow)]),
    ]
    parameters = select(ParametersRow.name, ParametersRow.version)
    options = [_labelled(one) for one in _newest(session, parameters, ParametersRow)]
    return [*found, *([Field("parameters", "Parameters", options)] if options else [])]


def _newest(session: Session, found: Any, table: Any) -> Sequence[Any]:
    rows: Sequence[Any] = session.exec(found.order_by(col(table.recorded_at).desc()).limit(_OPTIONS)).all()
    return rows


def _labelled(one: tuple[str, str]) -> tuple[str, str]:
    label = f"{one[0]}@{one[1]}"
    return label, label
