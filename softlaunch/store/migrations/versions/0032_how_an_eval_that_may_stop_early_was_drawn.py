"""how an eval that may stop early was drawn.

Revision 0032, after 0027.
"""

import sqlalchemy as sa
from alembic import op

revision = '0032'
down_revision = '0031'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column('eval_runs', sa.Column('design', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('eval_runs', 'design')
