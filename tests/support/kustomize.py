"""As much of Kustomize as `deployments/kubernetes` uses: a folder with its bases and patches becomes a list of objects.

What it doesn't know it refuses, so that nothing is left out unseen.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_KNOWN = {
    *("apiVersion", "kind", "namespace", "labels", "resources", "components"),
    *("configMapGenerator", "images", "patches"),
}
_CLUSTER = {"Namespace"}


def built(folder: Path) -> list[Manifest]:
    """The objects of a folder's kustomization, with its bases, labels, namespace, images and patches."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(plan) <= _KNOWN, f"{folder}: {set(plan) - _KNOWN} is known to Kustomize alone"
    named = (*plan.get("resources", ()), *plan.get("components", ()))  # components last, so that they may patch
    objects = [one for name in named for one in _resource(folder / name)]
    objects += [_config_map(folder, one) for one in plan.get("configMapGenerator", ())]
    for patch in plan.get("patches", ()):
        for change in yaml.safe_load_all((folder / patch["path"]).read_text(encoding="utf-8")):
            (changed,) = (one for one in objects if _key(one) == _key(change))
            _merge(changed, change)
    for one in objects:
        _finish(one, plan)
    return objects


def named_files(folder: Path) -> set[str]:
    """The files of its own folder that a kustomization names."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    generated = [name for one in plan.get("configMapGenerator", ()) for name in one["files"]]
    patches = [patch["path"] for patch in plan.get("patches", ())]
    return {name for name in (*plan["resources"], *generated, *patches) if not name.startswith("..")}


def pod_of(manifest: Manifest) -> Mapping[str, Any] | None:
    """The pod that a workload makes, with its labels, or None for what makes none."""
    template: Mapping[str, Any] | None = manifest.get("spec", {}).get("template")
    return template


def containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All containers of a pod, those of the start too."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _resource(path: Path) -> Iterator[Manifest]:
    if path.is_dir():
        yield from built(path)
    else:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def _config_map(folder: Path, wanted: Mapping[str, Any]) -> Manifest:
    assert wanted["options"] == {"disableNameSuffixHash": True}
    held = {name: (folder / name).read_text(encoding="utf-8") for name in wanted["files"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": wanted["name"]}, "data": held}


def _key(manifest: Manifest) -> tuple[str, str, str]:
    return manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]


def _merge(into: Manifest, change: Mapping[str, Any]) -> None:
    for name, value in change.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            assert not isinstance(value, list), "how Kustomize merges a list depends on its kind"
            into[name] = value


def _finish(manifest: Manifest, plan: Mapping[str, Any]) -> None:
    if "namespace" in plan and manifest["kind"] not in _CLUSTER:
        manifest["metadata"]["namespace"] = plan["namespace"]
    pod = pod_of(manifest)
    for labels in plan.get("labels", ()):
        manifest["metadata"].setdefault("labels", {}).update(labels["pairs"])
        if pod is not None and labels.get("includeTemplates"):
            pod["metadata"]["labels"].update(labels["pairs"])
    for image in plan.get("images", ()):
        for container in containers(pod) if pod is not None else ():
            name = container["image"].partition(":")[0]
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image['newTag']}"  # type: ignore[index]
