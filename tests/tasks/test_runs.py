"""Asking Prefect about its runs when it doesn't answer: nothing is known then, and nobody is held up."""

import socket
import time

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from softlaunch.tasks.runs import cancelled_runs, show_cancelled

RUN = "0190b0ca-0000-7000-8000-000000000000"


@pytest.mark.long
def test_a_prefect_that_is_gone_knows_of_no_cancelled_run() -> None:
    """What is wrong is said, and nothing is raised."""
    problems: list[str] = []
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert cancelled_runs([RUN], problems.append) == frozenset()
        show_cancelled([RUN], problems.append)
    assert "Prefect doesn't say whether runs were cancelled" in problems[0]
    assert "Prefect doesn't take note that runs are cancelled" in problems[1]


def test_a_prefect_that_never_answers_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client's own tries, a minute and more of them, are left out."""
    monkeypatch.setattr("softlaunch.tasks.runs._PATIENCE_SECONDS", 0.2)
    problems: list[str] = []
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: address}):
            assert cancelled_runs([RUN], problems.append) == frozenset()
    assert "Timeout" in problems[0]
    assert time.monotonic() - began < 30
