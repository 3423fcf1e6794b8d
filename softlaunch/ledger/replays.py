"""Requests from outside that were heard already, so that none is obeyed twice, whichever process it reaches."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from softlaunch.store.database import Database
from softlaunch.store.tables import HeardRow

_KEPT = timedelta(minutes=15)
"""Longer than a signature is taken for fresh, five minutes before and after its time, by clocks that differ."""


def is_first(database: Database, signature: str, now: datetime) -> bool:
    """Whether a signature was not heard before; it is from now on. Those that are too old to be accepted are forgotten.

    Only what is signed and fresh may be asked about: that bounds how many are kept.
    """
    try:
        with database.begin() as session:
            session.execute(delete(HeardRow).where(col(HeardRow.expires_at) <= now))
            session.add(HeardRow(signature=signature, expires_at=now + _KEPT))
    except IntegrityError:
        return False
    return True
