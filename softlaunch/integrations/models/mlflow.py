"""MLflow's model registry, through its REST interface."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import SecretStr

from softlaunch.core.variant import Variant
from softlaunch.integrations.models.interface import ModelRegistry, Registered, RegistryError, tags_of

_PAGE = 200
_TIMEOUT_SECONDS = 10.0
# A version needs a source, but what serves is an endpoint: there is nothing to download.
_SOURCE = "softlaunch:/variants"


class MlflowRegistry(ModelRegistry):
    """A tracking server at an HTTP address, with a bearer token where it wants one."""

    def __init__(
        self,
        url: str,
        token: SecretStr | None = None,
        transport: httpx.BaseTransport | None = None,
        page_size: int = _PAGE,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._url = url.rstrip("/")
        self._page_size = page_size
        self._http = httpx.Client(
            base_url=f"{self._url}/api/2.0/mlflow/", headers=headers, timeout=_TIMEOUT_SECONDS, transport=transport
        )

    @property
    def address(self) -> str:
        """The server's address."""
        return self._url

    def versions(self, model: str) -> Iterator[Registered]:
        """Page by page; a search leaves aliases empty, so they are read from the model."""
        yield from self._search(f"name = '{_quoted(model)}'", model)

    def find(self, model: str, digest: str) -> Registered | None:
        """By the tag with its digest."""
        wanted = f"name = '{_quoted(model)}' and tags.`softlaunch.digest` = '{_quoted(digest)}'"
        return next(self._search(wanted, model), None)

    def register(self, model: str, variant: Variant) -> Registered:
        """Make the model and the version, where they aren't there."""
        found = self.find(model, variant.digest)
        if found is not None:
            return found
        self._call("POST", "registered-models/create", {"name": model}, unless="RESOURCE_ALREADY_EXISTS")
        tags = tags_of(variant)
        body = {
            "name": model,
            "source": f"{_SOURCE}/{variant.digest}",
            "description": variant.label,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        made = self._call("POST", "model-versions/create", body)["model_version"]
        return Registered(model, str(made["version"]), tags, frozenset())

    def aliases(self, model: str) -> Mapping[str, str]:
        """From the registered model."""
        found = self._call("GET", "registered-models/get", {"name": model}, unless="RESOURCE_DOES_NOT_EXIST")
        entries = found.get("registered_model", {}).get("aliases", [])
        return {str(one["alias"]): str(one["version"]) for one in entries}

    def move_alias(self, model: str, alias: str, version: str) -> None:
        """Setting an alias moves it."""
        self._call("POST", "registered-models/alias", {"name": model, "alias": alias, "version": version})

    def tag(self, model: str, version: str, name: str, value: str) -> None:
        """Setting a tag overwrites it."""
        body = {"name": model, "version": version, "key": name, "value": value}
        self._call("POST", "model-versions/set-tag", body)

    def _delete(self, model: str, version: str) -> None:
        body = {"name": model, "version": version}
        self._call("DELETE", "model-versions/delete", body, unless="RESOURCE_DOES_NOT_EXIST")

    def _search(self, wanted: str, model: str) -> Iterator[Registered]:
        held = self.aliases(model)
        token = ""
        while True:
            asked = {
                "filter": wanted,
                "max_results": self._page_size,
                "order_by": "version_number DESC",
                "page_token": token,
            }
            page = self._call("GET", "model-versions/search", asked)
            yield from (_registered(one, held) for one in page.get("model_versions", []))
            token = page.get("next_page_token") or ""
            if not token:
                return

    def _call(self, method: str, path: str, content: Mapping[str, Any], unless: str = "") -> dict[str, Any]:
        """One request; an answer with the error code `unless` counts as empty."""
        given: dict[str, Any] = {"params": content} if method == "GET" else {"json": content}
        try:
            answer = self._http.request(method, path, **given)
            document: dict[str, Any] = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryError(
                f"MLflow at {self._url} did not answer ({type(error).__name__}); releases continue, and aliases follow "
                "when it is back"
            ) from error
        if answer.status_code == HTTPStatus.OK or (unless and document.get("error_code") == unless):
            return document if answer.status_code == HTTPStatus.OK else {}
        message = f"{document.get('error_code', answer.status_code)}: {document.get('message', '')}"[:300]
        raise RegistryError(
            f"MLflow at {self._url} refused {path}: {message}; see its log, and SOFTLAUNCH_MLFLOW_TOKEN"
        )


def _registered(document: Mapping[str, Any], aliases: Mapping[str, str]) -> Registered:
    version = str(document["version"])
    tags = {str(one["key"]): str(one["value"]) for one in document.get("tags", [])}
    return Registered(
        str(document["name"]), version, tags, frozenset(one for one, to in aliases.items() if to == version)
    )


def _quoted(text: str) -> str:
    return text.replace("'", "''")
