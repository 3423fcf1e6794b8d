"""What a server says of one app: read once, checked, and then only looked at.

It is made of named tuples, because importing `dataclasses` takes as long as the rest of the client does.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from softlaunch.client.errors import RouteError
from softlaunch.client.served import ServedVariant
from softlaunch.core.split import SplitMethod

_SPLITS = frozenset(SplitMethod)
_CONVERSATIONS = "conversation"


class Only(NamedTuple):
    """Whom a stage is limited to: by one of the values as an attribute, or as their name where that is empty."""

    attribute: str
    values: frozenset[str]


class ClientRoute(NamedTuple):
    """The split in force for an app, as far as a client needs it.

    `redraw_seconds` is the length of an epoch in which units keep their arm, `redraws_conversations` says that they
    keep it for one conversation; without either they keep it for the release. `keyed` says that the server asks for
    keys: ids of calls are sealed for the client's then, and for nobody's elsewhere.
    """

    app: str
    revision: int
    salt: str
    stable: ServedVariant
    candidate: ServedVariant | None = None
    release_id: str | None = None
    stage: int = 0
    weight_percent: float = 0.0
    shadow_percent: float = 0.0
    control_percent: float = 0.0
    lease_seconds: float = 10.0
    split: str = SplitMethod.SOFTLAUNCH
    source: str = "user"
    header: str = "x-user-id"
    redraw_seconds: float | None = None
    redraws_conversations: bool = False
    redraws: bool = False
    """Whether it is one of the two."""
    only: Only | None = None
    texts_kept: bool = False
    keyed: bool = True

    @property
    def is_live(self) -> bool:
        """Whether there is a candidate that may be served while its lease holds."""
        return self.candidate is not None and self.release_id is not None

    def stable_alone(self) -> "ClientRoute":
        """The same without its candidate."""
        return self._replace(candidate=None, release_id=None, weight_percent=0.0, shadow_percent=0.0)


def read_route(app: str, document: object) -> ClientRoute:
    """The route of an app as `GET /softlaunch/v1/config` has it. Raises RouteError.

    A split of a kind that isn't known here is no reason to stop: stable is served alone.
    """
    said = _Reader(app, document)
    unit = said.mapping("unit")
    redraw = unit.get("redraw")
    route = ClientRoute(
        app=app,
        revision=said.whole("revision"),
        salt=said.text("salt"),
        stable=said.variant("stable"),
        candidate=said.variant("candidate") if said.given("candidate") else None,
        release_id=said.text("release_id") if said.given("release_id") else None,
        stage=said.whole("stage", 0),
        weight_percent=said.number("weight_percent", 0.0),
        shadow_percent=said.number("shadow_percent", 0.0),
        control_percent=said.number("control_percent", 0.0),
        lease_seconds=said.number("lease_seconds", 10.0),
        split=str(said.get("split", SplitMethod.SOFTLAUNCH)),
        source=str(unit.get("source", "user")),
        header=str(unit.get("header", "x-user-id")),
        redraw_seconds=_positive(redraw),
        redraws_conversations=redraw == _CONVERSATIONS,
        redraws=redraw is not None,
        only=said.only(),
        texts_kept=bool(said.get("texts_kept")),
        keyed=bool(said.get("keyed", True)),
    )
    return route if route.split in _SPLITS else route.stable_alone()


class _Reader:
    """Takes values out of a document, each with the type that it must have."""

    def __init__(self, app: str, document: object) -> None:
        self._app = app
        self._document: Mapping[str, Any] = self._as_mapping(document, "what is said of it")

    def get(self, key: str, default: object = None) -> object:
        """The value, whatever it is."""
        return self._document.get(key, default)

    def given(self, key: str) -> bool:
        """Whether there is one."""
        return self._document.get(key) is not None

    def mapping(self, key: str) -> Mapping[str, Any]:
        """An object; an empty one where there is none."""
        return self._as_mapping(self._document.get(key) or {}, key)

    def text(self, key: str) -> str:
        """A text that there must be."""
        value = self._document.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def number(self, key: str, default: float) -> float:
        """A number that isn't negative."""
        value = self._document.get(key, default)
        if not _is_number(value) or not value >= 0:
            raise self._wrong(key, "a number of at least 0")
        return float(value)

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number; the default where there is none, unless that is None."""
        value = self._document.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number")
        return value

    def variant(self, key: str) -> ServedVariant:
        """A variant: label, digest and content."""
        said = self._as_mapping(self._document.get(key), key)
        content = self._as_mapping(said.get("content"), f"{key}.content")
        label, digest = said.get("label"), said.get("digest")
        if not isinstance(label, str) or not isinstance(digest, str):
            raise self._wrong(key, "a variant with label and digest")
        return ServedVariant(label, digest, content)

    def only(self) -> Only | None:
        """Whom the stage is limited to."""
        if not self.given("only"):
            return None
        said = self.mapping("only")
        values = said.get("values")
        if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
            raise self._wrong("only", "a list of texts as values")
        return Only(str(said.get("header") or "").lower(), frozenset(values))

    def _as_mapping(self, value: object, key: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._wrong(key, "an object")
        return value

    def _wrong(self, key: str, expected: str) -> RouteError:
        return RouteError(
            f"the configuration of {self._app} can't be read: {key} isn't {expected}; use a client of the server's "
            "version, or check the address"
        )


def _positive(value: Any) -> float | None:
    return float(value) if _is_number(value) and value > 0 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
