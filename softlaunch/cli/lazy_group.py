"""A group of commands that lists them without importing them: help must not wait for the imports of an eval."""

from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

_LISTED = {
    "init": ("init", "Create an app around your own model, or from the example."),
    "apply": ("apps", "Record an app's files in the ledger."),
    "diff": ("apps", "Show what `apply` would change, and change nothing."),
    "doctor": ("doctor", "Check everything that a release needs, and say how to fix what is missing."),
    "plan": ("plan", "Forecast a release: duration, detectable harm, exposed users."),
    "up": ("up", "Run gateway, evaluator, Prefect, worker, reconcile and the console on this machine."),
    "ui": ("ui", "Serve the console: every app, release, approval and incident in a browser."),
    "history": ("history", "Show the audit trail of an app."),
    "reconcile": ("reconcile", "Resume releases whose driver has stopped."),
    "rollback": ("decisions", "Roll back an app's live release, or the newest promoted one."),
    "approve": ("decisions", "Approve what a release or cleanup is waiting for."),
    "reject": ("decisions", "Reject what a release or cleanup is waiting for."),
    "slack": ("slack", "Handle clicks in Slack, and send notifications."),
    "evaluator": ("evaluator", "Have judges score live answers, as set under `live` in each app's policy."),
    "gateway": ("gateway", "Serve requests from OpenAI and Anthropic clients."),
    "config-server": ("config_server", "Tell applications which variant to use, without being in their way."),
    "otlp": ("otlp", "Take an app's own OpenTelemetry spans into the request log."),
    "envoy": ("envoy", "Let an Envoy of your own split the traffic."),
    "deploy": ("deploy", "Deploy the flows to Prefect."),
    "review": ("review", "Review an eval: compare its answers side by side, and vote."),
    "demo": ("demo.command", "Watch four real releases on this machine."),
    "policy": ("policy", "Check policies, and print their JSON schema."),
    "prompts": ("prompts", "Manage prompt versions, in Git and in the ledger."),
    "models": ("registry", "Show model versions, in the ledger and in other registries."),
    "parameters": ("parameters", "Manage parameters: tools, formats, reasoning and settings."),
    "variants": ("registry", "Manage variants: prompt, model, sampling, parameters and fallback models."),
    "registry": ("cleanup", "Archive unused versions, and restore them."),
    "release": ("release", "Release a candidate, and watch it."),
    "ab": ("ab", "Run A/B tests, which compare two variants on live traffic."),
    "drift": ("drift", "Detect prompt drift: changed answers of an unchanged variant."),
    "incidents": ("incidents", "Show and resolve incidents, each with its runbook."),
    "notices": ("notices", "Show and send pending notifications."),
    "check": ("check", "Check a pull request: compare the variants that it changes."),
    "eval": ("eval", "Compare a candidate with stable on the same cases."),
    "suite": ("suite", "Check golden sets, and add cases to them."),
    "judge": ("judge", "Calibrate judges against people's labels."),
    "benchmark": ("benchmark", "Run published benchmarks: MT-Bench and AlpacaEval."),
    "gates": ("gates", "Replay recorded requests through the gates of a policy."),
    "metrics": ("metrics", "Import values of an app's own metrics."),
    "rehearse": ("rehearse", "Rehearse releases with simulated models and users."),
}
"""Every command, with the module of softlaunch.cli whose `register(app)` adds it, and the first line of its help."""


class LazyGroup(TyperGroup):
    """Knows every command by name and first line, and imports its module when it is invoked or asked for more."""

    def __init__(self, **settings: Any) -> None:
        """Take the settings of a group; commands that are given besides are listed too."""
        super().__init__(**settings)
        self._modules = {name: module for name, (module, _) in _LISTED.items()}
        stand_ins = {name: TyperCommand(name, help=line) for name, (_, line) in _LISTED.items()}
        self.commands = {**stand_ins, **self.commands}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command itself; None when there is none of that name."""
        module = self._modules.get(cmd_name)
        if module is not None:
            self.commands[cmd_name] = _load(module)[cmd_name]
            del self._modules[cmd_name]
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands in a help text, without importing them."""
        TyperGroup(commands=dict(self.commands)).format_commands(ctx, formatter)


def _load(module: str) -> dict[str, Any]:
    """The commands of a module, ready to be invoked."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    import_module(f"softlaunch.cli.{module}").register(app)
    return dict(typer.main.get_group(app).commands)
