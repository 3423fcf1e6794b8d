"""parameters of variants, and which fallback model answered.

Revision 0026, after 0025.
"""

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        'parameters',
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('version', sa.String(), nullable=False),
        sa.Column('digest', sa.String(), nullable=False),
        sa.Column('content', sa.JSON(), nullable=False),
        sa.Column('source', sa.String(), nullable=False),
        sa.Column('recorded_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('name', 'version', name=op.f('pk_parameters')),
    )
    op.create_index('ix_parameters_age', 'parameters', ['name', 'recorded_at', 'version'])
    op.create_index(op.f('ix_parameters_digest'), 'parameters', ['digest'])
    op.add_column('requests', sa.Column('answered_by', sa.String(), nullable=True))
    op.add_column('variants', sa.Column('parameters', sa.String(), nullable=True))
    op.add_column('variants', sa.Column('fallbacks', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column('variants', 'fallbacks')
    op.drop_column('variants', 'parameters')
    op.drop_column('requests', 'answered_by')
    op.drop_index(op.f('ix_parameters_digest'), 'parameters')
    op.drop_index('ix_parameters_age', 'parameters')
    op.drop_table('parameters')
