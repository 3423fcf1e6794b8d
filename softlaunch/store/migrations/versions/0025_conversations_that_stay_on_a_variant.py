"""conversations that stay on a variant.

Revision 0025, after 0024.
"""

import sqlalchemy as sa
from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        'pins',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
        sa.Column('app', sa.String(), nullable=False),
        sa.Column('unit', sa.BigInteger(), nullable=False),
        sa.Column('variant_digest', sa.String(), nullable=False),
        sa.Column('release_id', sa.String(), nullable=True),
        sa.Column('stage', sa.Integer(), nullable=False),
        sa.Column('expires_at', sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_pins')),
    )
    op.create_index(op.f('ix_pins_expires_at'), 'pins', ['expires_at'])


def downgrade() -> None:
    """Take the change back."""
    op.drop_index(op.f('ix_pins_expires_at'), 'pins')
    op.drop_table('pins')
