"""What the demo sets up: folders, ports, the app, and the services around it."""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import orjson

from softlaunch.catalog.example import EXAMPLE, make_app
from softlaunch.installation.stack import Service, free_ports, ours, prefects
from softlaunch.simulator.knowledge import invented_claim

RATE_RPS = 300.0
USERS = 20_000
SPEED = 10.0
"""The simulated models answer this many times faster than their profiles say, so that a release takes seconds."""
_HERE = Path(__file__).parent
_EXAMPLE_ENDPOINT = "http://127.0.0.1:8801"
_LABELS = 120


@dataclass(frozen=True, slots=True)
class Scene:
    """The demo's folder, ports and processes."""

    home: Path
    provider_port: int
    gateway_port: int
    prefect_port: int

    @property
    def app_folder(self) -> Path:
        """The copy of the example."""
        return self.home / EXAMPLE

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process of the demo."""
        return {
            "SOFTLAUNCH_HOME": str(self.home),
            "SOFTLAUNCH_DATABASE_URL": f"sqlite:///{self.home / 'ledger.db'}",
            "SOFTLAUNCH_POLL_SECONDS": "0.5",
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "ERROR",
        }

    @property
    def prefect_url(self) -> str:
        """Where the Prefect UI is while the demo runs."""
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def provider(self) -> Service:
        """The stand-in for a model provider."""
        files = [str(self.app_folder / name) for name in ("golden.jsonl", "answers.jsonl", "traffic.jsonl")]
        knowledge = [part for file in files for part in ("--knowledge", file)]
        command = ours(
            "rehearse",
            "provider",
            "--port",
            str(self.provider_port),
            "--speed",
            str(SPEED),
            *knowledge,
            "--profiles",
            str(_HERE / "profiles.yaml"),
        )
        return Service("provider", command, f"http://127.0.0.1:{self.provider_port}/v1/models")

    @property
    def gateway(self) -> Service:
        """The gateway."""
        command = ours("gateway", "--port", str(self.gateway_port), "--arm-header", "--log-level", "warning")
        return Service("gateway", command, f"{self.gateway_url}/healthz")

    @property
    def evaluator(self) -> Service:
        """Has the simulated judge judge live answers."""
        return Service("evaluator", ours("evaluator", "--every", "0.5"))

    @property
    def labels(self) -> Path:
        """What stands in for people's labels, by which the simulated judge is calibrated."""
        return self.home / "labels.jsonl"

    @property
    def prefect(self) -> Service:
        """A Prefect server with its UI."""
        command = prefects("server", "start", "--host", "127.0.0.1", "--port", str(self.prefect_port), "--no-services")
        return Service("prefect", command, f"{self.prefect_url}/api/health", patience=90)

    @property
    def traffic(self) -> Service:
        """Users."""
        return Service(
            "traffic",
            ours(
                "rehearse",
                "traffic",
                "--app",
                EXAMPLE,
                "--gateway",
                self.gateway_url,
                "--questions",
                str(self.app_folder / "traffic.jsonl"),
                "--rate",
                str(RATE_RPS),
                "--duration",
                "0",
                "--users",
                str(USERS),
                "--patience",
                str(6 / SPEED),
            ),
        )


def set_scene(home: Path) -> Scene:
    """A fresh home with a copy of the example app on free ports; what an earlier demo left there is deleted."""
    if home.exists():
        shutil.rmtree(home)
    scene = Scene(home.resolve(), *free_ports(3))
    make_app(scene.app_folder, EXAMPLE)
    shutil.copyfile(_HERE / "policy.yaml", scene.app_folder / "softlaunch.yaml")
    _widen_golden_set(scene.app_folder)
    for name in ("models.yaml", "variants.yaml"):
        with (scene.app_folder / name).open("ab") as file:
            file.write((_HERE / f"more_{name}").read_bytes())
    models = scene.app_folder / "models.yaml"
    here = f"http://127.0.0.1:{scene.provider_port}"
    models.write_text(models.read_text(encoding="utf-8").replace(_EXAMPLE_ENDPOINT, here), encoding="utf-8")
    _label_answers(scene)
    os.environ.update(scene.environment)
    return scene


def _label_answers(scene: Scene) -> None:
    """Right answers of which every other one has a claim that nothing supports, labelled by who put it there."""
    rng = random.Random(1)
    with scene.labels.open("wb") as labels:
        for number, line in enumerate((scene.app_folder / "golden.jsonl").read_bytes().splitlines()[:_LABELS]):
            case, invents = orjson.loads(line), number % 2 == 1
            answer = f"The answer is: {case['expected']}.{invented_claim(rng) if invents else ''}"
            known = {"id": case["id"], "question": case["question"], "answer": answer}
            labels.write(orjson.dumps({**known, "votes": ["yes" if invents else "no"]}) + b"\n")


def _widen_golden_set(folder: Path) -> None:
    """Add the example's other questions: sixty cases can't show a few points either way, 262 can."""
    with (folder / "golden.jsonl").open("ab") as golden:
        for line in (folder / "traffic.jsonl").read_bytes().splitlines():
            case = orjson.loads(line)
            golden.write(orjson.dumps({key: case[key] for key in ("id", "question", "expected", "metric")}) + b"\n")
