"""The dialog that asks for a reason."""

from dataclasses import asdict, dataclass

import orjson
from slack_sdk.models.blocks import InputBlock, PlainTextInputElement
from slack_sdk.models.views import View

from softlaunch.notify.slack.blocks import clip, section, words

CALLBACK = "softlaunch_decide"
_REASON = "reason"
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody is about to decide: `does` names the button, `about` its question or release."""

    does: str
    about: str
    channel: str
    thread: str

    def dump(self) -> str:
        """As the dialog carries it."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def load(cls, text: str) -> "Intent":
        """What a dialog carried."""
        return cls(**orjson.loads(text))


def reason_dialog(intent: Intent, verb: str, text: str, *, optional: bool) -> View:
    """A dialog titled by what is decided, with the question and a field for the reason."""
    field = PlainTextInputElement(action_id=_REASON, multiline=True, max_length=_LONGEST, focus_on_load=True)
    return View(
        type="modal",
        callback_id=CALLBACK,
        title=clip(verb, 24),
        submit=clip(verb, 24),
        close="Cancel",
        private_metadata=intent.dump(),
        blocks=[
            section(words(text, 2500)),
            InputBlock(
                block_id=_REASON,
                label="Why? It is kept in the ledger, and shown in the thread.",
                element=field,
                optional=optional,
            ),
        ],
    )


def reason_of(state: dict[str, dict[str, dict[str, str | None]]]) -> str:
    """What was written into the field."""
    return (state.get(_REASON, {}).get(_REASON, {}).get("value") or "").strip()[:_LONGEST]
