"""The example app: its files agree with each other and can be rehearsed."""

from pathlib import Path

import pytest

from softlaunch.catalog.model_files import load_models, load_variants
from softlaunch.catalog.prompt_files import load_prompts
from softlaunch.evals.suites.suite import load_suite
from softlaunch.policy.load import golden_set_path, load_policy
from softlaunch.simulator.cases import is_right, key_of, read_cases
from softlaunch.simulator.knowledge import Knowledge
from softlaunch.simulator.models import ProfileModel
from softlaunch.simulator.profiles import builtin_profiles
from tests.simulator.responses import lesson_on

EXAMPLE = Path(__file__).parents[2] / "examples" / "support-bot"
QUESTIONS = {name: read_cases(EXAMPLE / f"{name}.jsonl") for name in ("golden", "answers", "traffic")}


def test_golden_set_and_policy_are_sound() -> None:
    """The files are those that a release reads."""
    policy = load_policy(EXAMPLE / "softlaunch.yaml")
    assert policy.app == "support-bot"
    assert len(load_suite(golden_set_path(policy, EXAMPLE / "softlaunch.yaml")).cases) == 62


def test_users_ask_other_questions_than_the_golden_set() -> None:
    """Doing well live can't come from having seen the golden set, and the other way round."""
    golden, traffic = ({key_of(case.asked) for case in QUESTIONS[name]} for name in ("golden", "traffic"))
    assert len(traffic) == 200
    assert not golden & traffic


def test_every_question_can_be_answered_right_and_wrong() -> None:
    """A simulated model knows the golden set and the traffic."""
    knowledge = Knowledge([case for cases in QUESTIONS.values() for case in cases])
    for case in (*QUESTIONS["golden"], *QUESTIONS["traffic"]):
        lesson = lesson_on(knowledge, case.asked)
        assert all(not is_right(case, text) for text in lesson.wrong)
        assert lesson.case.answer is None or is_right(case, lesson.case.answer)


def test_variants_are_complete() -> None:
    """Every variant names a prompt and a model that are there, and the stable one is among them."""
    stable, variants = load_variants(
        EXAMPLE / "variants.yaml", load_prompts(EXAMPLE / "prompts"), load_models(EXAMPLE / "models.yaml")
    )
    assert stable == "current"
    assert set(variants) == {"current", "improved", "overloaded", "budget"}


def test_models_are_built_in_profiles_with_their_prices() -> None:
    """What models.yaml charges is what the profile lists."""
    profiles = {profile.name: profile for profile in builtin_profiles()}
    for model in load_models(EXAMPLE / "models.yaml"):
        profile = profiles[model.model]
        assert model.input_usd_per_million == profile.input_usd_per_million
        assert model.output_usd_per_million == profile.output_usd_per_million


@pytest.mark.parametrize("name", ["golden", "traffic"])
def test_the_profiles_are_on_these_questions_what_they_say(name: str) -> None:
    """The improved model is better on the golden set and the traffic, and the cheap one clearly worse."""
    knowledge = Knowledge([case for cases in QUESTIONS.values() for case in cases])
    lessons = [lesson_on(knowledge, case.asked) for case in QUESTIONS[name]]
    shares = {
        profile.name: sum(ProfileModel(profile, knowledge).chance_of_right(lesson) for lesson in lessons) / len(lessons)
        for profile in builtin_profiles()
    }
    assert shares["steady-v2"] > shares["steady"] > 0.9
    assert shares["cheap-and-wrong"] < shares["steady"] - 0.1


def test_the_improved_variant_costs_no_more() -> None:
    """Its prompt is longer, and its tokens are cheaper: the cost gate has nothing to object to."""
    _, variants = load_variants(
        EXAMPLE / "variants.yaml", load_prompts(EXAMPLE / "prompts"), load_models(EXAMPLE / "models.yaml")
    )
    profiles = {profile.name: profile for profile in builtin_profiles()}
    costs = {}
    for name in ("current", "improved"):
        variant = variants[name]
        assert variant.model.input_usd_per_million is not None
        assert variant.model.output_usd_per_million is not None
        prompt_tokens = sum(len(part["content"]) for part in variant.prompt.render([], {})) / 4
        output_tokens = profiles[variant.model.model].output_tokens.mean
        costs[name] = (
            prompt_tokens * variant.model.input_usd_per_million + output_tokens * variant.model.output_usd_per_million
        )
    assert costs["improved"] < costs["current"]
