"""which api a request spoke.

Revision 0024, after 0023.
"""

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column('requests', sa.Column('api', sa.String(), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('requests', 'api')
