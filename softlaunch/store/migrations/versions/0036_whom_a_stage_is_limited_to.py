"""whom a stage is limited to.

Revision 0036, after 0034.
"""

import sqlalchemy as sa
from alembic import op

revision = '0036'
down_revision = '0034'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column('routes', sa.Column('only', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('routes', 'only')
