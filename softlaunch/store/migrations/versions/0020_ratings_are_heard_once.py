"""ratings are heard once.

Of several ratings of one request and kind, and scores of one request, metric and source, the first stays.

Revision 0020, after 0019.
"""

from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.execute('DELETE FROM feedback WHERE id NOT IN (SELECT min(id) FROM feedback GROUP BY request_id, kind)')
    op.execute('DELETE FROM scores WHERE id NOT IN (SELECT min(id) FROM scores GROUP BY request_id, metric, source)')
    op.create_index('ix_feedback_once', 'feedback', ['request_id', 'kind'], unique=True)
    op.create_index('ix_scores_once', 'scores', ['request_id', 'metric', 'source'], unique=True)
    op.drop_index('ix_feedback_request_id', table_name='feedback')
    op.drop_index('ix_scores_request_id', table_name='scores')


def downgrade() -> None:
    """Take the change back."""
    op.create_index('ix_scores_request_id', 'scores', ['request_id'], unique=False)
    op.create_index('ix_feedback_request_id', 'feedback', ['request_id'], unique=False)
    op.drop_index('ix_scores_once', table_name='scores')
    op.drop_index('ix_feedback_once', table_name='feedback')
