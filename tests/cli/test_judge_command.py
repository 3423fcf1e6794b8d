"""`softlaunch judge calibrate`: judges against people, from the command line."""

import csv
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from softlaunch.catalog.records import record_model
from softlaunch.cli.exits import Exit
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.recorded_judgements import newest_calibration
from softlaunch.policy.evals import JudgePolicy
from softlaunch.store.database import Database
from tests.support.builders import NOON
from tests.support.commands import Run
from tests.support.endpoints import Endpoint, Reply, running_endpoint, variant


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Forty answers that people have marked, by turns."""
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "text", "anna", "ben"])
        writer.writerows([n, "When?", f"At {n}.", *["yes" if n % 2 else "no"] * 2] for n in range(40))
    return path


def odd_is_invented(model: str, prompt: str, before: int) -> Reply:
    """A judge that agrees with the labels."""
    number = int(prompt.split("<answer>\nAt ")[1].split(".", maxsplit=1)[0])
    claims = [{"claim": "At", "supported": number % 2 == 0, "reason": "so"}]
    return Reply(orjson.dumps({"claims": claims}).decode())


MAPPED = ("--kind", "hallucination", "--map", "answer=text", "--map", "votes=anna,ben")


@pytest.fixture
def judge(tmp_path: Path, softlaunch: Run) -> Iterator[Endpoint]:
    """A judge in the ledger, whose endpoint is real."""
    with running_endpoint() as endpoint:
        database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
        with database.begin() as session:
            record_model(session, variant(endpoint.url, "judge").model, "models.yaml", NOON)
        database.close()
        yield endpoint


def known(tmp_path: Path) -> float | None:
    """The kappa that the ledger has of the judge."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    with database.read() as session:
        digest = judges_of(session, JudgePolicy(models=("judge",))).digest("judge-hallucination")
        found = newest_calibration(session, digest, Kind.HALLUCINATION)
    database.close()
    return found.kappa if found else None


def test_a_judge_that_agrees_may_gate_and_the_ledger_knows(
    softlaunch: Run, judge: Endpoint, labels: Path, tmp_path: Path
) -> None:
    """The confusion table, what it cost, and exit code 0."""
    judge.behaviour = odd_is_invented
    done = softlaunch("judge", "calibrate", str(labels), *MAPPED, "--model", "judge", "--json")
    told = orjson.loads(done.out)
    assert (done.code, told["may_gate"], told["calls"], told["items"]) == (Exit.OK, True, 40, 40)
    assert told["table"] == [
        {"people": "no", "judge": "no", "count": 20},
        {"people": "yes", "judge": "yes", "count": 20},
    ]
    assert told["cost_usd"] > 0
    assert known(tmp_path) == 1.0


def test_a_judge_that_talks_nonsense_is_below_the_floor(
    softlaunch: Run, judge: Endpoint, labels: Path, tmp_path: Path
) -> None:
    """It is said how much can't be read, and the exit code is that of a rejection."""
    judge.behaviour = lambda model, prompt, before: Reply("Splendid.")
    done = softlaunch("judge", "calibrate", str(labels), *MAPPED, "--model", "judge")
    assert done.code == Exit.REJECTED
    assert "unreadable     40, counted as disagreement" in done.out
    assert "Below the minimum, so it can't gate: kappa 0.000" in done.out
    assert known(tmp_path) == 0.0


