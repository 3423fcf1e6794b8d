"""A PostgreSQL with the extensions that Prefect needs: the one of the machine, on a Unix socket of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.servers import wait_until


@contextmanager
def running_postgres(*databases: str) -> Iterator[dict[str, str]]:
    """An empty server with these databases; gives the URL of each, or a skip that says what to install.

    The PostgreSQL that comes with the requirements has no pg_trgm, without which Prefect's migrations fail.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="softlaunch-pg-"))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    make = [
        str(programs / "initdb"),
        "-D",
        str(folder / "data"),
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder)
    run = [
        str(programs / "postgres"),
        "-D",
        str(folder / "data"),
        "-k",
        str(folder),
        "-c",
        "listen_addresses=",
        "-c",
        "fsync=off",
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(run, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        wait_until(lambda: _answers(folder), "PostgreSQL answers")
        with psycopg.connect(f"host={folder} user=postgres", autocommit=True) as connection:
            for database in databases:
                connection.execute(f'CREATE DATABASE "{database}"'.encode())
        yield {database: f"postgresql://postgres@/{database}?host={folder}" for database in databases}
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    named = shutil.which("postgres")
    program = found[-1] if found else Path(named) if named else None
    if program is None or not _has_trigrams(program.parent):
        pytest.skip("no PostgreSQL with pg_trgm here; on Debian and Ubuntu: apt-get install postgresql")
    return program.parent


def _has_trigrams(programs: Path) -> bool:
    shared = subprocess.run([programs / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
    return (Path(shared.stdout.strip()) / "extension" / "pg_trgm.control").is_file()


def _answers(folder: Path) -> bool:
    try:
        psycopg.connect(f"host={folder} user=postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
