"""`python -m benchmarks.gateway`: measure this gateway and its peers against a direct call, interleaved."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gateway import processes, tables
from benchmarks.gateway.peers import PACKAGES, Place, Softlaunch
from benchmarks.gateway.processes import NotAvailableError
from benchmarks.gateway.report import table
from benchmarks.gateway.rounds import Run, start_provider
from benchmarks.gateway.tables import Table

_FILES_BESIDE_IDLE = 1024


def main() -> None:
    """Measure, and print a table."""
    arguments = _arguments()
    available = os.sched_getaffinity(0)
    if len(available) < 2:
        sys.exit("the gateway and the load need a core each; this machine has one")
    if arguments.install:
        _install(arguments.environments)
    asked = _table(arguments)
    cores = tuple(sorted(available - {processes.LOAD_CORE})) if asked.every_core else (processes.GATEWAY_CORE,)
    try:
        processes.allow_files(max(case.idle for case in asked.cases) + _FILES_BESIDE_IDLE)
    except NotAvailableError as reason:
        sys.exit(str(reason))
    os.sched_setaffinity(0, {processes.LOAD_CORE})
    run = Run(asked)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        ports = start_provider(stack, folder, asked)
        run.start(stack, Place(folder, arguments.environments, ports, cores), arguments.only)
        rows = run.measure(arguments.rounds, arguments.seconds)
    print(table(rows, run.missing, streams=bool(asked.events)))
    for remark in _remarks(run, arguments.processes, len(cores)):
        print(f"\n{remark}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--streams", action="store_true", help=f"streams of {tables.STREAM_EVENTS} events")
    asked.add_argument("--bodies", action="store_true", help="requests of 4, 100 and 400 kB")
    asked.add_argument("--idle", type=int, metavar="COUNT", help="the usual load beside so many idle connections")
    asked.add_argument("--protocols", action="store_true", help="each protocol of softlaunch by itself")
    asked.add_argument("--processes", type=int, metavar="COUNT", help="softlaunch in one process and in so many")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after one to warm up; the table shows medians")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--only", nargs="*", default=[], help="names of gateways, as in the table")
    parser.add_argument("--install", action="store_true", help="first install the peers that PyPI has")
    parser.add_argument(
        "--environments",
        type=lambda text: Path(text).resolve(),
        default=Path(".softlaunch-bench").resolve(),
        help="folder for the peers' own virtual environments",
    )
    return parser.parse_args()


def _table(arguments: argparse.Namespace) -> Table:
    if arguments.idle:
        return tables.idle(arguments.idle)
    if arguments.processes:
        return tables.processes(arguments.processes)
    chosen = {"streams": tables.STREAMS, "bodies": tables.BODIES, "protocols": tables.PROTOCOLS}
    return next((there for name, there in chosen.items() if getattr(arguments, name)), tables.USUAL)


def _install(environments: Path) -> None:
    for name, package in PACKAGES.items():
        home = environments / name
        if not home.exists():
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
        installed = subprocess.run([home / "bin" / "pip", "install", "--quiet", package], check=False)
        if installed.returncode:
            print(f"{package} can't be installed; it will be left out", file=sys.stderr)
            shutil.rmtree(home)


def _remarks(run: Run, count: int | None, cores: int) -> list[str]:
    """What the table can't say."""
    logs = [f"The request log of {peer.name}: {peer.rows}." for peer in run.running if isinstance(peer, Softlaunch)]
    if not count or cores >= count:
        return logs
    text = (
        f"This can't show how {count} processes scale: the load has a core of its own, and they share what is "
        f"left of this machine's, {cores}. It shows what more processes than cores cost."
    )
    return [*logs, text]


if __name__ == "__main__":
    main()
