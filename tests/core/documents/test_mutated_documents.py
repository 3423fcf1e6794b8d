"""No document, however broken, ends in anything but a message, and in little time."""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from softlaunch.catalog.model_files import load_models, load_variants
from softlaunch.catalog.prompt_files import load_prompt
from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.benchmarks.mt_bench import PROMPTS, QUESTIONS, REFERENCES, load_mt_bench
from softlaunch.evals.judges.labels import Kind, read_labels
from softlaunch.evals.recordings.files import read_rows
from softlaunch.evals.suites.suite import load_suite
from softlaunch.evals.suites.suite_imports import Source, import_cases
from softlaunch.forecast.replay.files import SampleFile
from softlaunch.forecast.replay.reading import observed_split
from softlaunch.policy.effective import settings
from softlaunch.policy.load import golden_set_path, load_policy
from softlaunch.policy.release import plan
from softlaunch.simulator.arrivals import read_gaps
from softlaunch.simulator.cases import read_cases
from softlaunch.simulator.profiles import read_profiles
from softlaunch.simulator.recording import read_recording
from tests.core.documents.document_mutations import LEAST, mutated

_LONGEST_SECONDS = 15.0


def _policy(path: Path) -> None:
    policy = load_policy(path)
    golden_set_path(policy, path)
    settings(policy)
    plan(policy)
    policy.model_dump_json()


def _variants(path: Path) -> None:
    models = load_models(path.with_name("models.yaml")) if path.with_name("models.yaml").exists() else ()
    for variant in load_variants(path, (), models)[1].values():
        variant.request_body({})


def _prompt(path: Path) -> None:
    prompt = load_prompt(path)
    prompt.render((), dict.fromkeys(prompt.variables, "x"))


def _mt_bench(path: Path) -> None:
    import_cases(path, Source.MT_BENCH)
    for name in (QUESTIONS, REFERENCES, PROMPTS):
        path.with_name(name).write_bytes(path.read_bytes())
    load_mt_bench(path.parent)


READERS: Mapping[str, tuple[Callable[[Path], object], ...]] = {
    "policy.yaml": (_policy,),
    "golden.jsonl": (load_suite, read_cases),
    "golden.yaml": (load_suite,),
    "v1.0.0.md": (_prompt,),
    "models.yaml": (load_models,),
    "variants.yaml": (_variants,),
    "profiles.yaml": (read_profiles,),
    "questions.csv": (lambda path: import_cases(path, Source.CSV),),
    "promptfoo.yaml": (lambda path: import_cases(path, Source.PROMPTFOO),),
    "promptfoo.csv": (lambda path: import_cases(path, Source.PROMPTFOO),),
    "mt_bench.jsonl": (_mt_bench,),
    "alpaca.json": (lambda path: import_cases(path, Source.ALPACA_EVAL),),
    "outputs.csv": (read_rows,),
    "outputs.jsonl": (read_rows,),
    "labels.csv": (lambda path: read_labels(path, Kind.GRADE, {}),),
    "recording.csv": (read_recording,),
    "arrivals.csv": (read_gaps,),
    "samples.csv": (lambda path: observed_split(SampleFile.at(path)),),
}


@pytest.mark.parametrize(
    "name", [name for name in LEAST if name not in {"variants.yaml", "mt_bench.jsonl", "promptfoo.csv"}]
)
def test_the_documents_that_are_mutated_are_sound(tmp_path: Path, name: str) -> None:
    """Mutations of what is refused anyway would show nothing."""
    (tmp_path / name).write_text(LEAST[name], encoding="utf-8")
    for read in READERS[name]:
        if read is not read_cases:
            read(tmp_path / name)


@pytest.mark.parametrize("name", LEAST)
def test_a_mutated_document_ends_in_a_message(tmp_path: Path, name: str) -> None:
    """A few of them, in every run of the tests."""
    _read_mutated(tmp_path, name, 0, 12)


@pytest.mark.long
@pytest.mark.parametrize("name", LEAST)
def test_thousands_of_mutated_documents_end_in_messages(tmp_path: Path, name: str) -> None:
    """120 of each kind: 2,160."""
    _read_mutated(tmp_path, name, 1000, 120)


def _read_mutated(folder: Path, name: str, first: int, count: int) -> None:
    path, slowest = folder / name, 0.0
    refused = 0
    for seed in range(first, first + count):
        path.write_bytes(mutated(LEAST[name].encode(), random.Random(seed)))
        for read in READERS[name]:
            began = time.perf_counter()
            try:
                read(path)
            except SoftlaunchError as error:
                refused += bool(str(error).strip())
            except Exception as error:
                pytest.fail(f"seed {seed}: {type(error).__name__}: {error}"[:2000])
            slowest = max(slowest, time.perf_counter() - began)
    assert refused
    assert slowest < _LONGEST_SECONDS
