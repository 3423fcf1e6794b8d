"""Prefect's runs, as those who monitor releases ask about them. Releases don't wait for it: nothing is raised."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled

_PATIENCE_SECONDS = 10


def cancelled_runs(runs: Collection[str], warn: Callable[[str], None]) -> frozenset[str]:
    """Of these runs, those that are cancelled or being cancelled; none of them where Prefect doesn't answer soon."""
    with asking(warn, "doesn't say whether runs were cancelled") as client:
        return frozenset(run for run in runs if _is_cancelled(client, run))
    return frozenset()


def show_cancelled(runs: Collection[str], warn: Callable[[str], None]) -> None:
    """Have Prefect show runs as cancelled whose releases are over.

    Their workers do so where they can kill them; otherwise they would stay Cancelling for good. A flow that notices
    that its release is over may still complete its run afterwards.
    """
    with asking(warn, "doesn't take note that runs are cancelled") as client:
        for run in runs:
            client.set_flow_run_state(UUID(run), Cancelled(message="Its release was rolled back."), force=True)


@contextmanager
def asking(warn: Callable[[str], None], what: str) -> Iterator[SyncPrefectClient]:
    """A client that tries once and not for long; whatever fails is warned of, and ends the block."""
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings={"timeout": _PATIENCE_SECONDS}) as client,
        ):
            yield client
    except Exception as error:
        warn(f"Prefect {what} ({error.__class__.__name__}: {error})")


def _is_cancelled(client: SyncPrefectClient, run: str) -> bool:
    try:
        state = client.read_flow_run(UUID(run)).state
    except ObjectNotFound:
        return False
    return state is not None and (state.is_cancelled() or state.is_cancelling())
