"""partition the request log by day, and number the batches of its writers.

Revision 0040, after 0036. On PostgreSQL `requests` becomes a partitioned table. Rows that are there stay where they
are, in one partition that reaches up to the end of the day; whoever writes makes the days after it
(`softlaunch.store.days`). SQLite's table stays as it is.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = '0040'
down_revision = '0036'
branch_labels = None
depends_on = None

_INDEXES = (
    'CREATE INDEX ix_requests_request_id ON requests (request_id)',
    'CREATE INDEX ix_requests_window ON requests (app, release_id, stage, started_at)',
    'CREATE INDEX ix_requests_units ON requests (release_id, stage, unit, started_at) WHERE release_id IS NOT NULL',
)


def upgrade() -> None:
    """Change the schema."""
    op.add_column('gateways', sa.Column('batches', sa.BigInteger(), server_default='0', nullable=False))
    if op.get_bind().dialect.name == 'postgresql':
        _partition()


def _partition() -> None:
    op.execute('LOCK TABLE requests IN ACCESS EXCLUSIVE MODE')
    op.execute('ALTER TABLE requests RENAME TO requests_before_days')
    op.execute('ALTER TABLE requests_before_days DROP CONSTRAINT pk_requests')
    for index in ('request_id', 'window', 'units'):
        op.execute(f'ALTER INDEX ix_requests_{index} RENAME TO ix_requests_before_days_{index}')
    op.execute('CREATE TABLE requests (LIKE requests_before_days INCLUDING DEFAULTS) PARTITION BY RANGE (started_at)')
    op.execute('ALTER SEQUENCE requests_id_seq OWNED BY requests.id')
    op.execute('ALTER TABLE requests ADD CONSTRAINT pk_requests PRIMARY KEY (id, started_at)')
    for statement in _INDEXES:
        op.execute(statement)
    op.execute('CREATE TABLE requests_other PARTITION OF requests DEFAULT')
    if op.get_bind().execute(sa.text('SELECT 1 FROM requests_before_days LIMIT 1')).first() is None:
        op.execute('DROP TABLE requests_before_days')
    else:
        _keep_what_is_there()


def _keep_what_is_there() -> None:
    """The table of before becomes a partition; rows of a clock that was ahead go where those without a day go."""
    tomorrow = (int(time.time()) // 86400 + 1) * 86400
    ahead = f'DELETE FROM requests_before_days WHERE started_at >= {tomorrow} RETURNING *'
    op.execute(f'WITH ahead AS ({ahead}) INSERT INTO requests_other SELECT * FROM ahead')
    op.execute('ALTER TABLE requests_before_days ADD PRIMARY KEY (id, started_at)')
    bounds = f'FOR VALUES FROM (MINVALUE) TO ({tomorrow})'
    op.execute(f'ALTER TABLE requests ATTACH PARTITION requests_before_days {bounds}')


def downgrade() -> None:
    """Take the change back: all rows in one table again, which copies them."""
    op.drop_column('gateways', 'batches')
    if op.get_bind().dialect.name != 'postgresql':
        return
    op.execute('CREATE TABLE requests_whole (LIKE requests INCLUDING DEFAULTS)')
    op.execute('INSERT INTO requests_whole SELECT * FROM requests')
    op.execute('ALTER SEQUENCE requests_id_seq OWNED BY requests_whole.id')
    op.execute('DROP TABLE requests')
    op.execute('ALTER TABLE requests_whole RENAME TO requests')
    op.execute('ALTER TABLE requests ADD CONSTRAINT pk_requests PRIMARY KEY (id)')
    for statement in _INDEXES:
        op.execute(statement)
