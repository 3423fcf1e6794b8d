"""The commands that are timed, each until it has had its effect, and the ledger that they work on."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from softlaunch.catalog.apps import apply
from softlaunch.catalog.example import make_app
from softlaunch.core.clock import utc_now
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.store.migrate import open_database

APP = "shop"
PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 0.002
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """What one process took until its effect: by the clock and of the processor in ms, and of memory in MB."""

    clock_ms: float
    cpu_ms: float
    peak_mb: float


class FirstCall(ThreadingHTTPServer):
    """A provider that answers nothing, and notes that it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port, in a thread."""
        self.asked = asked = threading.Event()

        class _Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.set()
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """The base URL that a model version names."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def prepare(folder: Path, endpoint: str) -> None:
    """A ledger in a folder with the example app, whose candidate `improved` has a live release."""
    make_app(folder / APP, APP)
    models = folder / APP / "models.yaml"
    models.write_text(models.read_text(encoding="utf-8").replace("http://127.0.0.1:8801/v1", endpoint))
    database = open_database(f"sqlite:///{folder / 'ledger.db'}")
    apply(folder / APP, database, "benchmark")
    request = ReleaseRequest(app=APP, changes=Changes(variant="improved"), actor="benchmark", origin="benchmark")
    open_release(database, request, utc_now())
    database.close()
    shutil.copyfile(folder / "ledger.db", folder / "before.db")


def bare(folder: Path) -> Taken:
    """Python, started and ended."""
    return _until_end(folder, ["-c", "pass"])


def ours(*arguments: str) -> Callable[[Path], Taken]:
    """A command of ours, to its end."""
    return lambda folder: _until_end(folder, ["-m", "softlaunch.cli", *arguments])


def rollback(folder: Path) -> Taken:
    """A rollback, until any reader of the ledger sees that the release is over."""
    for old in folder.glob("ledger.db*"):
        old.unlink()
    shutil.copyfile(folder / "before.db", folder / "ledger.db")
    reader = sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)
    try:
        return _until(folder, ["rollback", APP], lambda: _is_over(reader))
    finally:
        reader.close()


def eval_run(provider: FirstCall) -> Callable[[Path], Taken]:
    """An eval, until the provider is asked for the first time."""

    def run(folder: Path) -> Taken:
        provider.asked.clear()
        return _until(folder, ["eval", "run", APP, "--variant", "improved", "--fresh"], provider.asked.is_set)

    return run


def _is_over(reader: sqlite3.Connection) -> bool:
    return bool(reader.execute("SELECT live_app FROM releases").fetchone() == (None,))


def _start(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    told = {name: value for name, value in os.environ.items() if not name.startswith(("SOFTLAUNCH_", "PREFECT_"))}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**told, "SOFTLAUNCH_HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _until_end(folder: Path, arguments: list[str]) -> Taken:
    began = time.perf_counter()
    process, peak_mb = _start(folder, arguments), 0.0
    while True:
        peak_mb = max(peak_mb, _peak_mb(process.pid))
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        time.sleep(_PAUSE_SECONDS)
    clock_ms = (time.perf_counter() - began) * 1000
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    return Taken(clock_ms, (used.ru_utime + used.ru_stime) * 1000, peak_mb)


def _until(folder: Path, arguments: list[str], happened: Callable[[], bool]) -> Taken:
    """What a command of ours has taken when something has happened; it is killed then."""
    began = time.perf_counter()
    process = _start(folder, ["-m", "softlaunch.cli", *arguments])
    try:
        while not happened():
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_SECONDS:
                raise RuntimeError(f"{arguments} ended without its effect")
            time.sleep(_PAUSE_SECONDS)
        return Taken((time.perf_counter() - began) * 1000, _cpu_ms(process.pid), _peak_mb(process.pid))
    finally:
        process.kill()
        process.wait()


def _peak_mb(pid: int) -> float:
    """The most memory that a running process has had: proc(5). What `wait4` says begins with that of its parent."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _cpu_ms(pid: int) -> float:
    """What a running process has used of the processor: proc(5), fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS
