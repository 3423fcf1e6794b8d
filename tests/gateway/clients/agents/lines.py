"""What the programs share: a turn of a conversation in each line of input, what came of it in each line of output."""

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

QUESTION = "What is the weather in Oslo?"
URL, KEY = sys.argv[1:3] if len(sys.argv) > 2 else ("", "")
"""The gateway, without `/v1`, and a key of its."""


@dataclass(frozen=True)
class Line:
    """Who asks which app again in which conversation, and whether the answer is to be streamed."""

    app: str
    user: str
    conversation: str
    stream: bool


def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


def serve(talk: Callable[[Line], str]) -> None:
    """Answer each line by `talk`, which gives the words that the user sees; what it raises becomes the failure."""
    for text in sys.stdin:
        try:
            answer = {"text": talk(Line(**json.loads(text))), "failure": None}
        except Exception as error:
            traceback.print_exc()
            answer = {"text": "", "failure": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
