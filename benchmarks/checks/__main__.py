"""`python -m benchmarks.checks`: microseconds an answer, and hits on recorded answers that people labelled."""

import argparse
import csv
import gzip
import json
import re
import statistics
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path

from softlaunch.core.openings import Opening
from softlaunch.core.refusal_wording import refusal_in, refusal_of
from softlaunch.core.text_language import differ
from softlaunch.gateway.answer_checks import AnswerChecks
from softlaunch.gateway.calls import Answer
from softlaunch.gateway.checks.repetition import SameOutputs, loops
from softlaunch.gateway.checks.said import Said
from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from softlaunch.gateway.requests import AppRequest

CALLS, ROUNDS = 2000, 15
QUESTION = "Where is my parcel? I ordered it last week, and the page says that it has been on its way since Monday."
ANSWER = (
    "Your parcel left our warehouse on Monday and should arrive within three days. You can follow it at the address in "
    "the message that we sent you; if it has not come by Friday, write to us again and we will send another one. "
) * 4
CHOICE = re.compile(r"\([A-H]\)|^[A-H]\. |^\([A-Z]\)")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of recorded answers")
    parser.add_argument("--polls", type=Path, help="OPINIONQA_EVAL.csv of LLMDrift, for answers that take no side")
    options = parser.parse_args()
    print("| check | us an answer, median | least |\n|---|---:|---:|")
    for name, call in timed():
        times = timeit.repeat(call, number=CALLS, repeat=ROUNDS, timer=time.process_time)
        print(f"| {name} | {statistics.median(times) / CALLS * 1e6:.1f} | {min(times) / CALLS * 1e6:.1f} |")
    print("\n| answers | n | refusals | recall | precision |\n|---|---:|---:|---:|---:|")
    for name, labelled in marked(options.data, options.polls):
        print(f"| {name} | {' | '.join(figures(labelled))} |")


def timed() -> Iterator[tuple[str, Callable[[], object]]]:
    """Each check alone, and what the gateway does of a usual answer in all."""
    opening, asked, same = Opening.of(ANSWER), Opening.of(QUESTION), SameOutputs()
    said = Said.whole(ANSWER)
    request = AppRequest(
        ChatCompletions(), "r", "app", {"messages": [{"role": "user", "content": QUESTION}]}, {}, len(QUESTION)
    )
    checks = AnswerChecks()
    yield "the words of an opening", lambda: Opening.of(ANSWER)
    yield "refusal", lambda: refusal_of(opening)
    yield "language", lambda: differ(asked, opening)
    yield "loops", lambda: loops(said.beginning, said.ending)
    yield "the same for many", lambda: same.take("app", "v", (ANSWER, said.ending, said.size), QUESTION)
    yield (
        "all, with the answer taken over",
        lambda: checks.of(request, "v", Answer(request.protocol, said=Said.whole(ANSWER))),
    )
    yield "an answer without checks", lambda: Answer(request.protocol)


def marked(folder: Path, polls: Path | None) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
    """Answers, each with whether it refuses by its label."""
    yield "sensitive questions", [(row["answer"], row["Response Rate"] == "0") for row in rows(folder, "SENSITIVEQ")]
    if polls is not None:
        with polls.open(newline="") as file:
            taken = [row["answer"] for row in csv.DictReader(file)]
        yield "polls", [(one, not CHOICE.search(one)) for one in taken if "efused" not in one[:40]]
    for name in ("PRIME_FULL", "LEETCODE_EASY"):
        yield name, [(row["answer"], False) for row in rows(folder, name)]
    for path in sorted((folder / "alpacaeval").glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            yield path.name, [(json.loads(line)["output"], False) for line in lines]


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """One of the recordings of Chen, Zaharia and Zou."""
    with (folder / "llmdrift" / f"{name}_EVAL.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def figures(labelled: list[tuple[str, bool]]) -> tuple[str, str, str, str]:
    """How many there are, how many refuse, and how many of those and of what was found are right."""
    found = [(refusal_in(answer) is not None, refuses) for answer, refuses in labelled]
    hits, told = sum(one and two for one, two in found), sum(one for one, _ in found)
    refusals = sum(two for _, two in found)
    recall = f"{hits / refusals:.3f}" if refusals else f"{told} found"
    return str(len(found)), str(refusals), recall, f"{hits / told:.3f}" if refusals else "-"


if __name__ == "__main__":
    main()
