"""One process at a time compares an app on a ledger, so that two that need the same answer don't both pay for it.

Whoever comes second finds the first one's answers recorded. Who is killed holds up nobody: the lock is the operating
system's, or PostgreSQL's, and ends with its process or its connection.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from sqlalchemy import text

from softlaunch.core.private_files import private_opener
from softlaunch.store.database import Database


@contextmanager
def taking_turns(database: Database, app: str) -> Iterator[None]:
    """Wait until no other process compares this app on this ledger, and keep others waiting while the block lasts."""
    if database.path is not None:
        with _locked_file(database.path.with_name(f"{database.path.name}.{app}.check-lock")):
            yield
    elif database.is_sqlite:  # in memory: nobody else has it
        yield
    else:
        with _locked_key(database, app):
            yield


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    descriptor = private_opener(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _locked_key(database: Database, app: str) -> Iterator[None]:
    key = int.from_bytes(sha256(f"softlaunch check {app}".encode()).digest()[:8], signed=True)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
