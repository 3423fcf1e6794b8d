"""Versions of the prompt of a console's app, with authors and purposes, beside those that its variants have."""

from datetime import date, timedelta
from pathlib import Path

from softlaunch.catalog.records import record_model, record_prompt
from softlaunch.core.variant import PromptMessage
from softlaunch.store.database import Database
from tests.support.builders import CANDIDATE, NOON, STABLE

VERSIONS = ("1.9.0", "1.10.0")
TEXTS = ("You help kindly and briefly, {{ name }}.", "You help kindly, briefly and never guess, {{ name }}.")


def add_versions(database: Database, folder: Path | None = None) -> None:
    """Record the prompts and the model of both variants, and two more versions of the prompt."""
    with database.begin() as session:
        for variant in (STABLE, CANDIDATE):
            record_prompt(session, variant.prompt, "prompts", NOON - timedelta(days=1))
            record_model(session, variant.model, "models.yaml", NOON)
        for number, (version, text) in enumerate(zip(VERSIONS, TEXTS, strict=True)):
            told = {"author": "bert", "created": date(2026, 2, 1 + number), "purpose": f"try {version}"}
            texts = {"messages": (PromptMessage(role="system", content=text),), "defaults": {"name": "you"}}
            prompt = CANDIDATE.prompt.model_copy(update={"version": version, **told, **texts})
            record_prompt(session, prompt, "commit 1a2b3c", NOON + timedelta(days=number))
