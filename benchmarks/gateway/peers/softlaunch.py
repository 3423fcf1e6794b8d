"""softlaunch itself: a ledger with a canary that is watched, and the command in front of it."""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text, update

from benchmarks.gateway.load import Target
from benchmarks.gateway.peers.peer import PROVIDER_MODEL, Peer, Place
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import AppRow, RouteRow, VariantRow

APP = "parcels"
"""The app whose requests are measured."""


class Softlaunch(Peer):
    """`softlaunch gateway`, split in half between two variants, watched, with its request log on SQLite.

    `rows` says after its end what that log holds.
    """

    name = "softlaunch"
    note = "split 50/50 by user, prompt rendered, request log on SQLite"
    rows = "nothing"

    def __init__(self, place: Place, processes: int = 1) -> None:
        if processes > 1:
            self.name = f"softlaunch, {processes} processes"
        self._processes = processes
        super().__init__(place)

    def start(self) -> None:
        """Write a ledger with a canary at 50 %, watch it, and start the command."""
        url = f"sqlite:///{self.folder / 'ledger.db'}"
        self.ledger = open_database(url)
        write_canary(self.ledger, f"http://127.0.0.1:{self.provider_port}/v1")
        self.target = Target(self.port, "/v1", APP)
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        program = "from softlaunch.cli.main import main; main()"
        self._run(
            sys.executable, "-c", program, "gateway", "--port", str(self.port), "--log-level", "warning",
            "--processes", str(self._processes),
            SOFTLAUNCH_DATABASE_URL=url, PYTHONPATH=str(Path(__file__).parents[3]),
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it, which writes the rest of its log."""
        super().stop()
        if self.process is not None:
            self._over.set()
            self.rows = self._read_log()

    def _read_log(self) -> str:
        with self.ledger.read() as session:
            arms = session.execute(text("select arm, count(*) from requests group by arm order by arm")).all()
            dropped = session.execute(text("select coalesce(sum(count), 0) from drops")).scalar_one()
        return ", ".join([*(f"{count} {arm}" for arm, count in arms), f"{dropped} dropped"])

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            with self.ledger.begin() as session:
                session.execute(update(RouteRow).values(beat=RouteRow.beat + 1))


def write_canary(ledger: Database, endpoint: str) -> None:
    """An app whose candidate has half of the units, in a ledger that has nothing yet."""
    now = datetime.now(UTC)
    serving = Serving(salt="bench")
    stable, candidate = (_variant(version, endpoint) for version in ("1.0.0", "1.1.0"))
    with ledger.begin() as session:
        session.add(AppRow(name=APP, policy={}, policy_path="", salt=serving.salt, recorded_at=now))
        for variant in (stable, candidate):
            session.add(
                VariantRow(
                    digest=variant.digest,
                    label=variant.label,
                    prompt_name=variant.prompt.name,
                    prompt_version=variant.prompt.version,
                    model_name=variant.model.name,
                    content=variant.model_dump(mode="json"),
                    recorded_at=now,
                )
            )
        session.flush()
        session.add(
            RouteRow(
                app=APP,
                revision=1,
                stable_digest=stable.digest,
                candidate_digest=candidate.digest,
                weight_percent=50.0,
                release_id=f"{APP}-1",
                serving=serving_to_json(serving),
                changed_at=now,
            )
        )


def _variant(version: str, endpoint: str) -> Variant:
    message = PromptMessage(role="system", content="You answer customers of {{ shop }} in one sentence.")
    return Variant(
        prompt=PromptVersion(name=APP, version=version, messages=(message,), defaults={"shop": "a parcel service"}),
        model=ModelVersion(name="m", provider="bench", model=PROVIDER_MODEL, endpoint=endpoint),
    )
