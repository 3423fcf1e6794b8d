"""what is told of each answer without its text.

Revision 0027, after 0026.
"""

import sqlalchemy as sa
from alembic import op

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column('requests', sa.Column('answer_size', sa.Integer(), nullable=True))
    op.add_column('requests', sa.Column('checks', sa.Integer(), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('requests', 'checks')
    op.drop_column('requests', 'answer_size')
