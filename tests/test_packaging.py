"""What an installed softlaunch brings with it, and that it works beside a project with folders of the same names."""

import subprocess
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from softlaunch.simulator.cases import Case
from tests.support.deployed import Server, running_prefect, running_worker
from tests.support.installed import Installed, build, copied_into_the_image, install
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(100)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the checkout builds."""
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")["wheel"]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the sources that the checkout builds."""
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")["sdist"]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own, beside a project of somebody else."""
    return install(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def app(installed: Installed) -> Iterator[str]:
    """The example, in the ledger; its candidate `budget` is much worse than what serves."""
    profiles = [quick_profile("steady"), *(quick_profile(name) for name in ("steady-v2", "slows-under-load"))]
    with running_provider(CASES, [*profiles, quick_profile("cheap-and-wrong", accuracy=0.4)]) as provider:
        installed.softlaunch("init", "shop", "--app", "shop")
        folder = installed.folder / "shop"
        models = (folder / "models.yaml").read_text(encoding="utf-8")
        (folder / "models.yaml").write_text(models.replace("http://127.0.0.1:8801/v1", provider.endpoint))
        lines = [case.model_dump_json(include={"id", "question", "expected"}) for case in CASES]
        (folder / "golden.jsonl").write_text("\n".join(lines), encoding="utf-8")
        installed.softlaunch("apply", "shop")
        yield "shop"


def contents(wheel: Path) -> dict[str, bytes]:
    """What a wheel installs, without what describes it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def test_a_wheel_puts_one_name_into_site_packages(wheel: Path) -> None:
    """Only `softlaunch` and what describes it; each file is there once, and its types are for users too."""
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name.split("-")[0] for name in top} == {"softlaunch"}
    assert {name for name in top if not name.endswith(".dist-info")} == {"softlaunch"}
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert "softlaunch/py.typed" in names


@pytest.mark.parametrize("folder", ["softlaunch", "flows", "tasks"])
def test_a_wheel_has_every_module(wheel: Path, folder: str) -> None:
    """What Git keeps of the package is in the wheel; flows and tasks are in there as parts of it."""
    listed = subprocess.run(["git", "ls-files", folder], capture_output=True, text=True, check=True, cwd=ROOT)
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    prefix = "" if folder == "softlaunch" else "softlaunch/"
    assert files
    assert {prefix + name for name in files} - contents(wheel).keys() == set()


def test_a_wheel_from_the_sources_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    """The archive of the sources has what a wheel is built from, with flows and tasks once."""
    with tarfile.open(sdist) as archive:
        assert [name for name, count in Counter(archive.getnames()).items() if count > 1] == []
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert not (unpacked / "flows").exists()
    assert contents(build(unpacked, tmp_path / "dist", "wheel")["wheel"]) == contents(wheel)


def test_a_wheel_from_what_the_image_copies_is_the_same(wheel: Path, tmp_path: Path) -> None:
    """`deployments/Dockerfile` copies links and what they lead to."""
    copied = copied_into_the_image(tmp_path / "image")
    assert contents(build(copied, tmp_path / "dist", "wheel")["wheel"]) == contents(wheel)


def test_the_sources_can_be_installed(sdist: Path, tmp_path: Path) -> None:
    """`pip install` of the archive gives a command that works."""
    installed = install(sdist, tmp_path)
    installed.softlaunch("init", "shop", "--app", "shop")
    installed.softlaunch("policy", "check", "shop/softlaunch.yaml")
    installed.program("import softlaunch.flows.release, softlaunch.tasks.evals")
    assert installed.imported_neighbours == []


def test_an_installed_package_finds_its_own_files(installed: Installed) -> None:
    """The example, the runbooks and what is deployed come from the wheel, not from folders of that name beside it."""
    names = ["examples/support-bot/golden.jsonl", "runbooks/rollback_stuck.md"]
    names += ["deployments/prefect.yaml", "deployments/automations.yaml"]
    source = f"from softlaunch.core.resources import find_resource; print(*map(find_resource, {names}), sep='\\n')"
    for name, line in zip(names, installed.program(source).splitlines(), strict=True):
        assert Path(line).is_relative_to(installed.python.parents[1])
        assert Path(line).read_bytes() == (ROOT / name).read_bytes()


def test_a_release_runs_beside_folders_of_the_same_names(installed: Installed, app: str) -> None:
    """The eval rejects a worse candidate; nothing of the neighbour's flows, tasks and deployments is imported."""
    said = installed.softlaunch("release", "start", app, "--variant", "budget", "--without-prefect", "--json", code=3)
    assert '"state": "rejected"' in said
    assert installed.softlaunch("incidents", "runbook", "rollback_stuck") != "theirs\n"
    assert installed.imported_neighbours == []


def test_a_release_runs_under_a_worker_beside_folders_of_the_same_names(
    installed: Installed, app: str, tmp_path: Path
) -> None:
    """A worker that is started in somebody's project runs our flows and not theirs."""
    (tmp_path / "prefect").mkdir()
    with running_prefect(tmp_path / "prefect") as prefect:
        api = prefect["PREFECT_API_URL"]
        environment = {**installed.environment, "PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": api}
        server = Server(environment)
        installed.softlaunch("deploy", environment=environment)
        with running_worker(environment, tmp_path, python=installed.python, cwd=installed.folder):
            said = installed.softlaunch(
                "release", "start", app, "--variant", "budget", "--json", code=3, environment=environment
            )
            wait_until(lambda: _states(server) == ["COMPLETED"], "the flow has ended", 120)
    assert '"state": "rejected"' in said
    assert installed.imported_neighbours == []


def _states(server: Server) -> list[str]:
    """How the runs of releases stand."""
    return [run["state_type"] for run in server.runs_of("release/release")]
