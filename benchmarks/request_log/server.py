"""PostgreSQL as the machine has it, in a folder of its own, on a Unix socket."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "1GB",
    "max_parallel_workers_per_gather": "0",
}
"""Those of a small server of its own; what is committed is on disk, as with the defaults."""


@contextmanager
def running(*databases: str, **settings: str) -> Iterator[dict[str, str]]:
    """A new server with these databases; gives the URL of each. Deleted afterwards."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]), default=None)
    if programs is None:
        raise SystemExit("no PostgreSQL here; on Debian and Ubuntu: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="softlaunch-log-"))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
        folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
    made = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run(made, check=True, capture_output=True, user=user, cwd=folder)
    given = [part for name, value in {**SETTINGS, **settings}.items() for part in ("-c", f"{name}={value}")]
    run = [str(programs / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *given]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(run, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        with _connected(folder) as connection:
            for database in databases:
                connection.execute(f'CREATE DATABASE "{database}"'.encode())
        yield {database: f"postgresql+psycopg://postgres@/{database}?host={folder}" for database in databases}
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _connected(folder: Path) -> psycopg.Connection:
    for _ in range(300):
        try:
            return psycopg.connect(f"host={folder} user=postgres", autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise SystemExit(f"PostgreSQL doesn't start: {(folder / 'log').read_text(errors='replace')[-2000:]}")


def processor_seconds() -> float:
    """What this process's children, all of the server, have used of the processor so far."""
    ticks = 0
    parents = {os.getpid()}
    for _ in range(2):  # the postmaster, and its own children
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[1]) in parents and int(path.parent.name) not in parents:
                parents.add(int(path.parent.name))
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
