"""What the ledger says of itself."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from softlaunch.store.tables.columns import moment


class LedgerRow(SQLModel, table=True):
    """The one row that names this ledger: copies and backups of it carry the same id, another ledger never does."""

    __tablename__ = "ledger"
    id: str = Field(primary_key=True)
    made_at: datetime = moment()
