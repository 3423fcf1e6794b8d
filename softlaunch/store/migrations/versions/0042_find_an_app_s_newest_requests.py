"""find an app's newest requests.

Revision 0042, after 0040. An index of an app's requests by time takes the place of one by release, stage and time: what
is asked of a stage names its time, and an app has one release at a time. On PostgreSQL no gateway can write the request
log while the index is made; gateways hold their rows back meanwhile.
"""

from alembic import op

revision = '0042'
down_revision = '0040'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.create_index('ix_requests_lately', 'requests', ['app', 'started_at'])
    op.drop_index('ix_requests_window', 'requests')


def downgrade() -> None:
    """Take the change back."""
    op.create_index('ix_requests_window', 'requests', ['app', 'release_id', 'stage', 'started_at'])
    op.drop_index('ix_requests_lately', 'requests')
