"""Programs as clients: the packages for Node, the JDK's HttpClient, and curl."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import IO

import orjson
import pytest

from tests.gateway.clients.talks import KEY, Answer, Client, Failure, Failures, Question
from tests.gateway.worlds import APP

HERE = Path(__file__).parent
NODE_FAILURES = {
    "openai": Failures(bad_request="BadRequestError", rate_limited="RateLimitError", in_a_stream="APIError"),
    "vercel": Failures(bad_request="AI_APICallError", rate_limited="AI_APICallError", in_a_stream="object"),
}
"""Within a stream Vercel's package hands on the provider's error as it came, an object that is no exception."""
FINISHED = '"finish_reason":"'
"""What only the event that finishes an answer has in it: in the others it is null."""
END = "\x04\n"


class NodeClient:
    """A program that reads questions and writes answers in our own words."""

    def __init__(self, program: subprocess.Popen[bytes], failures: Failures) -> None:
        self.failures = failures
        self._into, self._out = _pipes(program)

    def ask(self, question: Question) -> Answer:
        """Ask, and wait for the answer or the failure."""
        self._into.write(question.line)
        self._into.flush()
        return Answer.of_line(self._out.readline())


class PlainHttpClient:
    """A client of HTTP alone, which shows what came over the wire: status line, headers, an empty line, the body."""

    failures = Failures(bad_request="HTTP", rate_limited="HTTP", in_a_stream="HTTP")

    def ask(self, question: Question) -> Answer:
        """Ask, and read the answer as the protocol has it."""
        lines = self.exchange(orjson.dumps(question.request).decode(), FINISHED if question.leave else None)
        first = next(lines, "nothing came")
        version, status = first.split()[:2]
        assert version in {"HTTP/1.1", "HTTP_1_1"}, f"served as HTTP/1.1, whatever was offered; it came: {first}"
        headers = dict(_headers(lines))
        answer = Answer()
        documents = _events(lines) if question.stream and status == "200" else ["".join(lines)]
        for document in map(orjson.loads, documents):
            if "error" in document:
                words = document["error"]["message"]
                answer.failure = Failure("HTTP", int(status), words, headers.get("retry-after"))
            else:
                answer.add(document)
        return answer

    def exchange(self, body: str, last: str | None) -> Iterator[str]:
        """Post the body; the lines that come, up to the first that has `last` in it, where the client closes."""
        raise NotImplementedError


class JdkClient(PlainHttpClient):
    """`java.net.http.HttpClient`, for which a program posts one body after the other."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        self._into, self._out = _pipes(program)

    def exchange(self, body: str, last: str | None) -> Iterator[str]:
        """Let the program post; it closes by itself."""
        self._into.write(f"{body}\t{last or ''}\n".encode())
        self._into.flush()
        return iter([*takewhile(lambda line: line != END, map(bytes.decode, self._out))])


class CurlClient(PlainHttpClient):
    """`curl --http2`, once for each request."""

    def __init__(self, url: str) -> None:
        self._command = ["curl", "--http2", "--silent", "--show-error", "--no-buffer", "--include", "--max-time", "60"]
        self._command += ["--header", f"Authorization: Bearer {KEY}", "--header", "Content-Type: application/json"]
        self._command += ["--data-binary", "@-", url]

    def exchange(self, body: str, last: str | None) -> Iterator[str]:
        """Post, and end curl where it is to close."""
        with subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as curl:
            into, out = _pipes(curl)
            into.write(body.encode())
            into.close()
            for line in map(bytes.decode, out):
                yield line
                if last is not None and last in line:
                    curl.kill()
                    return
        assert curl.returncode == 0, f"curl ended with {curl.returncode}"


@contextmanager
def node_client(name: str, url: str) -> Iterator[Client]:
    """The program for a package, or a skip that says what to install."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed; on Debian and Ubuntu: apt-get install nodejs npm")
    if not (HERE / "node_modules" / ".done").exists():
        pytest.skip("the clients for Node are not installed; run: make clients")
    with _running(["node", str(HERE / f"{name}_client.mjs"), f"{url}/v1", KEY, APP]) as program:
        yield NodeClient(program, NODE_FAILURES[name])


@contextmanager
def jdk_client(java: Path, url: str) -> Iterator[Client]:
    """The program, run by this JDK from its source."""
    with _running([str(java), str(HERE / "JdkClient.java"), f"{url}/v1/chat/completions", KEY]) as program:
        yield JdkClient(program)


@contextmanager
def curl_client(url: str) -> Iterator[Client]:
    """curl, or a skip that says what to install."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; on Debian and Ubuntu: apt-get install curl")
    if "HTTP2" not in subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("this curl is built without HTTP/2; the one of Debian and Ubuntu has it")
    yield CurlClient(f"{url}/v1/chat/completions")


def jdks() -> dict[str, Path]:
    """The `java` of each major version on this machine that comes with a compiler; the one on PATH goes first."""
    on_path = shutil.which("javac")
    folders = [Path(on_path).resolve().parents[1]] if on_path else []
    folders += sorted(Path("/usr/lib/jvm").glob("*"))
    found: dict[str, Path] = {}
    for folder in folders:
        release = folder / "release"
        if release.is_file() and (folder / "bin" / "javac").exists():
            version = release.read_text(encoding="utf-8").partition('JAVA_VERSION="')[2].partition('"')[0]
            found.setdefault(version.split(".")[0], folder / "bin" / "java")
    return found


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        try:
            yield program
        finally:
            program.kill()


def _pipes(program: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert program.stdin is not None
    assert program.stdout is not None
    return program.stdin, program.stdout


def _headers(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if not line.strip():
            return
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _events(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith("data: ") and line.strip() != "data: [DONE]":
            yield line.removeprefix("data: ")
