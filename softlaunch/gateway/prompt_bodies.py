"""Request bodies for an event loop: prompts that take long to render are rendered beside it."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from softlaunch.core.prompt_templates import QUICK_WORK, WHOLE_WORK
from softlaunch.core.system_messages import Message
from softlaunch.core.variant import HeavyTemplateError, TemplateVariablesError, Variant
from softlaunch.gateway.protocols.protocol import LlmProtocol

Rendered = TypeVar("Rendered")

LONGEST_WAIT_SECONDS = 10.0
"""How long a request waits for its prompt to be rendered."""
_beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")
"""One thread: two would only take the interpreter from each other, and from the loop."""


async def request_body(protocol: LlmProtocol, variant: Variant, request: Mapping[str, Any]) -> dict[str, Any]:
    """The body to send, as the protocol makes it, without holding up the loop.

    What takes few milliseconds is rendered at once; what takes more, in one thread for all, one after the other.
    Raises TemplateVariablesError, also where that thread has so much to do that the request waits ten seconds.
    """
    return await _beside_if_long(variant, lambda work: protocol.request_body(variant, request, work))


async def prompt_messages(variant: Variant, variables: Mapping[str, Any]) -> list[Message]:
    """The prompt's own messages with these variables, in the same way. Raises TemplateVariablesError."""
    return await _beside_if_long(variant, lambda work: variant.prompt.render_own(variables, work))


async def _beside_if_long(variant: Variant, render: Callable[[int], Rendered]) -> Rendered:
    try:
        return render(QUICK_WORK)
    except HeavyTemplateError:
        pass
    waiting = asyncio.get_running_loop().run_in_executor(_beside, render, WHOLE_WORK)
    try:
        return await asyncio.wait_for(waiting, LONGEST_WAIT_SECONDS)
    except TimeoutError as error:
        raise TemplateVariablesError(
            f"prompt {variant.prompt.label} waited {LONGEST_WAIT_SECONDS:g} s to be rendered, behind others that take "
            "long; loop over less in it, or build less"
        ) from error
