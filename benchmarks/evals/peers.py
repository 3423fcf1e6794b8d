"""The frameworks to compare with: how each is installed into an environment of its own, and how it is run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softlaunch.store.migrate import open_database

_HERE = Path(__file__).parent
_QUIET = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "DEEPEVAL_UPDATE_WARNING_OPT_IN": "NO",
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "OPENAI_API_KEY": "unused",
}


@dataclass(frozen=True, slots=True)
class Job:
    """So many cases, so many at once, against the endpoint on a port; `folder` is empty and the run's own."""

    port: int
    cases: int
    concurrency: int
    folder: Path

    @property
    def numbers(self) -> list[str]:
        """Port, cases and concurrency as arguments."""
        return [str(self.port), str(self.cases), str(self.concurrency)]


@dataclass(frozen=True, slots=True)
class Runner:
    """A name, the command that does a job, and what it installs first."""

    name: str
    command: Callable[[Job], Sequence[str]]
    install: Callable[[], None] = lambda: None
    framework: bool = True

    def environment(self, job: Job) -> Mapping[str, str]:
        """Variables that keep the run to itself."""
        return {**_QUIET, "PROMPTFOO_CONFIG_DIR": str(job.folder), "HF_HOME": str(job.folder)}


def runners(environments: Path) -> list[Runner]:
    """Ours, the floor and the frameworks; their environments are made in a folder and kept for the next time."""

    def python(name: str, *packages: str) -> Callable[[], None]:
        return lambda: _make_python(environments / name, packages)

    def inside(name: str) -> str:
        return str(environments / name / "bin" / "python")

    return [
        Runner("softlaunch", _ours, framework=False),
        Runner("bare loop", lambda job: [sys.executable, str(_HERE / "bare.py"), *job.numbers], framework=False),
        Runner("promptfoo", lambda job: _promptfoo(environments, job), lambda: _make_node(environments / "promptfoo")),
        Runner(
            "deepeval",
            lambda job: [inside("deepeval"), str(_HERE / "deepeval_run.py"), *job.numbers],
            python("deepeval", "deepeval", "openai"),
        ),
        Runner(
            "inspect-ai",
            lambda job: [inside("inspect-ai"), str(_HERE / "inspect_run.py"), *job.numbers, str(job.folder)],
            python("inspect-ai", "inspect-ai", "openai"),
        ),
        Runner("lm-eval", lambda job: _lm_eval(inside("lm-eval"), job), python("lm-eval", "lm-eval[api]")),
    ]


def _ours(job: Job) -> Sequence[str]:
    """The golden set and the empty ledger are there already, as they are after `softlaunch init` and `apply`."""
    lines = (f'{{"id": "c{n}", "question": "Question {n}?", "expected": "yes"}}\n' for n in range(job.cases))
    (job.folder / "golden.jsonl").write_text("".join(lines))
    open_database(f"sqlite:///{job.folder / 'ledger.db'}").close()
    return [sys.executable, "-m", "benchmarks.evals.ours", *job.numbers, str(job.folder)]


def _promptfoo(environments: Path, job: Job) -> Sequence[str]:
    config = {
        "providers": [
            {
                "id": "openai:chat:bench",
                "config": {"apiBaseUrl": f"http://127.0.0.1:{job.port}/v1", "apiKey": "unused"},
            }
        ],
        "prompts": ["{{question}}"],
        "tests": [
            {"vars": {"question": f"Question {n}?"}, "assert": [{"type": "equals", "value": "yes"}]}
            for n in range(job.cases)
        ],
    }
    path = job.folder / "promptfooconfig.json"
    path.write_text(json.dumps(config))
    program = environments / "promptfoo" / "node_modules" / ".bin" / "promptfoo"
    quiet = ["--no-cache", "--no-table", "--no-progress-bar", "--no-share"]
    result = str(job.folder / "results.json")
    return [str(program), "eval", "-c", str(path), "-j", str(job.concurrency), *quiet, "-o", result]


_TASK = """task: bench
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "yes"
generation_kwargs: {{until: [], max_gen_toks: 16}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


def _lm_eval(python: str, job: Job) -> Sequence[str]:
    data = job.folder / "data.jsonl"
    data.write_text("".join(json.dumps({"question": f"Question {n}?"}) + "\n" for n in range(job.cases)))
    (job.folder / "bench.yaml").write_text(_TASK.format(data=data))
    url = f"http://127.0.0.1:{job.port}/v1/chat/completions"
    model = f"model=bench,base_url={url},num_concurrent={job.concurrency},max_retries=3,tokenized_requests=False"
    options = ["--model", "local-chat-completions", "--model_args", model, "--tasks", "bench"]
    return [python, "-m", "lm_eval", *options, "--include_path", str(job.folder), "--apply_chat_template"]


def _make_python(folder: Path, packages: Sequence[str]) -> None:
    done = folder / ".done"
    if done.exists():
        return
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder / "bin" / "python")]
    subprocess.run([*install, *packages], check=True)
    done.touch()


def _make_node(folder: Path) -> None:
    if (folder / "node_modules" / ".bin" / "promptfoo").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text("{}")
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "promptfoo"], cwd=folder, check=True)
