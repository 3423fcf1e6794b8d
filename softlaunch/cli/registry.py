"""`softlaunch models` and `variants`: what is recorded, and new variants from recorded parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlmodel import Session

from softlaunch.catalog import records
from softlaunch.catalog.aliases import RELEASED, MovedBy, move_alias
from softlaunch.catalog.candidates import Change, resolve_candidate
from softlaunch.catalog.floating_models import is_pinned
from softlaunch.catalog.variant_changes import diff_variants, shown_parameters, written
from softlaunch.cli.actor import who
from softlaunch.cli.candidate_options import FALLBACK_OPTION, PARAMETERS_OPTION, fallbacks_of
from softlaunch.cli.diffs import show_parts
from softlaunch.cli.ledger import ledger as open_ledger
from softlaunch.cli.model_registry import mirror_aliases, registered, watch_models
from softlaunch.cli.output import JSON_OPTION, print_json, print_table, print_text
from softlaunch.core.clock import utc_now
from softlaunch.core.content import Name
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant

_APP = typer.Option(None, "--app", metavar="NAME", help="Only this app; required if several apps are recorded.")


class VariantNameError(SoftlaunchError):
    """A name that a person can't give a variant."""


class WhichAppError(SoftlaunchError):
    """Several apps are recorded and none was named."""


def register(app: typer.Typer) -> None:
    """Add the groups `models` and `variants`."""
    models = typer.Typer(help="Show model versions, in the ledger and in other registries.", no_args_is_help=True)
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("registered")(registered)
    models.command("mirror")(mirror_aliases)
    models.command("watch")(watch_models)
    what = "Manage variants: prompt, model, sampling, parameters and fallback models."
    variants = typer.Typer(help=what, no_args_is_help=True)
    variants.command("list")(list_variants)
    variants.command("show")(show_variant)
    variants.command("diff")(diff)
    variants.command("add")(add_variant)
    for name, group in (("models", models), ("variants", variants)):
        app.add_typer(group, name=name)


@contextmanager
def _session(*, writes: bool = False) -> Iterator[Session]:
    with open_ledger() as database, database.begin() if writes else database.read() as session:
        yield session


def list_models(as_json: bool = JSON_OPTION) -> None:
    """List recorded model versions."""
    with _session() as session:
        rows = [
            {
                "name": row.name,
                "provider": row.content["provider"],
                "model": row.content["model"],
                "endpoint": row.content["endpoint"],
                "pinned": "yes" if is_pinned(row.content["model"]) else "floating",
                "recorded": _day(row.recorded_at),
            }
            for row in records.list_models(session)
        ]
    _print_rows("Models", ("name", "provider", "model", "pinned", "endpoint", "recorded"), rows, as_json=as_json)


def show_model(
    name: str = typer.Argument(metavar="NAME", help="The model version."), as_json: bool = JSON_OPTION
) -> None:
    """Show one model version."""
    with _session() as session:
        model = records.get_model(session, name)
    content = _content(model, model.digest)
    if as_json:
        print_json(content)
    else:
        print_table(f"Model {model.name}", ("key", "value"), list(content.items()))


def list_variants(app: str | None = _APP, as_json: bool = JSON_OPTION) -> None:
    """List recorded variants and the names that point to them."""
    with _session() as session:
        if app is not None:
            records.check_app(session, app)
        names: dict[str, list[str]] = {}
        for alias in records.list_aliases(session, app):
            shown = alias.alias if app is not None else f"{alias.app}/{alias.alias}"
            names.setdefault(alias.variant_digest, []).append(shown)
        rows = [
            {
                "variant": row.digest[:12],
                "names": ", ".join(names.get(row.digest, [])),
                "what": row.label,
                "recorded": _day(row.recorded_at),
            }
            for row in records.list_variants(session)
            if app is None or row.digest in names
        ]
    _print_rows("Variants", ("variant", "names", "what", "recorded"), rows, as_json=as_json)


