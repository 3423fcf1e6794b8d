"""The programs of `agents/` as processes: which there are, what each asks for, and a turn with one."""

import shutil
import subprocess
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from tests.gateway.clients.agents.lines import Line
from tests.support.paths import ROOT

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
_LONGEST_SECONDS = 580.0
"""A program that says nothing holds up its tests no longer."""


@dataclass(frozen=True)
class Package:
    """A package that people use: its program, the API that it asks for, and whether its provider keeps the thread."""

    name: str
    program: str
    api: str
    threads: bool = False

    @property
    def missing(self) -> str:
        """What to install, empty where everything is there."""
        if self.program.endswith(".mjs"):
            if shutil.which("node") is None:
                return "node is not installed; on Debian and Ubuntu: apt-get install nodejs npm"
            done = HERE / "node_modules" / ".done"
        else:
            done = PYTHON.parents[1] / ".done"
        return "" if done.exists() else "the clients are not installed; run: make clients"

    def command(self, url: str, key: str) -> list[str]:
        """How it is run."""
        if self.program.endswith(".mjs"):
            return ["node", str(HERE / "agents" / self.program), url, key, self.api]
        return [str(PYTHON), "-m", f"tests.gateway.clients.agents.{self.program}", url, key, self.api]


PACKAGES = [
    Package("openai for Python, chat", "openai_chat", "chat"),
    Package("openai for Python, Responses", "openai_responses", "responses", threads=True),
    Package("anthropic for Python", "anthropic_messages", "messages"),
    Package("openai-agents", "openai_agents", "responses"),
    *(Package(f"pydantic-ai, {api}", "pydantic_agents", api) for api in ("chat", "responses", "messages")),
    *(Package(f"LangChain, {api}", "langchain_models", api) for api in ("chat", "responses", "messages")),
    Package("openai for Node, chat", "openai_chat.mjs", "chat"),
    Package("openai for Node, Responses", "openai_responses.mjs", "responses", threads=True),
    Package("@anthropic-ai/sdk", "anthropic_messages.mjs", "messages"),
    Package("@openai/agents", "openai_agents.mjs", "responses"),
    Package("@ai-sdk/openai", "vercel.mjs", "responses"),
    Package("@ai-sdk/anthropic", "vercel.mjs", "messages"),
]


@dataclass(frozen=True)
class Said:
    """What came of a turn: the words that a user saw, or the failure in the program's words."""

    text: str
    failure: str | None


class Program:
    """One of them, running."""

    def __init__(self, package: Package, url: str, key: str, log: Path) -> None:
        command = package.command(url, key)
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT
            )
        self._silence = threading.Timer(_LONGEST_SECONDS, self._process.kill)
        self._silence.start()

    def turn(self, line: Line) -> Said:
        """Let it hold a turn."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(asdict(line)) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        return Said(**orjson.loads(answer)) if answer else Said("", "the program ended")

    def end(self) -> None:
        """End it."""
        self._silence.cancel()
        self._process.kill()
        self._process.wait()
