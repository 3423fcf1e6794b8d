"""how the gates of a stage went over time.

Revision 0034, after 0027.
"""

import sqlalchemy as sa
from alembic import op

revision = '0034'
down_revision = '0032'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        'gate_looks',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
        sa.Column('release_id', sa.String(), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('looked_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('gates', sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(['release_id'], ['releases.id'], name=op.f('fk_gate_looks_release_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_gate_looks')),
    )
    op.create_index('ix_gate_looks_stage', 'gate_looks', ['release_id', 'position', 'id'])


def downgrade() -> None:
    """Take the change back."""
    op.drop_index('ix_gate_looks_stage', table_name='gate_looks')
    op.drop_table('gate_looks')
