"""Plan the cleanup of a registry of many versions: python -m benchmarks.registry [VERSIONS]."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import insert

from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.integrations.archives.folder import FolderArchive
from softlaunch.ledger.releases import Actor
from softlaunch.retention.cleanup_run import RegistryCleanup
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import AliasMoveRow, AliasRow, AppRow, ModelRow, PromptRow, VariantRow

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = 200
TEXT = "Answer customers of the shop briefly, and say when you don't know. " * 20
CHUNK = 5000


def fill(database: Database, versions: int) -> None:
    """Record versions of 200 prompts over three years, their variants, and one app that serves the newest."""
    model = ModelVersion(name="steady", provider="p", model="steady-2026-01-01", endpoint="http://m/v1")
    with database.begin() as session:
        connection = session.connection()
        policy = {"app": "bot", "eval": {"golden_set": "golden.jsonl"}}
        session.add(AppRow(name="bot", policy=policy, policy_path="p", salt="s", recorded_at=NOW))
        content = model.model_dump(mode="json")
        session.add(ModelRow(name=model.name, digest=model.digest, content=content, recorded_at=NOW))
        session.flush()
        rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for number, row in enumerate(_rows(versions, model), start=1):
            rows.append(row)
            if len(rows) == CHUNK or number == versions:
                connection.execute(insert(PromptRow), [prompt for prompt, _ in rows])
                connection.execute(insert(VariantRow), [variant for _, variant in rows])
                newest, rows = rows[-1][1]["digest"], []
        session.add(AliasRow(app="bot", alias="production", variant_digest=newest, moved_at=NOW))
        session.add(
            AliasMoveRow(app="bot", alias="production", variant_digest=newest, moved_at=NOW, moved_by="benchmark")
        )


def _rows(versions: int, model: ModelVersion) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for number in range(versions):
        message = PromptMessage(role="system", content=f"{TEXT} {number}")
        prompt = PromptVersion(name=f"p{number % NAMES}", version=f"1.{number // NAMES}.0", messages=(message,))
        variant = Variant(prompt=prompt, model=model)
        when = NOW - timedelta(days=1095) * (1 - number / versions)
        yield (
            {
                "name": prompt.name,
                "version": prompt.version,
                "digest": prompt.digest,
                "content": prompt.model_dump(mode="json"),
                "source": "",
                "recorded_at": when,
            },
            {
                "digest": variant.digest,
                "label": variant.label,
                "prompt_name": prompt.name,
                "prompt_version": prompt.version,
                "model_name": model.name,
                "content": variant.model_dump(mode="json"),
                "recorded_at": when,
            },
        )


def plan(url: str, folder: str) -> dict[str, Any]:
    """Plan in this process; what it took."""
    database = Database(url)
    cleanup = RegistryCleanup(database, FolderArchive(Path(folder)), 0.1, Actor("benchmark", "here"), lambda: NOW, bool)
    began, cpu = time.perf_counter(), time.process_time()
    planned = cleanup.plan()
    took, busy = time.perf_counter() - began, time.process_time() - cpu
    database.close()
    return {
        "seconds": round(took, 2),
        "cpu_seconds": round(busy, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "deleted": planned.deleted,
        "kept": sum(part.totals.kept for part in planned.parts),
    }


def main() -> None:
    """Fill a ledger, then plan in a process of its own, whose memory is that of planning alone."""
    if sys.argv[1:2] == ["plan"]:
        print(orjson.dumps(plan(sys.argv[2], sys.argv[3])).decode())
        return
    versions = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        database = open_database(url)
        fill(database, versions)
        database.close()
        size = (Path(folder) / "ledger.db").stat().st_size / 1e6
        command = [sys.executable, "-m", "benchmarks.registry", "plan", url, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"{versions:,} prompt versions and as many variants, {size:.0f} MB: {done.stdout.strip()}")


if __name__ == "__main__":
    main()
