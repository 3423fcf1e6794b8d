"""Write the next revision from the tables: `python -m softlaunch.store.migrations.revise "what changes"`."""

import sys
import tempfile
from pathlib import Path

from alembic import command

from softlaunch.store.database import Database
from softlaunch.store.migrate import alembic_config, revisions, upgrade


def write_revision(message: str) -> None:
    """Compare a scratch database at the newest revision with the tables, and write the difference as a new file."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'scratch.db'}")
        if revisions():
            upgrade(database)
        number = f"{len(revisions()) + 1:04d}"
        with database.engine.connect() as connection:
            command.revision(alembic_config(connection), message, autogenerate=True, rev_id=number)
        database.close()


if __name__ == "__main__":
    write_revision(sys.argv[1])
