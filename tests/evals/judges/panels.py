"""Judges as tests want them: scripted replies, or a rehearsed model, without any network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.answers import EvalAnswer, Status
from softlaunch.evals.calls.call import Call
from softlaunch.evals.judges.panel import Ask, Judges, Panel
from softlaunch.simulator.models import Answer, SimulatedModel
from softlaunch.simulator.models import Ask as Request

Reply = Callable[[str, Mapping[str, str]], str | None]
"""Model and the prompt's variables; None is a timeout."""


def model(name: str = "judge") -> ModelVersion:
    """A priced model that nobody calls."""
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0}
    return ModelVersion(name=name, provider="test", model=name, endpoint="http://127.0.0.1:1/v1", **prices)


@dataclass
class Scripted:
    """A panel whose judges say what a function says; `asked` has the variables of every call."""

    reply: Reply
    names: tuple[str, ...] = ("judge",)
    cost_usd: float | None = 0.01
    asked: list[Mapping[str, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    @property
    def judges(self) -> Judges:
        """The judges by their names."""
        return Judges(tuple(model(name) for name in self.names))

    @property
    def panel(self) -> Panel:
        """The judges, ready to be asked."""
        return Panel(self.judges, self.ask)

    async def ask(self, call: Call) -> EvalAnswer:
        """Answer a call as told."""
        self.calls.append(call)
        self.asked.append(call.case.variables)
        text = self.reply(call.variant.model.name, call.case.variables)
        if text is None:
            return EvalAnswer(call.key, call.variant.digest, Status.UNSCORED, error="timeout")
        return EvalAnswer(call.key, call.variant.digest, Status.SCORED, answer=text, cost_usd=self.cost_usd)


def played(player: SimulatedModel) -> Ask:
    """Calls that a rehearsed model answers."""

    async def ask(call: Call) -> EvalAnswer:
        request = call.variant.request_body(call.case.request)
        performance = player.respond(Request(request["messages"]), 1.0)
        if isinstance(performance, Answer):
            return EvalAnswer(call.key, call.variant.digest, Status.SCORED, answer=performance.text)
        return EvalAnswer(call.key, call.variant.digest, Status.UNSCORED, error=f"http_{performance.status}")

    return ask
