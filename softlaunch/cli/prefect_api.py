"""Prefect's API as commands use it: whether there is one, and what its faults mean to a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from softlaunch.core.errors import SoftlaunchError


class PrefectUnusableError(SoftlaunchError):
    """Prefect's API did not answer, or refused."""


def prefect_configured() -> bool:
    """Whether a Prefect API is configured, by environment or profile."""
    if "PREFECT_API_URL" in os.environ:
        return bool(os.environ["PREFECT_API_URL"])
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() is not None


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
