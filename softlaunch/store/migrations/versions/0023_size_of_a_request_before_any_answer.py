"""size of a request before any answer.

Revision 0023, after 0022.
"""

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column('requests', sa.Column('request_size', sa.Integer(), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('requests', 'request_size')
