"""Sentences about live judges, stage by stage."""

from softlaunch.live.progress import progress_in
from softlaunch.releases.views import StageView


def show_live(stage: StageView) -> str:
    """How judging a stage's live answers stands; empty where nobody judges them."""
    progress = progress_in(stage.record.evidence)
    return "" if progress is None else progress.sentences
