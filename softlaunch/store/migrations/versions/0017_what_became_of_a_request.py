"""what became of a request.

Revision 0017, after 0016.
"""

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

_OUTCOMES = {
    'timeout': 'total_timeout',
    'connect': 'connect',
    'http_5xx': 'provider_failed',
    'http_429': 'rate_limited',
    'http_4xx': 'request_at_fault',
    'malformed': 'malformed',
    'stream_cut': 'cut',
    'client_gone': 'client_gone',
    'render': 'request_at_fault',
}
_ERRORS = {
    **{outcome: error for error, outcome in _OUTCOMES.items() if error != 'render'},
    'first_token_timeout': 'timeout',
    'idle_timeout': 'timeout',
}


def upgrade() -> None:
    """Change the schema: columns are added and dropped in place, so that a long log isn't copied."""
    outcome = sa.Column('outcome', sa.String(), server_default='answered', nullable=False)
    op.add_column('requests', outcome)
    op.add_column('requests', sa.Column('excused', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('requests', sa.Column('finish_reason', sa.String(), nullable=True))
    op.add_column('requests', sa.Column('attempts', sa.Integer(), server_default='1', nullable=False))
    op.add_column('requests', sa.Column('cached_tokens', sa.Integer(), nullable=True))
    requests = sa.table('requests', sa.column('outcome'), sa.column('error'), sa.column('excused'), sa.column('fell_back'))
    for error, became in _OUTCOMES.items():
        op.execute(requests.update().where(requests.c.error == error).values(outcome=became))
    at_fault = requests.c.outcome == 'request_at_fault'
    op.execute(requests.update().where(at_fault, requests.c.fell_back.is_(sa.false())).values(excused=sa.true()))
    op.drop_column('requests', 'error')


def downgrade() -> None:
    """Take the change back; answers that the older schema doesn't know are answers there."""
    op.add_column('requests', sa.Column('error', sa.String(), nullable=True))
    requests = sa.table('requests', sa.column('outcome'), sa.column('error'))
    for outcome, error in _ERRORS.items():
        op.execute(requests.update().where(requests.c.outcome == outcome).values(error=error))
    for column in ('outcome', 'excused', 'finish_reason', 'attempts', 'cached_tokens'):
        op.drop_column('requests', column)
