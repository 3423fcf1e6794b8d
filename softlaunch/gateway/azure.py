"""Azure's paths: clients of Azure OpenAI name the app as a deployment in the path, and speak OpenAI's APIs otherwise.

| path | is |
| --- | --- |
| `/openai/deployments/{app}/chat/completions`, and every other API | `/v1/chat/completions`, with the app as model |
| `/openai/v1/...` | `/v1/...` |
| `/openai/responses`, `/openai/models`, ... | `/v1/responses`, `/v1/models`, ... |

Their `api-version` is the client's word about the shape of its own requests. It goes nowhere: an endpoint's own version
stands in its model version.
"""

from dataclasses import dataclass, replace

from softlaunch.gateway.wire import Fault

PREFIX = "/openai/"
_DEPLOYMENTS = "deployments/"
_CODES = {"model_not_found": "DeploymentNotFound", "unsupported_api": "OperationNotSupported"}


@dataclass(frozen=True, slots=True)
class Place:
    """What a path of Azure's leads to: the gateway's own path, and the app, empty where the body names it."""

    path: str
    deployment: str = ""


def place_of(path: str) -> Place:
    """Where a path that begins with `/openai/` leads."""
    rest = path.removeprefix(PREFIX)
    if rest.startswith("v1/"):
        return Place(f"/{rest}")
    if rest.startswith(_DEPLOYMENTS):
        deployment, _, below = rest.removeprefix(_DEPLOYMENTS).partition("/")
        return Place(f"/v1/{below}", deployment)
    return Place(f"/v1/{rest}")


def fault_of(fault: Fault) -> Fault:
    """A fault with the code that Azure's clients know."""
    return replace(fault, code=_CODES.get(fault.code or "", fault.code))


def without_version(query: bytes) -> bytes:
    """A query without the client's `api-version`."""
    return b"&".join(part for part in query.split(b"&") if not part.startswith(b"api-version="))
