"""A PostgreSQL with a standby that streams from it: the one can die by SIGKILL, and the other take over."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from tests.support.servers import wait_until

DATABASE = "ledger"
_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "wal_level=replica",
    "max_wal_senders=4",
    "wal_retrieve_retry_interval=1s",
)


@dataclass
class Server:
    """One of the two, in a folder with its socket and its data."""

    programs: Path
    folder: Path
    user: str | None
    running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        command = [str(self.programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.folder)

    def start(self) -> None:
        """Start it, in a group of its own."""
        settings = [part for one in _SETTINGS for part in ("-c", one)]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *settings]
        with (self.folder / "log").open("ab") as log:
            self.running = subprocess.Popen(
                command, stdout=log, stderr=log, user=self.user, cwd=self.folder, start_new_session=True
            )
        wait_until(self.answers, "PostgreSQL answers", 60)

    def kill(self) -> None:
        """SIGKILL to all of its processes: nothing is said, nothing is finished."""
        if self.running is None:
            return
        os.killpg(self.running.pid, signal.SIGKILL)
        for path in Path("/proc").glob("[0-9]*/stat"):  # PostgreSQL's children are sessions of their own
            if _is_child(path, self.running.pid):
                os.kill(int(path.parent.name), signal.SIGKILL)
        self.running.wait()
        self.running = None

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements; the rows of the last."""
        with psycopg.connect(f"host={self.folder} user=postgres dbname={database}", autocommit=True) as connection:
            for statement in statements:
                found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _is_child(stat: Path, pid: int) -> bool:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1]) == pid
    except OSError:  # it has just ended
        return False


@dataclass
class Pair:
    """A primary, and its standby. `url` names both, as an installation does."""

    primary: Server
    standby: Server

    @property
    def url(self) -> str:
        """The ledger on whichever of them can be written."""
        return f"postgresql+psycopg://postgres@/{DATABASE}?host={self.primary.folder}&host={self.standby.folder}"

    def cut(self) -> None:
        """The standby gets nothing any more, and nobody notices: it is asynchronous."""
        self.standby.execute("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        nobody = "SELECT count(*) FROM pg_stat_replication"
        wait_until(lambda: self.primary.execute(nobody) == [(0,)], "nobody streams from the primary", 20)

    def is_level(self) -> bool:
        """Whether the standby has all that the primary has."""
        behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
        return self.primary.execute(behind) == [(1,)]

    def promote(self) -> None:
        """The standby takes over."""
        self.standby.execute("SELECT pg_promote(true, 30)")


@contextmanager
def running_pair() -> Iterator[Pair]:
    """Two servers, or a skip that says what to install."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]), default=None)
    if programs is None or not (programs / "pg_basebackup").exists():
        pytest.skip("no PostgreSQL with pg_basebackup here; on Debian and Ubuntu: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="softlaunch-pair-"))
    folder.chmod(0o711)
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    servers = [Server(programs, folder / name, user) for name in ("one", "two")]
    for server in servers:
        server.folder.mkdir()
        if user is not None:
            shutil.chown(server.folder, user)
    pair = Pair(*servers)
    try:
        data = str(pair.primary.folder / "data")
        pair.primary.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        pair.primary.start()
        pair.primary.execute(f"CREATE DATABASE {DATABASE}")
        copied, source = str(pair.standby.folder / "data"), str(pair.primary.folder)
        pair.standby.run(
            *("pg_basebackup", "-h", source, "-U", "postgres", "-D", copied, "-R", "-X", "stream", "--no-sync"),
            *("--checkpoint=fast",),
        )
        pair.standby.start()
        yield pair
    finally:
        for server in servers:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
