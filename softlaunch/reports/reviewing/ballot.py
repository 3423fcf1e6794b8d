"""What one person says of an eval's answers: the page on which it is asked, and the votes that are kept."""

from collections.abc import Callable, Mapping
from datetime import datetime

from softlaunch.evals.judges.votes import EvalLabel, Vote, put_label, read_labels, remove_label
from softlaunch.reports.eval_page import PageExtras, VoteForm, render_eval
from softlaunch.reports.reviewing.reviewed import Reviewed
from softlaunch.store.database import Database

_LONGEST_NOTE = 2000


class Ballot:
    """One person's review of one run, whoever serves it."""

    def __init__(self, database: Database, reviewed: Reviewed, reviewer: str, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._reviewed = reviewed
        self._reviewer = reviewer
        self._clock = clock

    def page(self, form: VoteForm) -> str:
        """The page of the run with this person's votes, and forms for more of them."""
        with self._database.read() as session:
            labels = read_labels(session, self._reviewed.app, self._reviewed.run_id)
        votes = {one.case_id: one.vote.value for one in labels if one.labelled_by == self._reviewer}
        return reviewed_page(self._reviewed, PageExtras(self._reviewed.reasons, votes, self._reviewed.run_id, form))

    def take(self, said: Mapping[str, str]) -> bool:
        """Keep the vote of a form; an empty one takes an earlier one back. False where it is none of this run."""
        case_id, vote = said.get("case_id", ""), said.get("vote")
        row = next((row for row in self._reviewed.report.cases if row.case_id == case_id), None)
        if row is None or vote not in {"", *Vote}:
            return False
        run = self._reviewed
        with self._database.begin() as session:
            if not vote:
                remove_label(session, run.run_id, case_id, self._reviewer)
                return True
            label = EvalLabel(
                run_id=run.run_id,
                app=run.app,
                case_id=case_id,
                vote=Vote(vote),
                question=row.asked,
                reference=row.wanted,
                stable_answer=row.stable.answer or "",
                candidate_answer=row.candidate.answer or "",
                labelled_by=self._reviewer,
                note=said.get("note", "").replace("\x00", "")[:_LONGEST_NOTE],  # PostgreSQL stores no NUL
            )
            put_label(session, label, self._clock())
        return True


def reviewed_page(reviewed: Reviewed, extras: PageExtras) -> str:
    """The page of a run, with or without forms that take votes."""
    return render_eval(
        reviewed.report,
        f"{reviewed.app}, eval {reviewed.run_id}",
        reviewed.labels,
        notes=reviewed.notes,
        extras=extras,
    )
