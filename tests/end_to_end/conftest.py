"""A Prefect server for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.support.deployed import Environment, running_prefect


@pytest.fixture(scope="module")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The environment of processes that use a Prefect server of this file's own, which knows no other file's runs."""
    with running_prefect(tmp_path_factory.mktemp("prefect")) as environment:
        yield environment