def test_recorded_verdicts_need_no_judge(softlaunch: Run, tmp_path: Path) -> None:
    """Nor a ledger: they are measured, and nothing is kept."""
    path = tmp_path / "labels.jsonl"
    rows = [{"id": n, "votes": [1 + n % 2] * 3, "judge": str(1 + n % 2) if n % 10 else "Tie"} for n in range(60)]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    told = orjson.loads(softlaunch("judge", "calibrate", str(path), "--json").out)
    assert told["judges"] is None
    assert told["agreement"]["value"] == pytest.approx(0.9)
    strict = softlaunch("judge", "calibrate", str(path), "--minimum-kappa", "0.9")
    assert strict.code == Exit.REJECTED
    assert "isn't shown to reach the minimum of 0.9" in strict.out


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        pytest.param(["picked"] * 40, "But 40 of 40 cases were picked by people: kappa is that of these", id="picked"),
        pytest.param([None] * 40, "But how 40 of 40 cases were drawn isn't told: kappa", id="not told"),
        pytest.param(["random"] * 30 + ["picked"] * 10, "But 10 of 40 cases were picked by people", id="some picked"),
        pytest.param(["random"] * 40, "", id="a sample"),
    ],
)
def test_labels_that_are_no_sample_are_said_to_be_none(
    softlaunch: Run, tmp_path: Path, drawn: list[str | None], said: str
) -> None:
    """What was picked because it had changed is no sample of what users get, and kappa on it is told with that."""
    path = tmp_path / "labels.jsonl"
    rows = [{"id": n, "votes": 1 + n % 2, "judge": str(1 + n % 2), "drawn": way} for n, way in enumerate(drawn)]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    shown = softlaunch("judge", "calibrate", str(path)).out
    assert (said in shown) if said else ("But" not in shown)
    told = orjson.loads(softlaunch("judge", "calibrate", str(path), "--json").out)
    assert sum(told["drawn"].values()) == 40
    assert bool(told["doubt"]) == bool(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param((), "no judge is named: give --app", id="nobody to ask"),
        pytest.param(("--app", "nope"), "no app 'nope' is recorded", id="unknown app"),
        pytest.param(("--model", "nope"), "no model 'nope' is recorded", id="unknown model"),
        pytest.param(("--map", "votes"), "--map 'votes': expected ROLE=COLUMN", id="half a mapping"),
    ],
)
def test_what_is_missing_is_said(softlaunch: Run, labels: Path, arguments: tuple[str, ...], said: str) -> None:
    """Before anybody is asked."""
    done = softlaunch("judge", "calibrate", str(labels), *MAPPED, *arguments)
    assert done.code == Exit.USAGE
    assert said in done.err


@pytest.mark.realdata
def test_pandalm_from_the_command_line(softlaunch: Run, realdata: Path) -> None:
    """The published verdicts of GPT-3.5 against three people each."""
    folder = realdata / "pandalm"
    mapped = ("--map", "id=idx", "--map", "votes=annotator1,annotator2,annotator3", "--map", "judge=gpt_result")
    verdicts = ("--verdicts", str(folder / "gpt-3.5-turbo-testset-v1.json"))
    done = softlaunch("judge", "calibrate", str(folder / "testset-v1.json"), *verdicts, *mapped)
    assert done.code == Exit.OK
    assert "agreement      69.8 % [66.9, 72.5]" in done.out
    assert "kappa          0.476 [0.431, 0.520]" in done.out


def test_a_leaning_judge_is_told_by_the_side_it_leans_to(softlaunch: Run, tmp_path: Path) -> None:
    """A figure and a side, never a negative figure towards the other one."""
    labels = tmp_path / "labels.csv"
    labels.write_text("id,answer_a,answer_b,votes,judge\n" + "".join(f"{n},x,y,a,{'ab'[n % 2]}\n" for n in range(40)))
    done = softlaunch("judge", "calibrate", str(labels))
    assert "position bias +50.0 points" in " ".join(done.out.split())
    assert "towards the second (first 20, second 20)" in " ".join(done.out.split())


def test_a_file_without_votes_says_which_columns_it_has(softlaunch: Run, tmp_path: Path) -> None:
    """Once, instead of for each of its rows."""
    labels = tmp_path / "labels.csv"
    labels.write_text("id,answer_a,answer_b,anna\n1,x,y,a\n2,x,y,b\n")
    done = softlaunch("judge", "calibrate", str(labels))
    assert done.code == 2
    assert "has no column 'votes' for votes; there are id, answer_a, answer_b, anna" in done.err
