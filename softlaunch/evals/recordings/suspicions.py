"""What about recorded outputs looks wrong, whatever the figures say: for people to look at."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from softlaunch.core.arms import ByArm
from softlaunch.core.visible import one_line
from softlaunch.evals.recordings.columns import Columns
from softlaunch.evals.recordings.files import Row
from softlaunch.metrics import normalise

MANY = 10
"""Cases, from which on what never varies is no accident."""
_ALL = 0.95
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What looks wrong, and of what."""

    subject: str
    sentence: str


def suspicions(arms: ByArm[Sequence[Row]], columns: Columns, *, reads_reference: bool) -> list[Suspicion]:
    """Ids that carry several questions or references, references and outputs that never vary, arms that are one."""
    rows = [*arms.stable, *arms.candidate]
    return [
        *_of_ids(rows, columns),
        *(_of_references(rows, columns) if reads_reference else ()),
        *_of_outputs(arms, columns),
        *_of_copies(arms, columns),
    ]


def of_questions(subject: str, questions: Mapping[str, Iterable[str]]) -> Iterator[Suspicion]:
    """What several questions (or references) under one id come to."""
    several = [name for name, texts in questions.items() if len({normalise(text) for text in texts}) > 1]
    if several:
        yield Suspicion(
            "ids",
            f"{len(several):,} of {len(questions):,} ids carry different {subject}, such as {_short(several[0])}: rows "
            f"of one id are taken for repeats of one question, so give each question an id of its own",
        )


def of_outputs(arms: ByArm[Sequence[tuple[str, str]]], names: ByArm[str]) -> Iterator[Suspicion]:
    """An arm that says the same to every question while the other doesn't; the pairs are a question and an output."""
    shares = ByArm(_largest_share(arms.candidate), _largest_share(arms.stable))
    for (text, share, cases), (_, other, _), name in (
        (shares.candidate, shares.stable, names.candidate),
        (shares.stable, shares.candidate, names.stable),
    ):
        if cases >= MANY and share >= _ALL and other < share / 2:
            yield Suspicion(
                "outputs",
                f"{share * 100:.0f} % of {name} outputs are the same text ({_short(text)}) for {cases:,} different "
                "questions",
            )


def _of_ids(rows: Sequence[Row], columns: Columns) -> Iterator[Suspicion]:
    for role, subject in (("question", "questions"), ("reference", "references")):
        if role in columns.by_role and columns.by_role[role] != columns.by_role["id"]:
            texts: dict[str, set[str]] = defaultdict(set)
            for row in rows:
                case_id, text = columns.text(row, "id"), columns.text(row, role)
                if case_id is not None and text is not None:
                    texts[case_id].add(text)
            yield from of_questions(subject, texts)


def _of_references(rows: Sequence[Row], columns: Columns) -> Iterator[Suspicion]:
    found = {(columns.text(row, "id"), columns.text(row, "reference")) for row in rows}
    references = {normalise(text) for _, text in found if text is not None}
    cases = len({case_id for case_id, _ in found})
    if len(references) == 1 and cases >= MANY:
        text = next(text for _, text in found if text is not None)
        yield Suspicion("references", f"the reference is the same in all {cases:,} cases ({_short(text)})")


def _of_outputs(arms: ByArm[Sequence[Row]], columns: Columns) -> Iterator[Suspicion]:
    if "answer" in columns.by_role:
        pairs = (
            [
                (case_id, text)
                for row in rows
                if (text := columns.text(row, "answer")) is not None
                and (case_id := columns.text(row, "id")) is not None
            ]
            for rows in (arms.candidate, arms.stable)
        )
        yield from of_outputs(ByArm(*pairs), ByArm(candidate="the candidate's", stable="stable's"))


def _of_copies(arms: ByArm[Sequence[Row]], columns: Columns) -> Iterator[Suspicion]:
    """Answers can be the same twice; the time that each took is not."""
    measured = [role for role in ("latency", "cost") if role in columns.by_role]
    if "latency" not in measured or len(arms.stable) != len(arms.candidate) or len(arms.stable) < MANY:
        return
    own = {columns.by_role["model"]}
    one, other = (
        {columns.text(row, "id"): {key: value for key, value in row.items() if key not in own} for row in rows}
        for rows in (arms.stable, arms.candidate)
    )
    latencies = {columns.text(row, "latency") for row in arms.stable}
    if one == other and len(latencies) > 1:
        yield Suspicion("copies", f"the rows of both arms are the same, the time of each call too ({len(one):,} ids)")


def _largest_share(pairs: Sequence[tuple[str, str]]) -> tuple[str, float, int]:
    """The most frequent output, its share of the outputs, and how many questions there are."""
    counted = Counter(text for _, text in pairs)
    if not counted:
        return "", 0.0, 0
    text, count = counted.most_common(1)[0]
    return text, count / len(pairs), len({question for question, _ in pairs})


def _short(text: str) -> str:
    shown = one_line(text)
    return repr(shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…")
