"""spans that were received.

Revision 0031, after 0027.
"""

import sqlalchemy as sa
from alembic import op

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        'received_spans',
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('received_at', sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint('key', name=op.f('pk_received_spans')),
    )
    op.create_index(op.f('ix_received_spans_received_at'), 'received_spans', ['received_at'])
    op.add_column('gateways', sa.Column('kind', sa.String(), server_default='gateway', nullable=False))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('gateways', 'kind')
    op.drop_index(op.f('ix_received_spans_received_at'), table_name='received_spans')
    op.drop_table('received_spans')
