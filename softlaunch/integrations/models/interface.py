"""What a model registry does. A registered model is an app, and each of its versions a variant."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import Variant

DIGEST_TAG = "softlaunch.digest"
VERSION_TAG = "softlaunch.version"
PROTECTED_TAG = "protected"


class RegistryError(SoftlaunchError):
    """The registry can't do what was asked; the message has its answer, and what to do next."""


class ProtectedVersionError(RegistryError):
    """A version that an alias points at, or that carries the protected tag, isn't deleted."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One version as the registry knows it. `version` is the registry's own number."""

    model: str
    version: str
    tags: Mapping[str, str]
    aliases: frozenset[str]


class ModelRegistry(ABC):
    """Every operation may be repeated: what is so already stays so."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, for people; without secrets."""

    @abstractmethod
    def versions(self, model: str) -> Iterator[Registered]:
        """The versions of a model, newest first, read page by page; none where the model isn't registered."""

    @abstractmethod
    def find(self, model: str, digest: str) -> Registered | None:
        """The version of a variant."""

    @abstractmethod
    def register(self, model: str, variant: Variant) -> Registered:
        """The version of a variant, made where there is none."""

    @abstractmethod
    def aliases(self, model: str) -> Mapping[str, str]:
        """Where the aliases of a model point, as the registry's version numbers."""

    @abstractmethod
    def move_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""

    @abstractmethod
    def tag(self, model: str, version: str, name: str, value: str) -> None:
        """Put a tag on a version."""

    def delete(self, model: str, version: str) -> None:
        """Delete a version. Raises ProtectedVersionError where an alias or the protected tag keeps it.

        Registries themselves let aliased versions go, so aliases are read at the last moment.
        """
        found = next((one for one in self.versions(model) if one.version == version), None)
        if found is None:
            return
        held = sorted(alias for alias, pointed in self.aliases(model).items() if pointed == version)
        if held or PROTECTED_TAG in found.tags:
            why = f"{', '.join(held)} points at it" if held else f"it is tagged {PROTECTED_TAG}"
            raise ProtectedVersionError(f"version {version} of {model} in {self.address} stays: {why}")
        self._delete(model, version)

    @abstractmethod
    def _delete(self, model: str, version: str) -> None:
        """Delete a version that nothing keeps."""


def tags_of(variant: Variant) -> dict[str, str]:
    """The tags that a variant has in a registry. The semantic version is that of its prompt."""
    parameters = {} if variant.parameters is None else {"softlaunch.parameters": variant.parameters.label}
    return {
        **parameters,
        DIGEST_TAG: variant.digest,
        VERSION_TAG: variant.prompt.version,
        "softlaunch.prompt": variant.prompt.label,
        "softlaunch.model": variant.model.model,
        "softlaunch.provider": variant.model.provider,
        "softlaunch.core.endpoint": variant.model.endpoint,
    }
