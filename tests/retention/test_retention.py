"""What a cleanup may delete: rules in prose, and properties that hold for any registry."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from softlaunch.catalog.aliases import PREVIOUS, PRODUCTION, read_alias
from softlaunch.core.variant import Variant
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.releases import Opening, find_live, open_release, read_release
from softlaunch.policy.release import State
from softlaunch.policy.retention import VersionRetention
from softlaunch.releases.decision import End
from softlaunch.releases.ending import end_release
from softlaunch.retention.kinds import tag
from softlaunch.retention.rules import Item, Kind, Rules, choose
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, RouteRow
from tests.support.builders import ANNA, APP, STABLE, make_policy
from tests.support.cleanup_scene import Registry, a_model, a_prompt, make_registry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
_ITEMS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1000), st.sampled_from(["", "protected", "experiment"])), max_size=30
)


@given(_ITEMS, st.integers(0, 5), st.none() | st.integers(5, 9), st.integers(0, 500), st.sets(st.integers(0, 29)))
def test_choices(
    told: list[tuple[int, int, str]], keep_newest: int, at_most: int | None, age_days: int, used: set[int]
) -> None:
    """Whatever the rules: used, protected and newest items stay, and what goes is old, or one too many."""
    ordered = sorted(told, key=lambda one: (one[0], one[1]))
    items = [
        Item(Kind.PROMPTS, str(number), str(group), NOW - timedelta(days=days), 1, frozenset({name} - {""}))
        for number, (group, days, name) in enumerate(ordered)
    ]
    retention = VersionRetention(
        age=age_days * 86400.0, keep_newest=keep_newest, at_most=at_most, tags={"experiment": 30 * 86400.0}
    )
    rules = Rules(retention, frozenset({"protected"}), {str(number): "used" for number in used})
    groups: dict[str, int] = {}
    for choice in choose(items, rules, NOW):
        item, place = choice.item, groups.get(choice.item.group, 0)
        groups[item.group] = place + 1
        if choice.deleted:
            limit = min(age_days, 30) if "experiment" in item.tags and age_days > 30 else age_days
            limit = 30 if "experiment" in item.tags else limit
            assert int(item.key) not in used
            assert "protected" not in item.tags
            assert place >= keep_newest
            assert NOW - item.since > timedelta(days=limit) or (at_most is not None and place >= at_most)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(0, 1)),
        st.tuples(st.sampled_from(["tag", "release", "promote", "roll back"]), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.integers(1, 120)),
        st.tuples(st.just("clean"), st.just(0)),
    ),
    min_size=4,
    max_size=25,
)
RECENT = 2


@contextmanager
def _registry(template: Path) -> Iterator[Registry]:
    """A ledger of its own for one example."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        shutil.copy(template, path)
        database = Database(f"sqlite:///{path}")
        made = make_registry(database, Path(folder) / "archive")
        nothing_kept = {"keep_newest": 0, "age": "60 d"}
        kinds = dict.fromkeys(("prompts", "models", "variants"), nothing_kept)
        policy = make_policy(retention={**kinds, "evals": "60 d", "recent_releases": RECENT})
        with database.begin() as session:
            session.get_one(AppRow, APP).policy = policy.model_dump(mode="json")
        yield made
        database.close()


class Past:
    """Plays a history in a registry, and remembers by its own reckoning what must never go."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.variants: list[Variant] = []
        self.tagged: set[str] = set()
        self.releases: list[tuple[str, Variant, Variant]] = []
        self.live: str | None = None

    def play(self, action: str, number: int) -> None:
        """Let one thing happen, where it can."""
        registry = self.registry
        if action == "record":
            model = a_model(f"model-{len(self.variants) // 2}")
            prompt = a_prompt(f"1.{len(self.variants)}.0", name=f"prompt-{number}")
            self.variants.append(registry.record(days_ago=0, prompt=prompt, model=model))
            registry.record_eval(f"eval-{len(self.variants)}", days_ago=0, candidate=self.variants[-1].digest)
        elif action == "wait":
            registry.now += timedelta(days=number)
        elif action == "clean":
            self.clean()
        elif action in {"promote", "roll back"} and self.live is not None:
            self._end(State.PROMOTED if action == "promote" else State.ABORTED)
        elif self.variants:
            self._with(action, self.variants[number % len(self.variants)])

    def _with(self, action: str, variant: Variant) -> None:
        registry = self.registry
        with registry.database.begin() as session:
            if action == "tag" and variant.prompt.label in registry.keys(Kind.PROMPTS):
                tag(session, Kind.PROMPTS, variant.prompt.label, "protected", "anna", registry.now)
                self.tagged.add(variant.prompt.label)
            if action == "release" and self.live is None and variant.digest in registry.keys(Kind.VARIANTS):
                stable = session.get_one(RouteRow, APP).stable_digest
                opening = Opening(APP, stable, variant.digest, make_policy(), "policy.yaml")
                self.live = open_release(session, opening, ANNA, registry.now)
                release = read_release(session, self.live)
                self.releases.append((self.live, release.stable, release.candidate))

    def _end(self, state: State) -> None:
        assert self.live is not None
        with self.registry.database.begin() as session:
            row = find_live(session, APP)
            assert row is not None
            row.state = State.CANARY if state is State.PROMOTED else row.state
            session.flush()
            end = End(state, Outcome.PASS, "as told")
            end_release(session, read_release(session, self.live), end, ANNA, self.registry.now)
        self.live = None

    def clean(self) -> None:
        """Clean up; what must stay is there, and all that went can come back byte for byte."""
        registry = self.registry
        before = registry.contents()
        there = set(before)
        registry.clean()
        after = registry.contents()
        for variant in self._must_stay():
            for kind, key in _parts(variant):
                assert ((kind, key) in after) == ((kind, key) in before)
        for label in self.tagged:
            assert (Kind.PROMPTS, label) in after
        assert all(after[key] == line for key, line in before.items() if key in after)
        for kind, key in there - set(after):
            registry.put_back(kind, key)
        assert registry.contents() == before
        registry.now += timedelta(days=61)  # what was put back counts as new; let it grow old again
        registry.clean()

    def _must_stay(self) -> Iterator[Variant]:
        with self.registry.database.read() as session:
            known = {one.digest: one for one in [STABLE, *self.variants]}
            for alias in (PRODUCTION, PREVIOUS):
                digest = read_alias(session, APP, alias)
                if digest is not None:
                    yield known[digest]
            yield known[session.exec(select(RouteRow.stable_digest)).one()]
        for _, stable, candidate in self.releases[-RECENT:]:
            yield from (stable, candidate)


def _parts(variant: Variant) -> list[tuple[Kind, str]]:
    return [
        (Kind.VARIANTS, variant.digest),
        (Kind.PROMPTS, variant.prompt.label),
        (Kind.MODELS, variant.model.name),
    ]


@pytest.mark.parametrize("examples", [2, pytest.param(80, marks=pytest.mark.long)])
@pytest.mark.timeout(400)
def test_any_history(migrated_file: Path, examples: int) -> None:
    """Any order of versions, tags, releases and clocks: nothing protected goes, and everything else comes back."""
    deleted: list[int] = []

    @settings(max_examples=examples, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
    @given(ACTIONS)
    def hold(actions: list[tuple[str, int]]) -> None:
        with _registry(migrated_file) as registry:
            past = Past(registry)
            for action, number in actions:
                past.play(action, number)
            registry.now += timedelta(days=61)
            past.clean()
            deleted.append(len(registry.archived()))

    hold()
    assert sum(deleted) > examples
