"""softlaunch rehearse: a provider of simulated models, simulated users, and the profiles to choose from."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softlaunch.cli.output import JSON_OPTION, console, errors, print_json, print_table
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from softlaunch.simulator.cases import Case
    from softlaunch.simulator.profiles import Profile
    from softlaunch.simulator.recording import RecordedModel
    from softlaunch.simulator.traffic import TrafficPlan
    from softlaunch.simulator.users import RatingKind

_DEFAULT_PORT = 8801


def register(app: typer.Typer) -> None:
    """Add the group `rehearse`."""
    group = typer.Typer(help="Rehearse releases with simulated models and users.", no_args_is_help=True)
    group.command("provider")(provider)
    group.command("traffic")(traffic)
    group.command("profiles")(profiles)
    app.add_typer(group, name="rehearse")


_Knowledge = Annotated[list[Path], typer.Option(help="JSON Lines with questions that the models know; repeatable.")]
_ProfileFiles = Annotated[
    list[Path],
    typer.Option("--profiles", help="YAML with profiles of your own, besides the built-in ones; repeatable."),
]
_Recording = Annotated[Path | None, typer.Option(help="CSV or JSON lines (also .gz) of real answers to play back.")]
_Columns = Annotated[
    list[str],
    typer.Option("--map", help="OUR=THEIRS, a column of the recording, such as question=query; repeatable."),
]
_Prices = Annotated[
    list[str],
    typer.Option(
        "--price", help="MODEL=INPUT/OUTPUT in USD per million tokens, to derive token counts from recorded costs."
    ),
]
_Aliases = Annotated[list[str], typer.Option("--alias", help="NAME=MODEL, another name for a model; repeatable.")]
_Port = Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one and prints it.")]
_ProviderKey = Annotated[str | None, typer.Option(help="Environment variable with the API key that clients must send.")]


def provider(
    *,
    knowledge: _Knowledge = [],  # noqa: B006  (typer's default; nothing changes it)
    profile_files: _ProfileFiles = [],  # noqa: B006
    recording: _Recording = None,
    columns: _Columns = [],  # noqa: B006
    prices: _Prices = [],  # noqa: B006
    aliases: _Aliases = [],  # noqa: B006
    speed: Annotated[float, typer.Option(help="Divide all latencies by this.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same answers.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: _Port = _DEFAULT_PORT,
    api_key_env: _ProviderKey = None,
) -> None:
    """Simulate models behind an endpoint, until Ctrl-C."""
    import uvloop

    from softlaunch.simulator.knowledge import Knowledge
    from softlaunch.simulator.provider import Provider
    from softlaunch.simulator.server import ProviderServer, serve

    known = Knowledge([case for path in knowledge for case in _read_cases(path)])
    chosen = _profiles(profile_files)
    recorded = _recorded(recording, _pairs("--map", columns), _pairs("--price", prices), chosen)
    options = {"aliases": _pairs("--alias", aliases), "speed": speed, "seed": seed}
    simulated = Provider.of_profiles(chosen, known, recorded, **options)
    server = ProviderServer(simulated, _api_key(api_key_env))

    def ready(listening: int) -> None:
        console.print(
            f"simulated provider on http://{host}:{listening}/v1 knows {len(known)} questions", soft_wrap=True
        )
        console.print(f"models: {', '.join(simulated.names)}", soft_wrap=True)

    async def run() -> None:
        stop = asyncio.Event()
        _on_signals(stop.set)
        await serve(server, host, port, stop, ready)

    uvloop.run(run())


_Questions = Annotated[Path, typer.Option(help="JSON Lines with questions and expected answers.")]
_Users = Annotated[int, typer.Option(help="Number of users; some ask far more than others.")]
_Arrivals = Annotated[Path | None, typer.Option(help="CSV with a column TIMESTAMP of arrivals to replay.")]
_RatedShare = Annotated[float, typer.Option(help="Share of answers that users rate, from 0 to 1.")]
_StreamShare = Annotated[float, typer.Option(help="Share of requests that ask for a stream, from 0 to 1.")]
_Patience = Annotated[float, typer.Option(help="Seconds of waiting that spoil an answer for its user.")]
_MaxInFlight = Annotated[int, typer.Option(help="Maximum concurrent requests; any more aren't sent.")]
_GatewayKey = Annotated[str | None, typer.Option(help="Environment variable with the gateway's API key.")]


def traffic(
    *,
    app: Annotated[str, typer.Option(help="The app to ask, as the gateway knows it.")],
    questions: _Questions,
    gateway: Annotated[str | None, typer.Option(help="The gateway's URL. Left out: this machine's.")] = None,
    rate: Annotated[float, typer.Option(help="Average requests per second.")] = 10.0,
    duration: Annotated[float, typer.Option(help="Duration in seconds; 0 for until Ctrl-C.")] = 60.0,
    users: _Users = 500,
    arrivals: _Arrivals = None,
    ratings: Annotated[str, typer.Option(help="How users rate answers: thumbs, stars or none.")] = "thumbs",
    rated_share: _RatedShare = 0.2,
    stream_share: _StreamShare = 0.25,
    patience: _Patience = 6.0,
    timeout: Annotated[float, typer.Option(help="Seconds after which a user gives up.")] = 60.0,
    max_in_flight: _MaxInFlight = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same users, questions and arrivals.")] = 0,
    api_key_env: _GatewayKey = None,
    as_json: bool = JSON_OPTION,
) -> None:
    """Simulate users who ask and rate, through a gateway."""
    from softlaunch.simulator.traffic import TrafficPlan

    plan = TrafficPlan(
        gateway=gateway or f"http://127.0.0.1:{Settings().gateway_port}",
        app=app,
        rate_rps=rate,
        duration_s=duration or None,
        users=users,
        ratings=_rating_kind(ratings),
        rated_share=rated_share,
        stream_share=stream_share,
        patience_s=patience,
        timeout_s=timeout,
        max_in_flight=max_in_flight,
        seed=seed,
        api_key=_secret(api_key_env),
        gaps=_gaps(arrivals),
    )
    summary = _send(plan, questions)
    print_json(summary) if as_json else _print_summary(summary)


def _send(plan: "TrafficPlan", questions: Path) -> dict[str, Any]:
    """Send the planned traffic until it is over or somebody stops it; the counts of what users got."""
    import uvloop

    from softlaunch.simulator.traffic import Traffic

    simulated = Traffic(plan, _read_cases(questions))

    async def run() -> dict[str, Any]:
        _on_signals(simulated.stop)
        return (await simulated.run()).summary()

    return uvloop.run(run())


def _rating_kind(name: str) -> "RatingKind":
    from softlaunch.simulator.users import RatingKind

    if name not in set(RatingKind):
        raise SoftlaunchError(f"--ratings is {name!r}, expected {', '.join(RatingKind)}")
    return RatingKind(name)


def _gaps(arrivals: Path | None) -> tuple[float, ...] | None:
    from softlaunch.simulator.arrivals import read_gaps

    return read_gaps(arrivals) if arrivals else None


def _secret(variable: str | None) -> "SecretStr | None":
    from pydantic import SecretStr

    key = _api_key(variable)
    return SecretStr(key) if key else None


def profiles(
    profile_files: list[Path] = typer.Option([], "--profiles", help="YAML with profiles of your own; repeatable."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List the models that can be simulated.

    The list has their figures, and where those come from.
    """
    chosen = _profiles(profile_files)
    if as_json:
        print_json([profile.model_dump(mode="json") for profile in chosen])
        return
    rows = [_figures(profile) for profile in chosen]
    header = ("profile", "accuracy", "p50 / p95 (s)", "tokens", "USD/M in/out", "capacity")
    print_table("Models that can be simulated", header, rows)
    for source in dict.fromkeys(profile.source for profile in chosen):
        names = ", ".join(profile.name for profile in chosen if profile.source == source)
        console.print(f"\nFigures from: {source}\n  {names}", soft_wrap=True, highlight=False, markup=False)


