"""Request bodies for a loop: prompts that take long don't hold up anybody else."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from softlaunch.core.variant import TemplateVariablesError, Variant
from softlaunch.gateway import prompt_bodies
from softlaunch.gateway.prompt_bodies import request_body
from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from tests.support.builders import make_variant

_NESTED = "{% for i in range(n) %}{% for j in range(n) %}x{% endfor %}{% endfor %}"


async def _longest_pause(variant: Variant, request: Mapping[str, Any]) -> tuple[float, Any]:
    """The longest time in which the loop did nothing else, in seconds, and the body, or the error."""
    begun = time.perf_counter()
    building = asyncio.gather(
        *(request_body(ChatCompletions(), variant, request) for _ in range(4)), return_exceptions=True
    )
    longest = 0.0
    while not building.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, begun = max(longest, now - begun), now
    return longest, (await building)[0]


def test_a_prompt_that_is_too_heavy_is_named_and_holds_up_nobody() -> None:
    """The error says which prompt it is, and the loop goes on meanwhile."""
    heavy = make_variant("1.2.0", _NESTED)
    pause, error = asyncio.run(_longest_pause(heavy, {"variables": {"n": 90_000}}))
    assert isinstance(error, TemplateVariablesError)
    assert str(error).startswith("prompt support@1.2.0 can't be rendered: it takes more than")
    assert pause < 1


def test_a_prompt_that_takes_long_is_rendered_beside_the_loop() -> None:
    """What is more than a few milliseconds of work, and less than too much, is sent as it should be."""
    pause, body = asyncio.run(_longest_pause(make_variant(prompt=_NESTED), {"variables": {"n": 150}}))
    assert body["messages"] == [{"role": "system", "content": "x" * 150 * 150}]
    assert pause < 1


def test_an_ordinary_prompt_is_rendered_at_once() -> None:
    """It doesn't wait for the thread of the heavy ones, whatever that has to do."""

    async def both() -> dict[str, Any]:
        for _ in range(8):
            asyncio.get_running_loop().run_in_executor(prompt_bodies._beside, time.sleep, 0.05)
        return await asyncio.wait_for(
            request_body(ChatCompletions(), make_variant(prompt="You help {{ n }}."), {"variables": {"n": 1}}), 0.2
        )

    assert asyncio.run(both())["messages"] == [{"role": "system", "content": "You help 1."}]


def test_waiting_for_the_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose prompt waits behind too many others is refused with the prompt's name."""
    monkeypatch.setattr(prompt_bodies, "LONGEST_WAIT_SECONDS", 0.05)

    async def behind() -> None:
        asyncio.get_running_loop().run_in_executor(prompt_bodies._beside, time.sleep, 0.3)
        await request_body(ChatCompletions(), make_variant(prompt=_NESTED), {"variables": {"n": 150}})

    with pytest.raises(TemplateVariablesError, match=r"prompt support@1\.0\.0 waited 0.05 s to be rendered"):
        asyncio.run(behind())
