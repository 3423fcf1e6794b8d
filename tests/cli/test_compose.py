"""What the files for containers promise: least privileges, secrets by reference, and that their tools accept them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deployments"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = [pytest.param(service, id=name) for name, service in COMPOSE["services"].items()]
TEMPLATE = json.loads((FOLDER / "kubernetes" / "base" / "job-template.json").read_text(encoding="utf-8"))
PROFILES = {profile for service in COMPOSE["services"].values() for profile in service.get("profiles", ())}
Service = Mapping[str, Any]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_least_privileges(service: Service) -> None:
    """No root, no capability, no way to gain one, and nothing to write to but what is named."""
    assert service["user"] not in {"root", "0", "0:0"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert "docker.sock" not in str(service)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_its_secrets_from_files(service: Service) -> None:
    """No variable holds a password or a key, only where it is, and a service is given that file."""
    named = {key: value for key, value in service["environment"].items() if re.search("PASSWORD|AUTH|KEY", key)}
    assert [key for key in named if not key.endswith("_FILE")] == []
    mounted = {f"/run/secrets/{name}" for name in service["secrets"]}
    assert set(named.values()) <= mounted
    assert not any(re.search(r"://[^/]*:[^/]*@", str(value)) for value in service["environment"].values())


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_open_to_this_machine_alone(service: Service) -> None:
    """What is to be reached from elsewhere gets TLS in front of it; the database is reached from inside."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    if service["image"].startswith("postgres"):
        assert service["networks"] == ["inside"]
        assert COMPOSE["networks"]["inside"]["internal"] is True


def test_what_runs_for_long_says_whether_it_is_well() -> None:
    """Every service but the one that deploys has a health check and starts again by itself."""
    lasting = {name: service for name, service in COMPOSE["services"].items() if service["restart"] != "on-failure"}
    assert set(COMPOSE["services"]) - set(lasting) == {"deploy"}
    assert all("healthcheck" in service for service in lasting.values())


def test_compose_accepts_its_file() -> None:
    """The program that would start it finds nothing wrong with it."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("no docker-compose here; on Debian and Ubuntu: apt-get install docker-compose")
    everything = {"COMPOSE_PROFILES": ",".join(sorted(PROFILES)), "PATH": os.environ["PATH"]}
    command = [program, "-f", str(FOLDER / "compose.yaml"), "config", "-q"]
    done = subprocess.run(command, env=everything, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_not_everybody_needs_is_started_by_its_profile() -> None:
    """Without one there are Prefect, worker, evaluator and gateway; what lasts needs nothing of another profile."""
    plain = {name for name, service in COMPOSE["services"].items() if "profiles" not in service}
    assert plain == {"postgres", "prefect", "deploy", "worker", "evaluator", "gateway"}
    assert {"console", "config-server", "otlp", "envoy"} == PROFILES
    needed = {name for service in COMPOSE["services"].values() for name in service.get("depends_on", {})}
    assert needed <= plain


def test_each_secret_is_declared() -> None:
    """What services are given is what the file lists, and nothing is listed for nobody."""
    given = {name for service in COMPOSE["services"].values() for name in service["secrets"]}
    assert given == COMPOSE["secrets"].keys()


def test_the_entry_point_hands_a_secret_to_the_program(tmp_path: Path) -> None:
    """`NAME_FILE` becomes `NAME` with the file's content, whatever characters it has; other variables stay."""
    secret = "p@ss 'word' $HOME"
    (tmp_path / "key").write_text(f"{secret}\n", encoding="utf-8")
    environment = {"PATH": "/usr/bin:/bin", "OPENAI_API_KEY_FILE": str(tmp_path / "key"), "OTHER": "as it was"}
    command = [
        str(FOLDER / "entrypoint.sh"),
        "sh",
        "-c",
        'printf "%s|%s|%s" "$OPENAI_API_KEY" "$OTHER" "$OPENAI_API_KEY_FILE"',
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{secret}|as it was|"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_the_entry_point_leaves_variables_of_others(tmp_path: Path, name: str) -> None:
    """Some programs have a variable of such a name that is to stay, and a bundle of certificates fits in no other."""
    environment = {"PATH": "/usr/bin:/bin", name: str(tmp_path / "file")}
    (tmp_path / "file").write_text("x" * 200_000, encoding="utf-8")
    done = subprocess.run(
        [FOLDER / "entrypoint.sh", "printenv", name], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{tmp_path / 'file'}\n", done.stderr


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The container doesn't start with an empty password; the message says which variable and which file."""
    environment = {"PATH": "/usr/bin:/bin", "OPENAI_API_KEY_FILE": str(tmp_path / "nope")}
    done = subprocess.run(
        [FOLDER / "entrypoint.sh", "true"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"OPENAI_API_KEY_FILE names {tmp_path / 'nope'}" in done.stderr


def test_the_image_has_what_a_wheel_is_built_from() -> None:
    """Every folder and file that the build reads is copied, and the image's last user is not root."""
    lines = (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert {
        "softlaunch",
        "tasks",
        "flows",
        "deployments",
        "examples",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    } <= copied
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001:10001"
    assert any("--require-hashes" in line for line in lines)


def test_a_job_on_kubernetes_has_the_least_privileges() -> None:
    """The same as in compose.yaml, in the words of Kubernetes; secrets come from a secret of the cluster."""
    pod = TEMPLATE["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["envFrom"] == [{"secretRef": {"name": "{{ secret_name }}"}}]


def test_a_job_template_names_no_variable_that_it_lacks() -> None:
    """Each placeholder has a variable with a title and a description, which the form of the work pool shows."""
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(TEMPLATE["job_configuration"])))
    known = TEMPLATE["variables"]["properties"]
    assert used <= set(known)
    assert [name for name in known if not (known[name].get("title") and known[name].get("description"))] == []
