"""W&B as a model registry, through its own client: a model is an artifact collection, a variant an artifact version."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from softlaunch.core.variant import Variant
from softlaunch.integrations.models.interface import DIGEST_TAG, ModelRegistry, Registered, RegistryError, tags_of

if TYPE_CHECKING:
    from wandb import Artifact, Settings
    from wandb.apis.public import Api

CLOUD = "https://api.wandb.ai"
TYPE = "softlaunch-variant"
_PAGE = 50
_TIMEOUT_SECONDS = 10
_UPLOAD_SECONDS = 60
_RETRIES = 2


class WandbRegistry(ModelRegistry):
    """A project of W&B, or of a server of one's own.

    W&B's tags hold letters, digits, - and _ only, so ours are an artifact's metadata; its tags are read as well.
    W&B puts the alias `latest` on the newest version itself: it keeps that version like any other alias.
    """

    def __init__(self, project: str, key: SecretStr, url: str = CLOUD, page_size: int = _PAGE) -> None:
        self._project = project
        self._key = key
        self._url = url.rstrip("/")
        self._page_size = page_size
        self._opened: Api | None = None

    @property
    def address(self) -> str:
        """The server's address and the project."""
        return f"{self._url}/{self._project}"

    def versions(self, model: str) -> Iterator[Registered]:
        """Page by page."""
        with self._speaking(f"list {model}"):
            if not self._api.artifact_collection_exists(self._path(model), TYPE):
                return
            pages = self._api.artifacts(TYPE, self._path(model), order="-createdAt", per_page=self._page_size)
            yield from (_registered(model, one) for one in pages)

    def find(self, model: str, digest: str) -> Registered | None:
        """By the digest in its metadata."""
        return next((one for one in self.versions(model) if one.tags.get(DIGEST_TAG) == digest), None)

    def register(self, model: str, variant: Variant) -> Registered:
        """Log the variant as a file, in a short run of its own, where it isn't there.

        W&B itself lets the same content become one version only, so two that register at once make one.
        """
        found = self.find(model, variant.digest)
        if found is not None:
            return found
        with self._speaking(f"register {variant.label}"), tempfile.TemporaryDirectory() as folder:
            made = self._log(model, variant, Path(folder))
        return _registered(model, made)

    def aliases(self, model: str) -> Mapping[str, str]:
        """From the versions."""
        return {alias: one.version for one in self.versions(model) for alias in one.aliases}

    def move_alias(self, model: str, alias: str, version: str) -> None:
        """An alias is at one version of a collection; giving it to another one takes it from the first."""
        with self._speaking(f"move {alias} of {model}"):
            found = self._artifact(model, version)
            if alias not in found.aliases:
                found.aliases.append(alias)
                found.save()

    def tag(self, model: str, version: str, name: str, value: str) -> None:
        """Into the version's metadata."""
        with self._speaking(f"tag {model}"):
            found = self._artifact(model, version)
            found.metadata[name] = value
            found.save()

    def _delete(self, model: str, version: str) -> None:
        """Ask W&B to refuse where an alias has come since we looked."""
        with self._speaking(f"delete version {version} of {model}"):
            self._artifact(model, version).delete(delete_aliases=False)

    @property
    def _api(self) -> "Api":
        if self._opened is None:
            client = _client()
            client.setup(self._settings())
            self._opened = client.Api(
                overrides={"base_url": self._url}, timeout=_TIMEOUT_SECONDS, api_key=self._key.get_secret_value()
            )
        return self._opened

    def _artifact(self, model: str, version: str) -> "Artifact":
        found: Artifact = self._api.artifact(f"{self._path(model)}:{version}", TYPE)
        return found

    def _path(self, model: str) -> str:
        return f"{self._project}/{model}"

    def _log(self, model: str, variant: Variant, folder: Path) -> "Artifact":
        client = _client()
        entity, project = self._project.split("/")
        made: Artifact = client.Artifact(model, TYPE, description=variant.label, metadata=dict(tags_of(variant)))
        with made.new_file("variant.json") as file:
            file.write(variant.model_dump_json())
        run = client.init(
            entity=entity,
            project=project,
            job_type="softlaunch",
            mode="online",
            reinit="create_new",
            settings=self._settings(root_dir=str(folder)),
        )
        with run:
            run.log_artifact(made)
            return made.wait(_UPLOAD_SECONDS)

    def _settings(self, **more: Any) -> "Settings":
        """Without output, without facts about this machine, and giving up soon: the next pass makes up for it."""
        settings: Settings = _client().Settings(
            base_url=self._url,
            api_key=self._key.get_secret_value(),
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            finish_timeout=_UPLOAD_SECONDS,
            x_graphql_retry_max=_RETRIES,
            x_graphql_timeout_seconds=_TIMEOUT_SECONDS,
            x_file_stream_retry_max=_RETRIES,
            x_file_transfer_retry_max=_RETRIES,
            **more,
        )
        return settings

    @contextmanager
    def _speaking(self, doing: str) -> Iterator[None]:
        """Whatever the client raises is an error that says what was being done."""
        client = _client()
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        try:
            yield
        except (client.Error, WandbApiFailedError, ValueError, OSError) as error:
            message = " ".join(str(error).split())[:300].replace(self._key.get_secret_value(), "***")
            raise RegistryError(
                f"W&B at {self.address} did not {doing}: {message}; see WANDB_API_KEY and WANDB_BASE_URL. Releases "
                "go on, and aliases follow when it answers"
            ) from error


def _client() -> Any:
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise RegistryError("a registry in W&B needs its client: pip install 'softlaunch[wandb]'") from error
    return wandb


def _registered(model: str, artifact: "Artifact") -> Registered:
    tags = {**dict.fromkeys(artifact.tags, "true"), **{name: str(value) for name, value in artifact.metadata.items()}}
    return Registered(model, artifact.version, tags, frozenset(artifact.aliases))
