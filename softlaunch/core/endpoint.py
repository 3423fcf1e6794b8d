"""How a model's endpoint is called, by the gateway as by evals: its URL, its own headers, the proxy on the way."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies_environment, proxy_bypass

from softlaunch.core.api import Api
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.model_headers import FromEnvironment, is_header_value
from softlaunch.core.variant import ModelVersion

_COMPLETIONS = "/chat/completions"
_PATHS: Mapping[Api, str] = {
    Api.CHAT: _COMPLETIONS,
    Api.COMPLETIONS: "/completions",
    Api.RESPONSES: "/responses",
    Api.MESSAGES: "/messages",
    Api.EMBEDDINGS: "/embeddings",
}
_ANTHROPIC, _AZURE = "anthropic", "azure"
_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
"""A token that an identity service signs, such as Entra, and no key."""


class EndpointError(SoftlaunchError):
    """A model's endpoint can't be asked with what is known of it."""


class MissingKeyError(EndpointError):
    """A provider's key isn't in the environment, or is none that a header can carry; `variable` should hold it."""

    def __init__(self, message: str, variable: str) -> None:
        super().__init__(message)
        self.variable = variable


def api_url(endpoint: str, path: str = _COMPLETIONS) -> str:
    """An endpoint's URL for a path of its API such as `/embeddings`; the endpoint's query goes with the path's own.

    An endpoint that names a path of the API already, as Azure's portal shows it, is taken without that. Raises
    ValueError for what is no URL.
    """
    parts = urlsplit(endpoint.strip())
    if not parts.hostname or parts.port == 0:
        raise ValueError("an endpoint needs a host, and a port from 1 to 65535 if any")
    base = parts.path.rstrip("/")
    for named in _PATHS.values():
        base = base.removesuffix(named)
    path, _, query = path.partition("?")
    return urlunsplit((parts.scheme, parts.netloc, base + path, "&".join(filter(None, (parts.query, query))), ""))


def path_of(api: Api) -> str:
    """Where an API is asked, behind an endpoint's base URL."""
    return _PATHS[api]


@dataclass(frozen=True, slots=True)
class Way:
    """Where an endpoint is asked, and the proxy on the way, None where there is none."""

    url: str
    proxy: str | None


def way_to(model: ModelVersion, path: str = _COMPLETIONS) -> Way:
    """The way to a path of a model's API. Raises EndpointError, which names the model and not its endpoint."""
    try:
        return _way(model.endpoint, path)
    except ValueError:
        text = f"the endpoint of model {model.name} isn't a URL such as https://api.example.com/v1; fix models.yaml"
        raise EndpointError(text) from None


@lru_cache(maxsize=1024)
def _way(endpoint: str, path: str) -> Way:
    url = api_url(endpoint, path)
    return Way(url, proxy_for(url))


def model_headers(model: ModelVersion, environment: Mapping[str, str], api: Api = Api.CHAT) -> dict[str, str]:
    """What a model's requests carry: its key, and its own headers.

    The key goes as `Authorization: Bearer`, to Anthropic's own API as `x-api-key`, and to Azure as `api-key` unless it
    is a token of Entra. Raises MissingKeyError.
    """
    headers = {name: _value(model, value, environment) for name, value in model.headers.items()}
    if model.api_key_env is not None:
        key = _value(model, FromEnvironment(env=model.api_key_env), environment)
        if api is Api.MESSAGES and model.provider == _ANTHROPIC:
            headers["x-api-key"] = key
        elif model.provider == _AZURE and not _TOKEN.fullmatch(key):
            headers["api-key"] = key
        else:
            headers["Authorization"] = f"Bearer {key}"
    return headers


def _value(model: ModelVersion, value: str | FromEnvironment, environment: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    found = environment.get(value.env, "").strip()  # files and secret stores like to add a line break
    if not found:
        text = f"no key for model {model.name}: set the variable {value.env} in the environment"
        raise MissingKeyError(text, value.env)
    if not is_header_value(found):
        text = f"the variable {value.env} of model {model.name} holds characters that no header may carry; set it again"
        raise MissingKeyError(text, value.env)
    return found


def proxy_for(url: str) -> str | None:
    """The proxy for a URL by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY of this process's environment.

    Never one for this machine's own addresses. Raises EndpointError for a proxy that doesn't speak HTTP.
    """
    parts, proxies = urlsplit(url), getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    host = parts.hostname or ""
    if not proxy or _is_this_machine(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        scheme = proxy.partition("://")[0]
        raise EndpointError(f"the proxy for {host} is of the kind {scheme}; name an HTTP proxy, or {host} in NO_PROXY")
    return proxy


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
