"""The protocols that the gateway speaks."""

from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from softlaunch.gateway.protocols.completions.protocol import Completions
from softlaunch.gateway.protocols.embeddings.protocol import Embeddings
from softlaunch.gateway.protocols.messages.counting import CountTokens
from softlaunch.gateway.protocols.messages.protocol import Messages
from softlaunch.gateway.protocols.protocol import LlmProtocol
from softlaunch.gateway.protocols.responses.protocol import Responses

PROTOCOLS: tuple[LlmProtocol, ...] = (
    ChatCompletions(),
    Responses(),
    Messages(),
    CountTokens(),
    Embeddings(),
    Completions(),
)