def _figures(profile: "Profile") -> tuple[object, ...]:
    priced = profile.input_usd_per_million is not None and profile.output_usd_per_million is not None
    return (
        profile.name,
        f"{profile.accuracy:.3f}",
        f"{profile.latency.p50_s:g} / {profile.latency.p95_s:g}",
        f"{profile.output_tokens.mean:g}",
        f"{profile.input_usd_per_million:g}/{profile.output_usd_per_million:g}" if priced else None,
        f"{profile.load.capacity_rps:g}/s" if profile.load else None,
    )


def _recorded(
    path: Path | None, columns: dict[str, str], prices: dict[str, str], profiles: "list[Profile]"
) -> "list[RecordedModel]":
    """The models of a recording; prices that aren't given are those of profiles of the same name."""
    from softlaunch.simulator.recording import Price, read_recording

    if path is None:
        return []
    listed = {
        profile.name: Price(profile.input_usd_per_million, profile.output_usd_per_million)
        for profile in profiles
        if profile.input_usd_per_million is not None and profile.output_usd_per_million is not None
    }
    given = {model: Price(*_price(model, text)) for model, text in prices.items()}
    return list(read_recording(path, columns, listed | given).values())


def _profiles(files: list[Path]) -> "list[Profile]":
    from softlaunch.simulator.profiles import builtin_profiles, read_profiles

    own = [profile for path in files for profile in read_profiles(path)]
    names = {profile.name for profile in own}
    return [*own, *(profile for profile in builtin_profiles() if profile.name not in names)]


def _read_cases(path: Path) -> "tuple[Case, ...]":
    from softlaunch.simulator.cases import read_cases

    return read_cases(path)


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        left, separator, right = text.partition("=")
        if not (left and separator and right):
            raise SoftlaunchError(f"{option} is {text!r}, expected two names with '=' between them")
        pairs[left] = right
    return pairs


def _price(model: str, text: str) -> tuple[float, float]:
    try:
        price_in, price_out = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise SoftlaunchError(f"--price {model}={text}: expected INPUT/OUTPUT, such as {model}=30/60") from error
    return price_in, price_out


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise SoftlaunchError(f"the environment variable {variable} is empty; set it, or leave --api-key-env out")
    return key


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def _print_summary(summary: dict[str, Any]) -> None:
    rows = [
        (
            name,
            arm["requests"],
            arm["users"],
            ", ".join(f"{count} {kind}" for kind, count in arm["failures"].items()) or 0,
            _seconds(arm["latency_p50_s"], arm["latency_p95_s"]),
            None if arm["right_share"] is None else f"{arm['right_share']:.3f}",
            arm["ratings"],
            None if arm["satisfaction"] is None else f"{arm['satisfaction']:.3f}",
        )
        for name, arm in summary["arms"].items()
    ]
    header = ("arm", "requests", "users", "failures", "p50 / p95 (s)", "right", "ratings", "satisfaction")
    print_table(f"{summary['requests']} requests by {summary['users']} users", header, rows)
    console.print(f"{summary['users_answered_by_candidate']} users were answered by the candidate.", soft_wrap=True)
    if summary["not_sent"]:
        errors.print(f"{summary['not_sent']} requests were not sent: too many were under way.", soft_wrap=True)


def _seconds(p50: float | None, p95: float | None) -> str | None:
    return None if p50 is None or p95 is None else f"{p50:.2f} / {p95:.2f}"