def show_variant(
    reference: str = typer.Argument(metavar="VARIANT", help="A name, an alias, or six characters of the digest."),
    app: str | None = _APP,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show one variant: its prompt, model, sampling, parameters and fallback models."""
    with _session() as session:
        variant = records.get_variant(session, _only_app(session, app), reference)
    _print_variant(variant, as_json=as_json)


def diff(
    before: str = typer.Argument(metavar="A", help="A variant: a name, an alias, or six characters of the digest."),
    after: str = typer.Argument(metavar="B", help="Another one."),
    app: str | None = _APP,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what differs between two variants: texts word by word, everything else key by key."""
    with _session() as session:
        owner = _only_app(session, app)
        old, new = (records.get_variant(session, owner, reference) for reference in (before, after))
    parts = diff_variants(old, new)
    if as_json:
        print_json({"from": old.digest, "to": new.digest, "parts": [asdict(part) for part in parts]})
        return
    print_text(
        f"{old.short} {old.label}\n-> {new.short} {new.label}"
        + (": the same variant" if old.digest == new.digest else "")
    )
    show_parts(parts)


def add_variant(
    name: str = typer.Argument(metavar="NAME", help="The name to give the variant."),
    app: str | None = _APP,
    base: str = typer.Option("production", "--from", metavar="VARIANT", help="The variant to change."),
    prompt: str | None = typer.Option(None, "--prompt", metavar="NAME@VERSION", help="Another prompt version."),
    model: str | None = typer.Option(None, "--model", metavar="NAME", help="Another model version."),
    sampling: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="A sampling parameter; KEY= unsets it."),
    parameters: str | None = PARAMETERS_OPTION,
    fallback: list[str] = FALLBACK_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Record a variant made from another one, and give it a name."""
    _check_name(name)
    with _session(writes=True) as session:
        owner = _only_app(session, app)
        change = Change(
            prompt=prompt,
            model=model,
            sampling=dict(_pair(text) for text in sampling),
            parameters=parameters,
            fallbacks=fallbacks_of(fallback),
        )
        found = records.get_variant(session, owner, base)
        variant = resolve_candidate(session, owner, found, change, utc_now())
        move_alias(session, owner, name, variant.digest, MovedBy(str(who())), utc_now())
    _print_variant(variant, as_json=as_json)


def _check_name(name: str) -> None:
    if name in RELEASED:
        raise VariantNameError(f"only releases move {name!r}; give the variant another name")
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise VariantNameError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _pair(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise VariantNameError(f"--set {text}: expected KEY=VALUE, such as temperature=0.2")
    return key, value or None


def _only_app(session: Session, app: str | None) -> str:
    if app is not None:
        return records.check_app(session, app).name
    apps = sorted({alias.app for alias in records.list_aliases(session)})
    if len(apps) == 1:
        return apps[0]
    raise WhichAppError(f"name the app with --app; recorded: {', '.join(apps)}" if apps else _NO_APP)


_NO_APP = "no app is recorded yet; run 'softlaunch init' and 'softlaunch apply'"


def _content(value: BaseModel, digest: str) -> dict[str, Any]:
    return {**value.model_dump(mode="json"), "digest": digest}


def _print_variant(variant: Variant, *, as_json: bool) -> None:
    if as_json:
        print_json(_content(variant, variant.digest))
        return
    sampling = variant.sampling.model_dump(mode="json", exclude_none=True)
    rows = [
        ("digest", variant.digest),
        ("prompt", variant.prompt.label),
        ("model", f"{variant.model.name} ({variant.model.provider} {variant.model.model}, {variant.model.endpoint})"),
        *sampling.items(),
        *(() if variant.parameters is None else _parameter_rows(variant.parameters)),
        *((f"fallback {number}", model.name) for number, model in enumerate(variant.fallbacks, start=1)),
    ]
    print_table(f"Variant {variant.short}: {variant.label}", ("key", "value"), rows)


def _parameter_rows(parameters: Parameters) -> list[tuple[str, Any]]:
    content = shown_parameters(parameters)
    return [
        ("parameters", parameters.label),
        *((key, written(value, on_lines=False)) for key, value in content.items()),
    ]


def _print_rows(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif not rows:
        print_text(f"{title}: none yet; run 'softlaunch init' and 'softlaunch apply'")
    else:
        print_table(title, columns, [[row[column] for column in columns] for row in rows])


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
