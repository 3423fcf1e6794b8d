"""What `deployments/kubernetes` asks of a cluster: valid objects that fit each other, our programs and our settings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from softlaunch.cli.main import build
from softlaunch.core.settings import Settings
from softlaunch.gateway.limits import Limits
from tests.support.kustomize import Manifest, built, containers, named_files, pod_of
from tests.support.paths import ROOT

FOLDER = ROOT / "deployments" / "kubernetes"
KUSTOMIZATIONS = sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))
EXAMPLE = built(FOLDER / "overlays" / "example")
FULL = built(FOLDER / "overlays" / "full")
"""The example with every component."""
PODS = {one["metadata"]["name"]: pod for one in FULL if (pod := pod_of(one)) is not None}
EACH_POD = pytest.mark.parametrize("pod", [pytest.param(pod, id=name) for name, pod in PODS.items()])
PREFECT_COMMANDS = {("prefect", "server", "start"), ("prefect", "worker", "start"), ("prefect", "work-pool", "create")}
SECRETS = {
    "softlaunch": {"SOFTLAUNCH_DATABASE_URL", "PREFECT_API_AUTH_STRING", "OPENAI_API_KEY"},
    "softlaunch-gateway": {"SOFTLAUNCH_CLIENT_KEYS"},
    "softlaunch-otlp": {"SOFTLAUNCH_OTLP_TOKEN"},
    "softlaunch-prefect": {"PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_SERVER_API_AUTH_STRING"},
}
"""What an installation makes by hand, as docs/operations/kubernetes.md says."""
Pod = Mapping[str, Any]


def _named(kind: str, manifests: list[Manifest] = FULL) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def _variables(pod: Pod) -> Iterator[Mapping[str, Any]]:
    for container in containers(pod):
        yield from container.get("env", ())


@pytest.mark.parametrize("folder", [pytest.param(path, id=str(path.relative_to(FOLDER))) for path in KUSTOMIZATIONS])
def test_a_kustomization_names_each_file_beside_it(folder: Path) -> None:
    """Nothing lies there that is never applied, and nothing is named that isn't there."""
    beside = {path.name for path in folder.iterdir() if path.is_file()} - {"kustomization.yaml"}
    assert named_files(folder) == beside


