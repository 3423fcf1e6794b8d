"""Prefect's API as commands use it: whether there is one, and what its faults mean to a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from softlaunch.core.errors import SoftlaunchError


class PrefectUnusableError(SoftlaunchError):
    """Prefect's API did not answer, or refused."""


def prefect_configured() -> bool:
    """Whether a Prefect API is configured, by environment or profile."""
    return prefect_address() is not None


def prefect_address() -> str | None:
    """The address of Prefect's API, by environment or profile; None where none is configured."""
    if "PREFECT_API_URL" in os.environ:
        return os.environ["PREFECT_API_URL"] or None
    if not _may_be_in_files():
        return None  # without Prefect's import, which takes seconds
    from prefect.settings import PREFECT_API_URL

    address = PREFECT_API_URL.value()
    return None if address is None else str(address)


def _may_be_in_files() -> bool:
    """Whether any of the files from which Prefect takes its settings may name an API."""
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    if profiles.is_file() or Path("prefect.toml").is_file():
        return True
    written = {Path("pyproject.toml"): "[tool.prefect", Path(".env"): "PREFECT_"}
    return any(path.is_file() and word in path.read_text(errors="replace") for path, word in written.items())


@contextmanager
def prefect_faults(otherwise: str) -> Iterator[None]:
    """Turn what Prefect's API fails with into a message; `otherwise` says what works without it."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        if error.response.status_code in {401, 403}:
            raise PrefectUnusableError(
                f"Prefect at {_address()} asks for a password: set PREFECT_API_AUTH_STRING to what its server was "
                "started with (PREFECT_SERVER_API_AUTH_STRING)"
            ) from error
        said = f"{error.response.status_code}: {error.response.text[:500]}"
        raise PrefectUnusableError(f"Prefect at {_address()} refused ({said}); {otherwise}") from error
    except httpx.HTTPError as error:
        raise PrefectUnusableError(
            f"Prefect at {_address()} can't be reached ({error}); see that it runs and PREFECT_API_URL is right, or "
            f"{otherwise}"
        ) from error


def _address() -> str:
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value())
