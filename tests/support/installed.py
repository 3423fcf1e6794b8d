"""softlaunch as people install it: a wheel in an environment of its own, beside a project with the same folders."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PATIENCE = 600.0
"""How long a command may take on a machine that is busy with other things."""
_CONFESSION = """
from pathlib import Path
Path(__file__).with_suffix(".imported").touch()
"""


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel, and the folder in which its commands run."""

    python: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process there is told: nothing of this checkout, and a path that begins with its own folder."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SOFTLAUNCH_"))
        }
        return {
            **inherited,
            "PYTHONPATH": ".",
            "SOFTLAUNCH_HOME": str(self.folder / ".softlaunch"),
            "SOFTLAUNCH_POLL_SECONDS": "0.2",
        }

    def softlaunch(self, *arguments: str, code: int = 0, environment: Mapping[str, str] | None = None) -> str:
        """Run the installed command; returns what it printed. It must end with this exit code."""
        command = [str(self.python.parent / "softlaunch"), *arguments]
        return self._run(command, code, environment or {})

    def program(self, source: str) -> str:
        """Run a program of Python there; returns what it printed."""
        return self._run([str(self.python), "-c", source], 0, {})

    def _run(self, command: list[str], code: int, environment: Mapping[str, str]) -> str:
        told = {**self.environment, **environment}
        done = subprocess.run(
            command, env=told, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def imported_neighbours(self) -> list[str]:
        """Modules of the project beside it that were imported."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.imported"))


def build(root: Path, folder: Path, *targets: str) -> dict[str, Path]:
    """Build a project's wheel or sdist into a folder; returns the files by their target. Needs no network."""
    wanted = [argument for target in targets for argument in ("--target", target)]
    command = [sys.executable, "-m", "hatchling", "build", *wanted, "--directory", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    patterns = {"wheel": "*.whl", "sdist": "*.tar.gz"}
    return {target: next(folder.glob(patterns[target])) for target in targets}


def install(package: Path, folder: Path) -> Installed:
    """Install a wheel or an sdist into a bare environment, without a network, beside a project of somebody else.

    What softlaunch depends on comes from the environment of this test run, whose own softlaunch is out of sight: a
    path in a `.pth` file brings packages, but not the `.pth` files beside them.
    """
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--offline", "--no-deps"]
    done = subprocess.run(
        [*uv, "--no-cache", "--no-build-isolation", "--python", str(python), str(package)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return Installed(python, _neighbour(folder / "neighbour"))


def _neighbour(folder: Path) -> Path:
    """A project with modules where this repository has some; each of them leaves a trace when it is imported."""
    for name in ("flows/__init__.py", "flows/release.py", "tasks/__init__.py", "deployments/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(_CONFESSION, encoding="utf-8")
    for name in ("deployments/prefect.yaml", "runbooks/rollback_stuck.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("theirs\n", encoding="utf-8")
    return folder


def copied_into_the_image(folder: Path) -> Path:
    """The tree that `deployments/Dockerfile` builds from, with links as links."""
    folder.mkdir()
    lines = (ROOT / "deployments" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--" not in line:
            *sources, target = line.split()[1:]
            for source in (name.replace("${REQUIREMENTS}", "requirements.txt") for name in sources):
                where = folder / target if (ROOT / source).is_dir() else folder / target / Path(source).name
                subprocess.run(["cp", "-a", str(ROOT / source), str(where)], check=True)
    return folder
