"""Policies as they are written, and what is said of them."""

from pathlib import Path

import pytest

from softlaunch.policy.load import PolicyError, load_policy
from softlaunch.policy.model import Policy


def load(folder: Path, text: str) -> Policy:
    """A policy of such a text."""
    path = folder / "softlaunch.yaml"
    path.write_text(text)
    return load_policy(path)


def complaints(folder: Path, text: str) -> list[str]:
    """What is said of a text that is no policy, without the name of its file."""
    with pytest.raises(PolicyError) as caught:
        load(folder, text)
    prefix = f"{folder / 'softlaunch.yaml'}, "
    return [line.strip().removeprefix(prefix) for line in str(caught.value).splitlines() if prefix in line]


HEAD = "app: support-bot\ngolden_set: golden.jsonl\n"
