"""What becomes of a prompt's and a client's system messages: many models take one, and take it first."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, assert_never

Message = dict[str, Any]
_KINDS = ("system", "developer")


class SystemRule(StrEnum):
    """How a prompt goes together with the system messages of a client; developer messages count as such."""

    MERGE = "merge"
    """One message at the start: the prompt's system messages, a blank line, the client's, wherever they stood."""
    KEEP = "keep"
    """All of them as they are: the prompt's messages, then the client's."""
    REPLACE = "replace"
    """The prompt's alone: the client's are left out."""


def join(prompt: Sequence[Message], client: Sequence[Message], rule: SystemRule) -> list[Message]:
    """The messages to send: the prompt's, then the client's, with their system messages by the rule."""
    match rule:
        case SystemRule.MERGE:
            return _with_one_system_message([*prompt, *client])
        case SystemRule.KEEP:
            return [*prompt, *client]
        case SystemRule.REPLACE:
            return [*prompt, *(message for message in client if not _is_system(message))]
        case _:
            assert_never(rule)


def _with_one_system_message(messages: list[Message]) -> list[Message]:
    """The messages with all system messages merged into one at the start.

    Merged texts become one text with the role of the first message. Where one of them has parts that are more than
    text (an image, a mark for the cache), the one message has a list of parts. A content that is neither text nor a
    list of parts can't be merged: then everything stays as it is, for the provider to judge.
    """
    system = [message for message in messages if _is_system(message)]
    if not system or (len(system) == 1 and system[0] is messages[0]):
        return messages
    content = _merged([message.get("content") for message in system])
    if content is None:
        return messages
    others = [message for message in messages if not _is_system(message)]
    return [{**system[0], "content": content}, *others]


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in _KINDS


def _merged(contents: Sequence[Any]) -> str | list[Any] | None:
    """One content made of several, None where one of them can't be merged."""
    if not all(content is None or isinstance(content, str) or _is_parts(content) for content in contents):
        return None
    texts = [_text_of(content) for content in contents if content]
    if all(text is not None for text in texts):
        return "\n\n".join(text for text in texts if text)
    parts: list[Any] = []
    for content in contents:
        if isinstance(content, list):
            parts += content
        elif content:
            parts.append({"type": "text", "text": content})
    return parts


def _is_parts(content: Any) -> bool:
    return isinstance(content, list) and all(isinstance(part, dict) for part in content)


def _text_of(content: str | list[Message]) -> str | None:
    """The text of a content, its parts on lines of their own; None where a part is more than text."""
    if isinstance(content, str):
        return content
    if not all(part.keys() == {"type", "text"} and isinstance(part["text"], str) for part in content):
        return None
    return "\n".join(part["text"] for part in content)
