"""Everything that is told of an answer without keeping its text, in one number."""

from collections.abc import Callable
from importlib import import_module

from softlaunch.core.answer_checks import (
    FORM_UNKNOWN,
    MALFORMED_OUTPUT,
    OTHER_LANGUAGE,
    REFUSED,
    REPETITIVE,
    TRUNCATED,
)
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.openings import Opening
from softlaunch.core.refusal_wording import refusal_of
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.text_language import differ
from softlaunch.gateway.calls import Answer
from softlaunch.gateway.checks.form import FormChecks
from softlaunch.gateway.checks.repetition import SameOutputs, loops
from softlaunch.gateway.checks.said import Said
from softlaunch.gateway.requests import AppRequest

Refuses = Callable[[Opening], object]
"""Whether the opening of an answer refuses, by anything that is true then."""


def named_classifier(name: str) -> Refuses:
    """Our own classifier of refusals, or that of a package as `package.module:function`; raises SoftlaunchError."""
    if not name:
        return refusal_of
    module, _, function = name.partition(":")
    try:
        found: Refuses = getattr(import_module(module), function)
        found(Opening.of("I can't help with that."))
    except Exception as error:  # whatever somebody's module does, the gateway says which setting to correct
        raise SoftlaunchError(
            f"SOFTLAUNCH_REFUSALS is {name!r}, which can't be used ({type(error).__name__}: {error}); name a function "
            "of one opening as package.module:function, or unset it"
        ) from error
    return found


class AnswerChecks:
    """The checks of a gateway; `refuses` tells refusals by their words."""

    def __init__(self, refuses: Refuses = refusal_of) -> None:
        self._refuses = refuses
        self._forms = FormChecks()
        self._same = SameOutputs()

    def close(self) -> None:
        """End what schemas are applied in."""
        self._forms.close()

    def of(self, request: AppRequest, variant_digest: str, answer: Answer) -> int | None:
        """The bits of what was found, see `softlaunch.core.answer_checks`; None where there is no answer to check."""
        said = answer.said
        if said is None or not answer.given:
            return None
        found = _of_form(answer.outcome, said)
        if said.size:
            found |= self._of_text(request, variant_digest, said)
        elif said.refuses:
            found |= REFUSED
        return found

    @staticmethod
    def has_form(answer: Answer) -> bool:
        """Whether something has to be held against a schema, which takes a moment."""
        return answer.said is not None and answer.given and bool(answer.said.documents)

    async def check_form(self, app: str, answer: Answer) -> None:
        """Hold an answer against its schemas."""
        if answer.said is not None and self.has_form(answer):
            answer.said.fits = await self._forms.fit(app, answer.said.documents)

    def _of_text(self, request: AppRequest, variant_digest: str, said: Said) -> int:
        question = request.protocol.question(request.body)
        opening = Opening.of(said.beginning)
        found = 0
        if said.refuses or self._refuses(opening):
            found |= REFUSED
        if differ(Opening.of(question), opening):
            found |= OTHER_LANGUAGE
        output = (said.beginning, said.ending, said.size)
        if loops(said.beginning, said.ending) or self._same.take(request.app, variant_digest, output, question):
            found |= REPETITIVE
        return found


def _of_form(outcome: RequestOutcome, said: Said) -> int:
    found = TRUNCATED if said.is_cut or outcome is RequestOutcome.TRUNCATED else 0
    if said.is_off_form or said.fits is False or outcome is RequestOutcome.INVALID:
        return found | MALFORMED_OUTPUT
    return found | FORM_UNKNOWN if said.documents and said.fits is None else found
