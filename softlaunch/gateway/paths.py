"""Which path leads where: slashes too many don't matter, HEAD is GET without a body, OPTIONS is answered."""

import re
from typing import TypeVar

from softlaunch.gateway.wire import RefusedError, clipped

Endpoint = TypeVar("Endpoint")
_SLASHES = re.compile("/{2,}")


def normal(path: str) -> str:
    """A path as the gateway knows it: clients with a base URL that ends in a slash write others."""
    return (_SLASHES.sub("/", path) if "//" in path else path).rstrip("/") or "/"


class Paths(dict[tuple[str, str], Endpoint]):
    """Endpoints by method and path."""

    def allowed(self, path: str) -> bytes:
        """The methods that a path takes, as the header Allow has them; empty for a path that isn't known."""
        methods = [method for method, there in self if there == path]
        if "GET" in methods:
            methods.append("HEAD")
        return ", ".join([*methods, "OPTIONS"]).encode() if methods else b""

    def find(self, method: str, path: str) -> Endpoint:
        """The endpoint of a request. Raises RefusedError: 405 with what is allowed, or 404 with what there is."""
        endpoint = self.get(("GET" if method == "HEAD" else method, path))
        if endpoint is not None:
            return endpoint
        known = ", ".join(f"{verb} {there}" for verb, there in self)
        allowed = self.allowed(path)
        text = f"there is no {method} {clipped(path)}; known: {known}"
        headers = [(b"allow", allowed)] if allowed else []
        raise RefusedError(405 if allowed else 404, text, code="unknown_url", headers=headers)
