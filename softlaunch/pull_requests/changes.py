"""What a change does to an app: which variants it touches, and what becomes of the golden set and the policy. Pure.

A variant that has other content under its name is compared with what it was; a new one, with the stable variant of the
base; where variants.yaml calls another variant stable, the two are compared. A new version of a prompt that no variant
names yet is compared as a release of it would be: on the stable variant.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from softlaunch.catalog.app_folder import AppFolder
from softlaunch.catalog.prompt_changes import PartDiff
from softlaunch.catalog.variant_changes import diff_variants
from softlaunch.catalog.versions import precedence
from softlaunch.core.content import Content
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.policy.effective import settings
from softlaunch.policy.model import Policy
from softlaunch.pull_requests.sides import AppSide

_Recorded = PromptVersion | ModelVersion | Parameters
_OF_EVALS = ("eval.", "golden_set")


@dataclass(frozen=True)
class Pair:
    """Two variants to compare. `why` says in words how they belong together, `name` which variant it is about."""

    name: str
    base: Variant
    head: Variant
    why: str

    @cached_property
    def parts(self) -> tuple[PartDiff, ...]:
        """What differs between them."""
        return diff_variants(self.base, self.head)


@dataclass(frozen=True, slots=True)
class CaseChanges:
    """Cases of the golden set by id: gone, come, and edited, each of these with the keys that changed."""

    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    edited: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is any change."""
        return bool(self.removed or self.added or self.edited)


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A key of the policy that has another value; `of_evals` for those that a golden set is judged by."""

    key: str
    before: str
    after: str

    @property
    def of_evals(self) -> bool:
        """Whether it can change a verdict of the check."""
        return self.key.startswith(_OF_EVALS)


@dataclass(frozen=True, slots=True)
class AppChange:
    """A change of one app. A side that isn't there is None; `notes` are what else a reviewer should know."""

    base: AppSide | None
    head: AppSide | None
    pairs: tuple[Pair, ...] = ()
    cases: CaseChanges = field(default_factory=CaseChanges)
    settings: tuple[SettingChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def app(self) -> str:
        """The app's name."""
        side = self.head or self.base
        return "" if side is None else side.app

    @property
    def any(self) -> bool:
        """Whether anything of the app that the check looks at has changed."""
        return bool(self.pairs or self.cases.any or self.settings or self.notes)

    @property
    def judged_twice(self) -> bool:
        """Whether a verdict needs the base's golden set and policy besides the head's: an edit must hide nothing."""
        return self.cases.any or any(one.of_evals for one in self.settings)


def change_of(base: AppSide | None, head: AppSide | None) -> AppChange:
    """What becomes of an app."""
    if base is None or head is None:
        note = "the app is new, so there is nothing to compare it with" if base is None else "the app is removed"
        return AppChange(base, head, notes=(note,))
    return AppChange(
        base=base,
        head=head,
        pairs=tuple(_pairs(base, head)),
        cases=_case_changes(base.suite, head.suite),
        settings=tuple(_setting_changes(base.files.policy, head.files.policy)),
        notes=tuple(_notes(base, head)),
    )


def _pairs(base: AppSide, head: AppSide) -> Iterator[Pair]:
    seen: set[tuple[str, str]] = set()
    for pair in (*_named_pairs(base, head), *_loose_prompts(base, head)):
        key = pair.base.digest, pair.head.digest
        if key not in seen and pair.base.digest != pair.head.digest:
            seen.add(key)
            yield pair


def _named_pairs(base: AppSide, head: AppSide) -> Iterator[Pair]:
    before, after = base.files.variants, head.files.variants
    stable = before[base.files.stable]
    if base.files.stable != head.files.stable:
        why = f"variants.yaml calls it stable in place of {base.files.stable}"
        yield Pair(head.files.stable, stable, after[head.files.stable], why)
    known = {variant.digest for variant in before.values()}
    for name, variant in after.items():
        if name in before:
            yield Pair(name, before[name], variant, "compared with what it was")
        elif variant.digest not in known:
            yield Pair(name, stable, variant, f"new, compared with {base.files.stable}, which is stable")


def _loose_prompts(base: AppSide, head: AppSide) -> Iterator[Pair]:
    """The newest version of the stable variant's prompt, where it is new and no variant has it yet."""
    stable = head.files.variants[head.files.stable]
    known = {one.prompt.label for one in base.files.prompts}
    used = {variant.prompt.label for variant in head.files.variants.values()}
    own = [one.prompt for one in head.files.prompts if one.prompt.name == stable.prompt.name]
    newest = max(own, key=lambda one: precedence(one.version), default=stable.prompt)
    if newest.label not in known | used:
        candidate = stable.model_copy(update={"prompt": newest})
        why = f"new and in no variant yet, compared on {head.files.stable}, which is stable"
        before = base.files.variants.get(base.files.stable, stable)
        yield Pair(newest.label, before, Variant.model_validate(candidate.model_dump()), why)


def _case_changes(before: Suite | None, after: Suite | None) -> CaseChanges:
    old, now = _by_id(before), _by_id(after)
    edited = ((id_, _changed_keys(old[id_], now[id_])) for id_ in old if id_ in now)
    return CaseChanges(
        removed=tuple(id_ for id_ in old if id_ not in now),
        added=tuple(id_ for id_ in now if id_ not in old),
        edited=tuple((id_, keys) for id_, keys in edited if keys),
    )


def _by_id(suite: Suite | None) -> dict[str, Case]:
    return {} if suite is None else {case.id: case for case in suite.cases}


def _changed_keys(before: Content, after: Content) -> tuple[str, ...]:
    old, now = before.model_dump(mode="json"), after.model_dump(mode="json")
    return tuple(key for key in old if old[key] != now.get(key))


def _setting_changes(before: Policy, after: Policy) -> Iterator[SettingChange]:
    old, now = _settings(before), _settings(after)
    for key in dict.fromkeys([*old, *now]):
        if old.get(key) != now.get(key):
            yield SettingChange(key, old.get(key, "none"), now.get(key, "none"))


def _settings(policy: Policy) -> Mapping[str, str]:
    return {one.key: one.value for one in settings(policy)}


def _notes(base: AppSide, head: AppSide) -> Iterator[str]:
    before, after = base.files, head.files
    prompts, parameters = zip(*(_versions(files) for files in (before, after)), strict=True)
    yield from _edited_in_place("prompt", *prompts)
    yield from _edited_in_place("parameters", *parameters)
    yield from _edited_in_place("model", before.models, after.models)
    yield from (f"variant {name} is removed" for name in base.files.variants if name not in head.files.variants)
    used = {variant.model.name for variant in head.files.variants.values()}
    known = {model.name for model in base.files.models}
    unused = [model.name for model in head.files.models if model.name not in known | used]
    if unused:
        yield f"no variant uses {', '.join(unused)} yet, so it isn't compared"
    lost = _segments(base) - _segments(head)
    if lost:
        yield f"no longer critical: {', '.join(sorted(lost))}"


def _segments(side: AppSide) -> set[str]:
    of_set = () if side.suite is None else side.suite.header.segments
    return {*of_set, *side.files.policy.eval.segments}


def _edited_in_place(kind: str, before: Iterable[_Recorded], after: Iterable[_Recorded]) -> Iterator[str]:
    """Versions that have other content under their name: what is recorded never changes, so `apply` refuses them."""
    known = {_label(one): one.digest for one in before}
    for one in after:
        if known.get(_label(one), one.digest) != one.digest:
            yield (
                f"{kind} {_label(one)} was edited in place; a recorded version never changes, so 'softlaunch apply' "
                "will refuse it: save the change under a new version or name"
            )


def _versions(files: AppFolder) -> tuple[list[PromptVersion], list[Parameters]]:
    return [one.prompt for one in files.prompts], [one.parameters for one in files.parameters]


def _label(one: _Recorded) -> str:
    return one.name if isinstance(one, ModelVersion) else one.label
