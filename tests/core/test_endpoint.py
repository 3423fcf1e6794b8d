"""How a model's endpoint is asked: its URL, its headers, the proxy on the way."""

from typing import Any

import pytest
from pydantic import ValidationError

from softlaunch.core.api import Api
from softlaunch.core.endpoint import (
    EndpointError,
    MissingKeyError,
    api_url,
    model_headers,
    path_of,
    proxy_for,
    way_to,
)
from softlaunch.core.variant import ModelVersion

CHAT = "/chat/completions"


def model(**fields: Any) -> ModelVersion:
    """A model with these fields."""
    return ModelVersion(name="m", provider="p", model="m", endpoint="http://127.0.0.1:1/v1", **fields)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        pytest.param("https://api.openai.com/v1", f"https://api.openai.com/v1{CHAT}", id="the usual form"),
        pytest.param("https://api.openai.com/v1/", f"https://api.openai.com/v1{CHAT}", id="a slash at the end"),
        pytest.param("http://127.0.0.1:8000", f"http://127.0.0.1:8000{CHAT}", id="no path"),
        pytest.param("http://[::1]:8000/v1", f"http://[::1]:8000/v1{CHAT}", id="an IPv6 address"),
        pytest.param(
            "https://x.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
            f"https://x.openai.azure.com/openai/deployments/d{CHAT}?api-version=2024-10-21",
            id="classic Azure",
        ),
        pytest.param(
            f"https://x.openai.azure.com/openai/deployments/d{CHAT}?api-version=2024-10-21",
            f"https://x.openai.azure.com/openai/deployments/d{CHAT}?api-version=2024-10-21",
            id="as Azure's portal shows it",
        ),
        pytest.param("https://x/v1/?a=1&b=%2F#top", f"https://x/v1{CHAT}?a=1&b=%2F", id="slash, query, fragment"),
        pytest.param("https://x?key=1", f"https://x{CHAT}?key=1", id="a query without a path"),
    ],
)
def test_where_chat_completions_are_asked(endpoint: str, url: str) -> None:
    """The path grows, the query stays as it is written."""
    assert api_url(endpoint) == url


def test_other_paths_of_an_api() -> None:
    """Embeddings are asked by the same rule."""
    assert api_url("https://x/openai/deployments/e?api-version=1", "/embeddings") == (
        "https://x/openai/deployments/e/embeddings?api-version=1"
    )


def test_a_path_with_a_query_of_its_own() -> None:
    """Both queries are sent."""
    assert (
        api_url("https://x/v1?api-version=1", "/responses/r?include=a")
        == "https://x/v1/responses/r?api-version=1&include=a"
    )
    assert api_url("https://x/v1/responses", "/messages") == "https://x/v1/messages"


@pytest.mark.parametrize(
    "endpoint", ["http://", "http://127.0.0.1:port/v1", "http://[::1/v1", "http:///v1", "https://x:0/"]
)
def test_an_endpoint_that_is_no_url(endpoint: str) -> None:
    """It is said which one, and what to do."""
    asked = ModelVersion(name="m", provider="p", model="m", endpoint=endpoint)
    with pytest.raises(EndpointError, match=r"of model m isn't a URL such as .*; fix models\.yaml"):
        way_to(asked)


