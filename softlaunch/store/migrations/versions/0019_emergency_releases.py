"""emergency releases.

Revision 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    with op.batch_alter_table('releases', schema=None) as batch_op:
        batch_op.add_column(sa.Column('emergency', sa.String(), server_default='', nullable=False))


def downgrade() -> None:
    """Take the change back."""
    with op.batch_alter_table('releases', schema=None) as batch_op:
        batch_op.drop_column('emergency')
