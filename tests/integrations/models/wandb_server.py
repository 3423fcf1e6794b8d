"""A small stand-in for W&B's server: the GraphQL operations and uploads that its real client makes of us.

W&B's own server comes in a container only. This one keeps what its documentation promises: an alias is at one version
of a collection, the newest version is `latest`, equal content is one version, and a version with aliases is deleted
only where that is asked for. Answers have the shape that the real client checks them for.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY, PROJECT = "acme", "models"
KEY = "k" * 40
_OWNER = {"id": "UHJvamVjdA==", "internalId": "UA==", "name": PROJECT, "entity": {"id": "RQ==", "name": ENTITY}}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")


@dataclass
class Version:
    """An artifact version."""

    collection: str
    number: int
    kind: str
    content: dict[str, Any]
    aliases: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    committed: bool = False

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.collection}-{self.number}"


class WandbServer:
    """What it holds, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.versions: list[Version] = []
        self.operations: list[str] = []
        self.uploads: set[str] = set()
        self.refuse = ""
        self._lock = threading.Lock()

    def of(self, collection: str) -> list[Version]:
        """The committed versions of a collection, newest first."""
        return [one for one in reversed(self.versions) if one.collection == collection and one.committed]

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One GraphQL request."""
        named = _OPERATION.search(asked["query"])
        operation = named.group(1) if named else ""
        with self._lock:
            self.operations.append(operation)
            given = dict(asked.get("variables") or {})
            if operation == self.refuse:
                return {"errors": [{"message": "permission denied"}], "data": None}
            try:
                return {
                    "data": getattr(self, f"_{_HUMP.sub('_', operation).lower()}")(
                        {**given, **dict(given.get("input") or {})}
                    )
                }
            except LookupError as error:
                return {"errors": [{"message": str(error)}], "data": None}

    def _viewer(self, _: Mapping[str, Any]) -> dict[str, Any]:
        who = {"id": "VQ==", "entity": ENTITY, "username": "anna", "email": "anna@example.com", "flags": "{}"}
        return {"viewer": {**who, "teams": {"edges": []}}}

    _get_default_entity = _viewer

    def _server_features_query(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _project_artifact_collection(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = given["name"]
        found = None
        if self.of(name):
            found = {
                "__typename": "ArtifactSequence",
                "id": _id(name),
                "name": name,
                "description": None,
                "createdAt": "2026-09-01T12:00:00",
                "updatedAt": None,
                "project": _OWNER,
                "type": {"name": given["type"]},
                "tags": {"edges": []},
            }
        return {"project": {"artifactType": {"artifactCollection": found}}}

    def _project_artifacts(self, given: Mapping[str, Any]) -> dict[str, Any]:
        assert given["order"] == "-createdAt"
        found = self.of(given["collection"])
        start = int(given.get("cursor") or 0)
        page = found[start : start + given["perPage"]]
        over = start + len(page)
        artifacts = {
            "totalCount": len(found),
            "pageInfo": {"__typename": "PageInfo", "endCursor": str(over), "hasNextPage": over < len(found)},
            "edges": [{"version": f"v{one.number}", "node": self._artifact(one)} for one in page],
        }
        collection = {"__typename": "ArtifactSequence", "artifacts": artifacts}
        return {"project": {"artifactType": {"artifactCollection": collection}}}

    def _artifact_membership_by_name(self, given: Mapping[str, Any]) -> dict[str, Any]:
        collection, _, wanted = given["name"].partition(":")
        found = [one for one in self.of(collection) if wanted in {f"v{one.number}", *one.aliases}]
        membership = None
        if found:
            membership = {
                "__typename": "ArtifactCollectionMembership",
                "id": _id(f"membership-{found[0].key}"),
                "versionIndex": found[0].number,
                "createdAt": "2026-09-01T12:00:00",
                "aliases": [_alias(name) for name in sorted(found[0].aliases)],
                "artifactCollection": _collection(collection),
                "artifact": self._artifact(found[0]),
            }
        return {"project": {"artifactCollectionMembership": membership}}

    def _artifact_type(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = self.of(given["name"].partition(":")[0])
        return {"project": {"artifact": {"artifactType": {"name": found[0].kind}} if found else None}}

    def _artifact_by_id(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"artifact": self._artifact(self._by_id(given["id"]))}

    def _upsert_bucket(self, given: Mapping[str, Any]) -> dict[str, Any]:
        run = {"id": "Ug==", "name": given["name"], "displayName": "run", "description": "", "config": "{}"}
        bucket = {**run, "sweepName": None, "historyLineCount": 0, "project": _OWNER}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _create_run_files(self, given: Mapping[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": "Ug==", "uploadHeaders": [], "files": files}}

    def _create_artifact(self, given: Mapping[str, Any]) -> dict[str, Any]:
        collection = given["artifactCollectionName"]
        same = [one for one in self.of(collection) if one.content["digest"] == given["digest"]]
        if same:
            made = same[0]
        else:
            number = sum(one.collection == collection for one in self.versions)
            made = Version(collection, number, given["artifactTypeName"], dict(given))
            self.versions.append(made)
        state = "COMMITTED" if made.committed else "PENDING"
        artifact = {"id": _id(made.key), "state": state, "artifactSequence": {"id": "Uw==", "latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def _create_artifact_manifest(self, given: Mapping[str, Any]) -> dict[str, Any]:
        file = {"id": "Rg==", "uploadUrl": f"{self.url}/upload/{given['name']}", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "TQ==", "file": file}}}

    def _create_artifact_files(self, given: Mapping[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "id": _id(one["name"]),
                "name": one["name"],
                "displayName": one["name"],
                "storagePath": f"wandb_artifacts/{one['name']}",
                "uploadUrl": f"{self.url}/upload/{one['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            for one in given["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": one} for one in nodes]}}}

    def _commit_artifact(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = self._by_id(given["artifactID"])
        found.committed = True
        self._give(found, [one["alias"] for one in found.content["aliases"]])
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": found.content["digest"]}}}

    def _add_aliases(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._give(self._by_id(given["artifactID"]), [one["alias"] for one in given["aliases"]])
        return {"result": {"success": True}}

    def _delete_aliases(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._by_id(given["artifactID"]).aliases -= {one["alias"] for one in given["aliases"]}
        return {"result": {"success": True}}

    def _update_artifact(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = self._by_id(given["artifactID"])
        found.content["metadata"] = given["metadata"]
        found.tags |= {one["tagName"] for one in given["tagsToAdd"]}
        return {"result": {"artifact": self._artifact(found)}}

    def _delete_artifact(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = self._by_id(given["artifactID"])
        if found.aliases and not given["deleteAliases"]:
            raise LookupError("cannot delete an artifact with aliases")
        found.committed = False
        return {"result": {"artifact": {"id": given["artifactID"]}}}

    def _give(self, version: Version, aliases: Sequence[str]) -> None:
        for other in self.of(version.collection):
            other.aliases -= set(aliases)
        version.aliases |= set(aliases)

    def _by_id(self, key: str) -> Version:
        return next(one for one in self.versions if _id(one.key) == key)

    def _artifact(self, version: Version) -> dict[str, Any]:
        held = {"artifactCollection": _collection(version.collection)}
        return {
            "__typename": "Artifact",
            "id": _id(version.key),
            "artifactSequence": _collection(version.collection),
            "versionIndex": version.number,
            "artifactType": {"name": version.kind},
            "description": version.content.get("description"),
            "metadata": version.content.get("metadata"),
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [{"__typename": "Tag", "id": _id(name), "name": name} for name in sorted(version.tags)],
            "historyStep": None,
            "state": "COMMITTED",
            "size": 1,
            "digest": version.content["digest"],
            "commitHash": None,
            "fileCount": 1,
            "createdAt": "2026-09-01T12:00:00",
            "updatedAt": None,
            "aliases": [{**held, **_alias(name)} for name in sorted(version.aliases)],
        }


@contextmanager
def running_wandb() -> Iterator[WandbServer]:
    """A server on a free port."""
    server = WandbServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            told = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.startswith("/upload/"):
                server.uploads.add(self.path.removeprefix("/upload/"))
            body = json.dumps(server.answer(json.loads(told)) if self.path == "/graphql" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """The client drops connections as it pleases."""

    http = Server(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _id(text: str) -> str:
    return text.encode().hex()


def _alias(name: str) -> dict[str, Any]:
    return {"__typename": "ArtifactAlias", "id": _id(f"alias-{name}"), "alias": name}


def _collection(name: str) -> dict[str, Any]:
    return {"__typename": "ArtifactSequence", "name": name, "project": _OWNER}