@pytest.mark.parametrize(
    "manifest",
    [pytest.param(one, id=f"{one['kind']} {one['metadata']['name']}") for one in FULL],
)
def test_an_object_is_one_of_the_api(manifest: Manifest) -> None:
    """The schemas of the Kubernetes API know each field, in the base as the example changes it, and in components."""
    for version in ("1.30", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(manifest, version, strict=True)


@EACH_POD
def test_a_pod_has_the_least_privileges(pod: Pod) -> None:
    """No root, no capability, no way to gain one, a read-only root, and a token only for who starts jobs."""
    assert pod["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"memory"} <= container["resources"]["limits"].keys()
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    has_token = pod["spec"].get("automountServiceAccountToken", True)
    assert has_token is (pod["spec"].get("serviceAccountName") == "softlaunch-worker")


@EACH_POD
def test_a_pod_finds_what_it_names(pod: Pod) -> None:
    """Each volume, claim, config map, secret and account that it refers to is declared, or documented."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
    assert mounted == set(volumes)
    claims = {one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one}
    maps = {one["configMap"]["name"] for one in volumes.values() if "configMap" in one}
    maps |= {source["configMapRef"]["name"] for one in containers(pod) for source in one.get("envFrom", ())}
    accounts = {pod["spec"]["serviceAccountName"]} if "serviceAccountName" in pod["spec"] else set()
    assert claims <= _named("PersistentVolumeClaim").keys()
    assert maps <= _named("ConfigMap").keys()
    assert accounts <= _named("ServiceAccount").keys()
    for variable in _variables(pod):
        if "secretKeyRef" in variable.get("valueFrom", {}):
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["key"] in SECRETS[reference["name"]]


@EACH_POD
def test_a_secret_is_read_by_reference(pod: Pod) -> None:
    """No manifest holds a password or a key."""
    secret = re.compile("PASSWORD|AUTH|KEY|DATABASE|TOKEN|SECRET")
    assert [one["name"] for one in _variables(pod) if secret.search(one["name"]) and "value" in one] == []
    settings = _named("ConfigMap")["softlaunch-settings"]["data"]
    assert [name for name in settings if secret.search(name)] == []


@EACH_POD
def test_a_command_is_one_of_ours(pod: Pod) -> None:
    """The command line takes it as it stands; Prefect's are those that the tests of the image run."""
    group = typer.main.get_command(build())
    for container in containers(pod):
        assert "command" not in container  # it would leave out the image's entry point
        program, *words = container["args"]
        if program == "prefect":
            assert (program, *words[:2]) in PREFECT_COMMANDS
            continue
        if program == "envoy":  # of its own image, by the file that the pod's init container writes
            files = [one for init in pod["spec"]["initContainers"] for one in init["args"] if one[:7] == "--file="]
            assert words[:2] == ["-c", *(one.removeprefix("--file=") for one in files)]
            continue
        assert program == "softlaunch"
        _parse(group, words)
    checks = [probe["exec"]["command"] for probe in _probes(*pod["spec"]["containers"]) if "exec" in probe]
    for check in checks:
        assert check[0] == "softlaunch"
        _parse(group, check[1:])


def _parse(group: Any, words: list[str]) -> None:
    """Raise what the command line would say of these words."""
    name, *rest = words
    context = group.context_class(group, info_name="softlaunch")
    command = group.get_command(context, name)
    assert command is not None, name
    if hasattr(command, "get_command"):
        _parse(command, rest)
    else:
        command.make_context(name, list(rest), parent=context)


def test_settings_are_real() -> None:
    """Each variable of ours is a setting that is read, and has a value that is taken."""
    given = dict(_named("ConfigMap")["softlaunch-settings"]["data"])
    given |= {one["name"]: one.get("value", "") for pod in PODS.values() for one in _variables(pod)}
    ours = {name.removeprefix("SOFTLAUNCH_").lower(): value for name, value in given.items() if name[:4] == "SOFT"}
    assert ours.keys() <= Settings.model_fields.keys()
    Settings.model_validate(ours)


def _probes(*asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for container in asked:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name in container:
                yield container[name]


@EACH_POD
def test_a_probe_asks_a_port_that_is_open(pod: Pod) -> None:
    """Ports are named once, probes go by these names, and the program listens there, to everybody in the pod."""
    for container in pod["spec"]["containers"]:
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        asked = {(one.get("httpGet") or one["tcpSocket"])["port"] for one in _probes(container) if "exec" not in one}
        assert asked == set(ports)
        asked_at = "--health-port" if "--health-port" in container["args"] else "--port"
        if asked_at in container["args"]:
            assert container["args"][container["args"].index(asked_at) + 1] == str(*ports.values())
            assert container["args"][container["args"].index("--host") + 1] == "0.0.0.0"


def test_services_policies_and_budgets_choose_pods_that_there_are() -> None:
    """Each selector meets exactly the pods of one workload, each port is one of theirs, and each target exists."""
    for service in _named("Service").values():
        (pod,) = _chosen(service["spec"]["selector"])
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= _ports(pod)
    for policy in _named("NetworkPolicy").values():
        chosen = policy["spec"]["podSelector"].get("matchLabels", {})
        named = [port for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]]
        assert not chosen or {port["port"] for port in named} <= _ports(*_chosen(chosen))
    for budget in _named("PodDisruptionBudget").values():
        assert len(_chosen(budget["spec"]["selector"]["matchLabels"])) == 1
    for name, workload in _named("Deployment").items():
        assert _chosen(workload["spec"]["selector"]["matchLabels"]) == [PODS[name]]
    for scaler in _named("HorizontalPodAutoscaler").values():
        assert scaler["spec"]["scaleTargetRef"]["name"] in _named("Deployment")
        assert "replicas" not in _named("Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]["spec"]


def _chosen(labels: Mapping[str, str]) -> list[Pod]:
    return [pod for pod in PODS.values() if labels.items() <= pod["metadata"]["labels"].items()]


def _ports(*pods: Pod) -> set[str]:
    return {port["name"] for pod in pods for one in pod["spec"]["containers"] for port in one.get("ports", ())}


def test_nothing_is_reached_but_what_is_named() -> None:
    """One policy closes all pods, and whoever has a service has a policy that opens its port."""
    policies = _named("NetworkPolicy")
    assert policies["nothing-in"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert _named("Service").keys() == policies.keys() - {"nothing-in"}


def test_a_gateway_has_time_to_stop() -> None:
    """Kubernetes waits for the drain, for requests under way, for copies, and for the log behind them."""
    limits = Limits()
    drain = float(_named("ConfigMap")["softlaunch-settings"]["data"]["SOFTLAUNCH_GATEWAY_DRAIN_SECONDS"])
    needed = drain + limits.shutdown_seconds + limits.mirrors_shutdown_seconds
    grace = PODS["gateway"]["spec"]["terminationGracePeriodSeconds"]
    assert needed + 10 <= grace
    readiness = PODS["gateway"]["spec"]["containers"][0]["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < drain
    strategy = _named("Deployment")["gateway"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}  # a fresh one is ready before an old one goes


def test_the_example_changes_what_it_says() -> None:
    """Images come from another registry, gateways are more, and settings are added to those of the base."""
    images = {one["image"] for manifest in EXAMPLE if (pod := pod_of(manifest)) for one in containers(pod)}
    assert images == {"registry.example.com/softlaunch:0.1.0", "registry.example.com/softlaunch-worker:0.1.0"}
    assert _named("HorizontalPodAutoscaler", EXAMPLE)["gateway"]["spec"]["minReplicas"] == 3
    settings = _named("ConfigMap", EXAMPLE)["softlaunch-settings"]["data"]
    assert settings["SOFTLAUNCH_CONSOLE_URL"] == "https://softlaunch.example.com"
    assert settings["PREFECT_API_URL"] == "http://prefect:4200/api"


def test_documented_secrets_are_those_that_are_read() -> None:
    """The page tells how to make each secret with each of its keys, and no other."""
    page = (ROOT / "docs" / "operations" / "kubernetes.md").read_text(encoding="utf-8")
    told = re.findall(r"create secret generic (\S+) (.*)", page.replace("\\\n", " "))
    assert {name: set(re.findall(r"--from-literal=(\w+)=", keys)) for name, keys in told} == SECRETS


def test_jobs_of_the_pool_fit_the_namespace() -> None:
    """A job's defaults name what the base declares."""
    template = yaml.safe_load((FOLDER / "base" / "job-template.json").read_text(encoding="utf-8"))
    defaults = {name: one.get("default") for name, one in template["variables"]["properties"].items()}
    assert defaults["namespace"] in _named("Namespace")
    assert defaults["secret_name"] in SECRETS
    assert defaults["home_claim_name"] in _named("PersistentVolumeClaim")
