"""The provider without a socket: schedules, shares, speed and names."""

import pytest

from softlaunch.core.errors import NotFoundError, SoftlaunchError
from softlaunch.simulator.faults import Fault, FaultKind
from softlaunch.simulator.knowledge import Knowledge
from softlaunch.simulator.models import Answer, Ask, Refusal
from softlaunch.simulator.provider import Provider
from softlaunch.simulator.recording import Recorded, RecordedModel
from softlaunch.simulator.wire import ChatRequest
from tests.support.providers import quick_profile


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Now, in seconds."""
        return self.now


def request(model: str = "m", *, stream: bool = False) -> ChatRequest:
    """A request for a model."""
    return ChatRequest(model, Ask([{"role": "user", "content": "hello"}]), stream)


def outcome(provider: Provider) -> Answer | Refusal:
    """What a request comes to."""
    return provider.plan_response(request())[1].response


def answer(provider: Provider) -> Answer:
    """The answer to a request that must not be refused."""
    response = outcome(provider)
    assert isinstance(response, Answer)
    return response


def test_scheduled_faults_begin_and_end_by_themselves() -> None:
    """A profile's fault counts from the provider's start."""
    clock = Clock()
    profile = quick_profile("m", faults=[{"kind": "errors", "after": 10, "seconds": 5}])
    provider = Provider.of_profiles([profile], Knowledge(), clock=clock)
    kinds = []
    for moment in (100.0, 109.9, 110.0, 114.9, 115.0):
        clock.now = moment
        kinds.append(type(outcome(provider)))
    assert kinds == [Answer, Answer, Refusal, Refusal, Answer]


def test_a_fault_hits_the_share_of_requests_it_was_ordered_for() -> None:
    """A rate of 0.3 hits about three in ten, the same ones for the same seed."""
    runs = []
    for _ in range(2):
        provider = Provider.of_profiles([quick_profile("m")], Knowledge(), seed=7, clock=Clock())
        provider.order("*", Fault(kind=FaultKind.ERRORS, rate=0.3))
        runs.append([isinstance(outcome(provider), Refusal) for _ in range(1000)])
    assert runs[0] == runs[1]
    assert sum(runs[0]) == pytest.approx(300, abs=50)


@pytest.mark.parametrize(
    ("kind", "stream", "disturbed"),
    [
        pytest.param(FaultKind.MALFORMED_STREAM, True, True, id="a malformed stream needs a stream"),
        pytest.param(FaultKind.MALFORMED_STREAM, False, False, id="and spares whole answers"),
        pytest.param(FaultKind.MALFORMED_JSON, False, True, id="malformed JSON needs a whole answer"),
        pytest.param(FaultKind.MALFORMED_JSON, True, False, id="and spares streams"),
        pytest.param(FaultKind.CUT, True, True, id="a cut hits streams"),
        pytest.param(FaultKind.CUT, False, True, id="and whole answers"),
    ],
)
def test_faults_concern_only_requests_they_can_disturb(kind: FaultKind, *, stream: bool, disturbed: bool) -> None:
    """A fault that can't show in a request isn't counted for it."""
    provider = Provider.of_profiles([quick_profile("m")], Knowledge(), clock=Clock())
    provider.order("m", Fault(kind=kind))
    served, planned = provider.plan_response(request(stream=stream))
    assert (planned.fault is not None) == disturbed
    assert served.stats.faults.total() == disturbed


def test_speed_divides_every_latency() -> None:
    """Ten times the speed is a tenth of the time, for the first token, too."""
    slow, fast = (
        Provider.of_profiles([quick_profile("m")], Knowledge(), speed=speed, clock=Clock()) for speed in (1, 10)
    )
    one, other = answer(slow), answer(fast)
    assert one.latency_s == pytest.approx(10 * other.latency_s)
    assert one.first_token_s == pytest.approx(10 * other.first_token_s)


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    """Time neither stands still nor runs backwards."""
    with pytest.raises(SoftlaunchError, match="--speed"):
        Provider([], speed=speed)


def test_names_lead_to_one_player() -> None:
    """A model is found by name, resolved id, alias, and with a vendor in front."""
    provider = Provider.of_profiles(
        [quick_profile("m", model="m-2026")], Knowledge(), aliases={"ours": "m"}, clock=Clock()
    )
    assert {provider.find(name).model.name for name in ("m", "m-2026", "ours", "vendor/m", "vendor/m-2026")} == {"m"}
    with pytest.raises(NotFoundError, match="it has m, m-2026, ours"):
        provider.find("theirs")


def test_a_recording_takes_the_place_of_a_profile_of_its_name() -> None:
    """Real answers are preferred to played ones."""
    recorded = RecordedModel("m", {"hello": [Recorded("recorded", 1.0, 0.2, 3, 4)]})
    provider = Provider.of_profiles([quick_profile("m")], Knowledge(), [recorded], clock=Clock())
    assert answer(provider).text == "recorded"


def test_a_model_slows_down_by_the_rate_at_which_requests_arrive() -> None:
    """The same profile is five times slower at 100 requests a second than at 5."""
    clock, latencies = Clock(), {}
    for rate in (5, 100):
        profile = quick_profile("m", latency={"p50_s": 1, "p95_s": 1}, load={"capacity_rps": 10, "slowdown": 5})
        provider = Provider.of_profiles([profile], Knowledge(), clock=clock)
        for _ in range(3 * rate):
            clock.now += 1 / rate
            latencies[rate] = answer(provider).latency_s
    assert latencies == {5: pytest.approx(1.0), 100: pytest.approx(5.0)}
