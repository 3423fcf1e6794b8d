"""texts that are there for judges alone, and go with the last judgement.

Revision 0029, after 0028.
"""

import sqlalchemy as sa
from alembic import op

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column('texts', sa.Column('until_judged', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        'ix_texts_until_judged',
        'texts',
        ['app'],
        unique=False,
        sqlite_where=sa.text('until_judged'),
        postgresql_where=sa.text('until_judged'),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_index(
        'ix_texts_until_judged',
        'texts',
        sqlite_where=sa.text('until_judged'),
        postgresql_where=sa.text('until_judged'),
    )
    op.drop_column('texts', 'until_judged')