def test_model_headers() -> None:
    """The key as a bearer token, values as written, values of variables without the line break of a secret store."""
    asked = model(
        api_key_env="KEY", headers={"api-version": "2024-06-01", "x-goog-user": {"env": "ACCOUNT"}, "X-Title": "Ours"}
    )
    assert model_headers(asked, {"KEY": "k1", "ACCOUNT": "acme\n"}) == {
        "Authorization": "Bearer k1",
        "api-version": "2024-06-01",
        "x-goog-user": "acme",
        "X-Title": "Ours",
    }
    assert model_headers(model(headers={"api-key": {"env": "KEY"}}), {"KEY": "k"}) == {"api-key": "k"}
    assert model_headers(model(), {}) == {}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({}, "no key for model m: set the variable KEY", id="not set"),
        pytest.param({"KEY": " \n"}, "no key for model m: set the variable KEY", id="blank"),
        pytest.param({"KEY": "s3cret\nHost: x"}, "variable KEY of model m holds characters", id="two lines"),
        pytest.param({"KEY": "s3cr\u00e9t"}, "variable KEY of model m holds characters", id="not ASCII"),
        pytest.param({"KEY": "s3cret\x00"}, "variable KEY of model m holds characters", id="a NUL"),
    ],
)
@pytest.mark.parametrize("fields", [{"api_key_env": "KEY"}, {"headers": {"api-key": {"env": "KEY"}}}])
def test_a_key_that_can_not_be_sent(fields: dict[str, Any], environment: dict[str, str], said: str) -> None:
    """The message names model and variable, and never the value."""
    with pytest.raises(MissingKeyError, match=said) as raised:
        model_headers(model(**fields), environment)
    assert "s3c" not in str(raised.value)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        pytest.param({"api-key": "abc"}, "env: NAME_OF_THE_VARIABLE", id="a key in the file"),
        pytest.param({"Ocp-Apim-Subscription-Key": "abc"}, "env: NAME_OF_THE_VARIABLE", id="another key"),
        pytest.param({"Authorization": "Basic abc"}, "env: NAME_OF_THE_VARIABLE", id="a password"),
        pytest.param({"x-auth-token": "abc"}, "env: NAME_OF_THE_VARIABLE", id="a token"),
        pytest.param({"x-thing": "Bearer abc"}, "env: NAME_OF_THE_VARIABLE", id="a bearer token by any name"),
        pytest.param({"Content-Length": "3"}, "belongs to the connection", id="framing"),
        pytest.param({"Transfer-Encoding": "chunked"}, "belongs to the connection", id="more framing"),
        pytest.param({"x y": "1"}, "no name of a header", id="a space in the name"),
        pytest.param({"x": "1\r\ny: 2"}, "printable ASCII", id="a second header in the value"),
        pytest.param({"X-Tag": "1", "x-tag": "2"}, "given twice", id="twice"),
        pytest.param({"x": {"env": "NO NAME"}}, "NAME_OF_A_VARIABLE", id="no variable's name"),
        pytest.param({"x": 2}, "a text in quotes", id="a number"),
    ],
)
def test_headers_that_are_refused(headers: dict[str, Any], said: str) -> None:
    """What would leak, break the framing, or mean nothing shows when the file is read."""
    with pytest.raises(ValidationError, match=said):
        model(headers=headers)


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        pytest.param("0123abc", {"api-key": "0123abc"}, id="a key"),
        pytest.param("eyJ0.eyJh.c2ln", {"Authorization": "Bearer eyJ0.eyJh.c2ln"}, id="a token of Entra"),
    ],
)
@pytest.mark.parametrize("api", list(Api))
def test_azures_key(api: Api, key: str, sent: dict[str, str]) -> None:
    """Its own header for a key; a bearer is a token there."""
    asked = ModelVersion(name="m", provider="azure", model="m", endpoint="https://x/openai/v1", api_key_env="KEY")
    assert model_headers(asked, {"KEY": key}, api) == sent


@pytest.mark.parametrize("api", list(Api))
def test_azures_endpoint_up_to_a_deployment(api: Api) -> None:
    """Works for every API, whichever of them the portal showed."""
    for shown in ("", "/chat/completions", "/embeddings", path_of(api)):
        endpoint = f"https://x.openai.azure.com/openai/deployments/d{shown}?api-version=2024-10-21"
        wanted = f"https://x.openai.azure.com/openai/deployments/d{path_of(api)}?api-version=2024-10-21"
        assert api_url(endpoint, path_of(api)) == wanted


def test_one_key_only() -> None:
    """Two ways to say Authorization would be a riddle."""
    with pytest.raises(ValidationError, match="leave one of them out"):
        model(api_key_env="KEY", headers={"authorization": {"env": "OTHER"}})


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        pytest.param({}, "https://api.example.com/v1", None, id="none"),
        pytest.param({"HTTPS_PROXY": "http://p:3128"}, "https://api.example.com/v1", "http://p:3128", id="https"),
        pytest.param({"https_proxy": "p:3128"}, "https://api.example.com/v1", "http://p:3128", id="without its scheme"),
        pytest.param({"HTTPS_PROXY": "http://p:3128"}, "http://api.example.com/v1", None, id="not for http"),
        pytest.param({"ALL_PROXY": "http://p:3128"}, "http://api.example.com/v1", "http://p:3128", id="for all"),
        pytest.param(
            {"HTTP_PROXY": "http://p:3128", "NO_PROXY": ".example.com"},
            "http://api.example.com/v1",
            None,
            id="excepted",
        ),
        pytest.param(
            {"HTTP_PROXY": "http://p:3128", "NO_PROXY": "*"}, "http://api.example.com/v1", None, id="all excepted"
        ),
        pytest.param(
            {"HTTP_PROXY": "http://p:3128", "NO_PROXY": "other.org"},
            "http://a.example.com/v1",
            "http://p:3128",
            id="other",
        ),
        pytest.param({"HTTP_PROXY": "http://p:3128"}, "http://127.0.0.1:8000/v1", None, id="this machine"),
        pytest.param({"HTTP_PROXY": "http://p:3128"}, "http://[::1]:8000/v1", None, id="this machine by IPv6"),
        pytest.param({"HTTP_PROXY": "http://p:3128"}, "http://localhost:8000/v1", None, id="this machine by name"),
    ],
)
def test_proxy_for(environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual variables are obeyed, and nothing on this machine is asked through a proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_a_proxy_that_does_not_speak_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy is refused in words, not by a traceback in every request."""
    monkeypatch.setenv("ALL_PROXY", "socks5://p:1080")
    with pytest.raises(
        EndpointError, match=r"of the kind socks5; name an HTTP proxy, or api\.example\.com in NO_PROXY"
    ):
        proxy_for("http://api.example.com/v1")
