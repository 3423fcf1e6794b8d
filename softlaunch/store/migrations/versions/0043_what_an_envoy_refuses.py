"""what an Envoy refuses.

Revision 0043, after 0042.
"""

import sqlalchemy as sa
from alembic import op

revision = '0043'
down_revision = '0042'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column('gateways', sa.Column('problems', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('gateways', 'problems')
