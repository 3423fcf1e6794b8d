"""Immutable values that are recorded: identified by the digest of their content, named and versioned."""

import hashlib
import re
from functools import cached_property
from typing import Annotated

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict

SEMANTIC_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name: use lower-case letters, digits, '.', '_' and '-' (at most 63)")
    return name


def _check_semantic_version(version: str) -> str:
    if not SEMANTIC_VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a semantic version such as 1.4.0")
    return version


def is_unset(value: object) -> bool:
    """A field that came later is left out of the content where it isn't used: what was recorded keeps its digest."""
    return value is None or value in ({}, (), "")


Name = Annotated[str, AfterValidator(_check_name)]
SemanticVersion = Annotated[str, AfterValidator(_check_semantic_version)]


class Content(BaseModel):
    """An immutable value whose identity is the SHA-256 digest of its canonical JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the content, 64 characters; equal content has an equal digest everywhere."""
        canonical = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(canonical).hexdigest()
