"""Redactors as an app's package would bring them."""

import time

NOT_CALLABLE = "a text"


def shout(text: str) -> str:
    """In capital letters."""
    return text.upper()


def number(text: str) -> int:
    """No text at all."""
    return len(text)


def fail(text: str) -> str:
    """Fails, and quotes what it got."""
    raise ValueError(f"I can't read {text}")


def sleep(text: str) -> str:
    """Takes longer than anybody waits."""
    time.sleep(30)
    return text
