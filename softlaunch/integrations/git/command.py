"""Running git on a repository that may be anybody's: no program that its configuration names, and within limits."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from softlaunch.core.errors import SoftlaunchError

_TIMEOUT_SECONDS = 300
_MOST_BYTES = 256 << 20
_MOST_ERROR_BYTES = 64 << 10
_CHUNK_BYTES = 1 << 20
_SETTINGS = {
    "core.quotePath": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "core.sshCommand": "false",
    "core.askPass": "false",
    "core.editor": "false",
    "credential.helper": "",
    "diff.external": "",
    "gpg.program": "false",
    "gpg.ssh.program": "false",
    "gpg.x509.program": "false",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "protocol.allow": "never",
    "submodule.recurse": "false",
}
"""What is set for every command, whatever a repository's own configuration says."""
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",  # also against protocol.*.allow; a partial clone fetches what it lacks otherwise
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_PAGER": "cat",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}
_KEPT = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_EXEC_PATH",
)
"""Beginnings of git's variables that say where things are; the others would run programs, or change what it prints."""


class GitError(SoftlaunchError):
    """Git can't answer; the message has its output, and what to do next."""


def run_git(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command of git in a folder; its exit code is the caller's to judge. Raises GitError where it can't end."""
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = ["git", "--no-pager", "-C", str(folder), *settings, *arguments]
    try:
        return _run_within_limits(command, given)
    except FileNotFoundError as error:
        raise GitError("there is no git program here; install git") from error
    except TimeoutError as error:
        raise GitError(f"git {arguments[0]} took more than {_TIMEOUT_SECONDS} s in {folder}") from error
    except OverflowError as error:
        raise GitError(
            f"git {arguments[0]} says more than {_MOST_BYTES >> 20} MB in {folder}; take what is so large out "
            "of the folder of prompts"
        ) from error


def _run_within_limits(command: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run git. Raises TimeoutError where it takes too long, and OverflowError where it says too much."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603  (git, with arguments of ours, without a shell)
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(), start_new_session=True
    )
    late = threading.Event()

    def end_late() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(_TIMEOUT_SECONDS, end_late)
    errors: list[bytes] = []
    assert process.stdin and process.stdout and process.stderr  # noqa: PT018, S101  (pipes)
    helpers = [
        threading.Thread(target=_feed, args=(process.stdin, given), daemon=True),
        threading.Thread(target=_listen, args=(process.stderr, errors), daemon=True),
        timer,
    ]
    try:
        for helper in helpers:
            helper.start()
        output = bytearray()
        while part := process.stdout.read(_CHUNK_BYTES):
            output += part
            if len(output) > _MOST_BYTES:
                raise OverflowError
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process)  # and whatever it began
        for helper in helpers:
            helper.join()
        process.stdout.close()
        process.stderr.close()
    if late.is_set():
        raise TimeoutError
    return subprocess.CompletedProcess(command, code, bytes(output), b"".join(errors))


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _feed(stdin: IO[bytes], given: bytes) -> None:
    with contextlib.suppress(OSError), stdin:
        stdin.write(given)


def _listen(stderr: IO[bytes], errors: list[bytes]) -> None:
    """Everything is read, so that nobody waits; the beginning is kept."""
    kept = 0
    while part := stderr.read(_MOST_ERROR_BYTES):
        errors.append(part[: _MOST_ERROR_BYTES - kept])
        kept += len(errors[-1])


def _environment() -> dict[str, str]:
    """Ours, without surprises. A hook's is relative to the folder that it runs in, which need not be ours."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith(_KEPT)}
    absolute = {
        key: str(Path(os.environ[key]).absolute()) for key in ("GIT_DIR", "GIT_INDEX_FILE") if key in os.environ
    }
    work_tree = {"GIT_WORK_TREE": str(Path.cwd())} if "GIT_DIR" in os.environ else {}
    return {**work_tree, **ours, **absolute, **_ENVIRONMENT}
