"""answers drawn at random for review.

Revision 0030, after 0027.
"""

import sqlalchemy as sa
from alembic import op

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table('review_draws',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('request_id', sa.String(), nullable=False),
    sa.Column('app', sa.String(), nullable=False),
    sa.Column('metric', sa.String(), nullable=False),
    sa.Column('arm', sa.String(), nullable=False),
    sa.Column('release_id', sa.String(), nullable=False),
    sa.Column('stage', sa.Integer(), nullable=False),
    sa.Column('probability', sa.Float(), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False),
    sa.Column('drawn_at', sa.Float(), nullable=False),
    sa.Column('drawn_by', sa.String(), nullable=False),
    sa.Column('value', sa.Float(), nullable=True),
    sa.Column('labelled_at', sa.Float(), nullable=True),
    sa.Column('labelled_by', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('request_id', 'metric')
    )
    op.create_index('ix_review_draws_stage', 'review_draws', ['release_id', 'stage', 'metric'], unique=False)
    op.create_index(op.f('ix_review_draws_app'), 'review_draws', ['app'], unique=False)


def downgrade() -> None:
    """Take the change back."""
    op.drop_index(op.f('ix_review_draws_app'), table_name='review_draws')
    op.drop_index('ix_review_draws_stage', table_name='review_draws')
    op.drop_table('review_draws')
