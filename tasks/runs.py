"""Prefect's runs, as those who look after releases ask about them."""

from collections.abc import Callable, Collection
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

_PATIENCE_SECONDS = 10


def cancelled_runs(runs: Collection[str], complain: Callable[[str], None]) -> frozenset[str]:
    """Of these runs, those that are cancelled or being cancelled; none of them where Prefect doesn't answer soon.

    Nothing is raised: releases don't wait for Prefect.
    """
    asking = {"timeout": _PATIENCE_SECONDS}
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings=asking) as client,
        ):
            return frozenset(run for run in runs if _is_cancelled(client, run))
    except Exception as error:  # whatever keeps it from answering, releases go on without
        complain(f"Prefect doesn't say whether runs were cancelled ({error.__class__.__name__}: {error})")
        return frozenset()


def _is_cancelled(client: SyncPrefectClient, run: str) -> bool:
    try:
        state = client.read_flow_run(UUID(run)).state
    except ObjectNotFound:
        return False
    return state is not None and (state.is_cancelled() or state.is_cancelling())
