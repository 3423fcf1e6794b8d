"""The image of `deployments/Dockerfile`, built and run by buildah on a base that debootstrap makes.

Neither a registry of images nor a daemon is needed: the base comes from the packages of the machine's own Debian, and
what runs in a container runs by chroot, in the machine's own network. That shows files, users, programs and signals as
they are in the image; it shows neither limits of memory nor what a kernel's namespaces forbid.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT

USER = "10001:10001"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_INCLUDED = "python3,python3-venv,ca-certificates"
_KEPT_THERE = "/root/.cache/uv"
"""Where uv keeps packages for the user who builds, inside of the container that is built in."""
_ROOM = 6 * 1024**3
"""What building takes, in memory where there is so much: on a disk it takes several times as long."""


def needs_builder() -> None:
    """Skip where the image can't be built, and say what is missing."""
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name, path=_path()) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"as root, with buildah and debootstrap, the image is built; missing: {missing or 'root'}")


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Builder:
    """buildah with a storage of its own."""

    folder: Path

    def run(self, *arguments: str) -> str:
        """What a command of buildah printed; it must succeed."""
        done = subprocess.run(self.command(*arguments), env=self._told, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    def start(self, *arguments: str, output: Path) -> "subprocess.Popen[bytes]":
        """A command of buildah that goes on."""
        with output.open("ab") as out:
            return subprocess.Popen(self.command(*arguments), env=self._told, stdout=out, stderr=out)

    def command(self, *arguments: str) -> list[str]:
        """How buildah is called."""
        return ["buildah", "--root", f"{self.folder}/storage", "--runroot", f"{self.folder}/run", *arguments]

    @property
    def _told(self) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(temporary), "PATH": _path()}


@contextmanager
def builder() -> Iterator[Builder]:
    """A builder whose containers and images are gone afterwards."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    folder = Path(tempfile.mkdtemp(prefix="softlaunch-images-", dir=memory if roomy else None))
    made = Builder(folder)
    try:
        yield made
    finally:
        made.run("rm", "--all")
        subprocess.run(made.command("umount", "--all"), capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def build_image(made: Builder, tag: str) -> None:
    """Build the image on the base. What uv has kept of packages on this machine isn't fetched again."""
    _make_base(made, "localhost/softlaunch-base")
    kept = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache" / "uv"))
    kept.mkdir(parents=True, exist_ok=True)
    volume = ("--volume", f"{kept}:{_KEPT_THERE}")
    base = ("--build-arg", "BASE=localhost/softlaunch-base")
    file = str(ROOT / "deployments" / "Dockerfile")
    made.run("bud", "--quiet", "--isolation", "chroot", *volume, *base, "--file", file, "--tag", tag, str(ROOT))


def _make_base(made: Builder, tag: str) -> None:
    """A minimal Debian with Python in the place of a registry's; it is packed and kept for the next time."""
    suite = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(encoding="utf-8"))
    mirror = _mirror()
    if suite is None or mirror is None:
        pytest.skip("this machine is no Debian whose packages a base could be made of")
    packed = Path(tempfile.gettempdir()) / f"softlaunch-base-{suite[1]}.tar"
    if not packed.exists():
        _pack_base(made.folder / "base", suite[1], mirror, packed)
    container = made.run("from", "scratch")
    made.run("add", "--quiet", container, str(packed), "/")
    told = {name: _CERTIFICATES for name in ("SSL_CERT_FILE", "PIP_CERT") if name in os.environ}
    variables = [argument for name, value in told.items() for argument in ("--env", f"{name}={value}")]
    if told:
        made.run("copy", "--quiet", container, os.environ.get("SSL_CERT_FILE", _CERTIFICATES), _CERTIFICATES)
    made.run("config", *variables, container)
    made.run("commit", "--quiet", "--rm", container, tag)


def _pack_base(root: Path, suite: str, mirror: str, packed: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={_INCLUDED}", suite, str(root), mirror]
    done = subprocess.run(command, env={**os.environ, "PATH": _path()}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    for kept in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / kept)
        (root / kept).mkdir()
    half = packed.with_suffix(f".{os.getpid()}")
    subprocess.run(["tar", "-C", str(root), "-cf", str(half), "."], check=True)
    half.rename(packed)
    shutil.rmtree(root)


def _mirror() -> str | None:
    """Where this machine's own packages come from."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    lines = [line for text in texts for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = re.search(r"https?://\S+/debian/?(?=\s|$)", "\n".join(lines))
    return found[0] if found else None


@dataclass(frozen=True)
class Container:
    """A container of the image whose programs run as the image's own user, beside each other."""

    made: Builder
    name: str
    folder: Path
    """What the container's /tmp, secrets and output are, outside of it."""

    def start(self, service: str, command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Run a command with the image's entry point until it ends; what it says is in `said`."""
        return self.made.start(*self._arguments(command, environment), output=self.folder / f"{service}.log")

    def said(self, service: str) -> str:
        """What a service has printed."""
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        arguments = self.made.command(*self._arguments(command, environment or {}))
        return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)

    @property
    def root(self) -> Path:
        """The container's files, outside of it."""
        return Path(self.made.run("mount", self.name))

    def _arguments(self, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        folders = {"tmp": "/tmp", "secrets": "/run/secrets", "home": "/var/lib/softlaunch"}
        volumes = [part for name, at in folders.items() for part in ("--volume", f"{self.folder / name}:{at}")]
        variables = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        return ["run", "--isolation", "chroot", *volumes, *variables, self.name, "--", "with-secrets", *command]


def make_container(made: Builder, tag: str, secrets: Mapping[str, str]) -> Container:
    """A container with these secrets as files, and folders of its own for what it may write."""
    container = Container(made, made.run("from", tag), made.folder / "container")
    for name, mode in (("tmp", 0o1777), ("secrets", 0o755), ("home", 0o777)):
        (container.folder / name).mkdir(parents=True)
        (container.folder / name).chmod(mode)
    for name, value in secrets.items():
        (container.folder / "secrets" / name).write_text(value, encoding="utf-8")
    return container
