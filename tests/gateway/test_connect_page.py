"""The page on connecting an app: its snippets run as they stand, against a real gateway."""

import hashlib
import hmac
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.gateway.units import sign_unit
from softlaunch.policy.gateway import GatewayPolicy
from softlaunch.policy.model import Policy
from tests.gateway.worlds import NEVER_TRIPS, World, running_world
from tests.support.servers import FakeModels, wait_until

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "connect-your-app.md").read_text(encoding="utf-8")
SECURITY = (DOCS / "operations" / "security.md").read_text(encoding="utf-8")
LOCAL = "http://localhost:8800"
PROMPT = "You answer customers of {{ shop }}. Answer in {{ language }}."


def snippets(language: str, page: str = PAGE) -> list[str]:
    """A page's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def world(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """The page's app, with the page's prompt and a shop by default, and a gateway with the page's key."""
    prompt = PromptVersion(
        name="support",
        version="1.0.0",
        messages=(PromptMessage(role="system", content=PROMPT),),
        defaults={"language": "English", "shop": "nobody"},
    )
    model = ModelVersion(name="stable", provider="rehearsal", model="stable", endpoint=models.endpoint)
    policy = GatewayPolicy(timeout=30.0, breaker=NEVER_TRIPS)
    stable = Variant(prompt=prompt, model=model)
    with running_world(ledger_url, models, gateway=policy, stable=stable, client_keys=["my-key"]) as running:
        yield running


def test_the_snippets_run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other in one program, with the gateway's real address."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = "\n".join(snippets("python"))
    exec(compile(program.replace(LOCAL, world.url), "connect-your-app.md", "exec"), {})
    asked = [body["messages"] for body in world.models.bodies]
    assert asked[0][0] == {"role": "system", "content": "You answer customers of nobody. Answer in English."}
    filled = "You answer customers of Fernwood Outdoor. Answer in English."
    assert asked[2][0] == {"role": "system", "content": filled}
    assert asked[3][0] == {"role": "system", "content": f"{filled}\n\nThe customer is logged in."}
    assert asked[-1] == [*asked[2][:1], {"role": "user", "content": "When do you open?"}]
    assert world.models.bodies[-1]["model"] == "stable"
    units = [row.unit for row in world.rows(6)]
    assert len(set(units)) == 1
    rated = "select satisfaction from feedback"
    wait_until(lambda: world.ask_database(rated) == [(1.0,)], "the rating is in the ledger")
    wait_until(lambda: world.ask_database(rated) == [(1.0,)], "the rating is written")


def test_the_command_line_works(world: World) -> None:
    """The request by curl is answered."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (command,) = snippets("sh")
    done = subprocess.run(command.replace(LOCAL, world.url), shell=True, capture_output=True, text=True, check=True)
    assert "I am stable." in done.stdout


@pytest.mark.parametrize("page", ["connect-your-app.md", "guide/config-server.md", "guide/envoy.md"])
def test_the_pieces_of_policy_are_sound(page: str) -> None:
    """Each of them is part of a policy."""
    pieces = snippets("yaml", (DOCS / page).read_text(encoding="utf-8"))
    assert pieces
    for piece in pieces:
        Policy.model_validate({"app": "support-bot", "eval": {"golden_set": "golden.jsonl"}, **yaml.safe_load(piece)})


def test_the_prompt_of_the_page_is_the_one_that_is_asked() -> None:
    """The prompt that is shown has the text that the snippets are tested with."""
    (shown,) = snippets("markdown")
    assert shown.split("---\n")[2].strip() == PROMPT


def test_the_signature_that_is_shown_is_the_one_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows the page on security signs as the gateway checks."""
    monkeypatch.setenv("SUPPORT_UNIT_SECRET", "s3cret")
    (expression,) = snippets("python", SECURITY)
    signed = eval(expression.strip(), {"hmac": hmac, "hashlib": hashlib, "os": os, "user": "ann"})
    assert signed == sign_unit("ann", "s3cret")
