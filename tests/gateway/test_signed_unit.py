"""Units that somebody vouches for, where a policy asks for it."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from softlaunch.gateway.units import sign_unit
from softlaunch.policy.units import UnitPolicy, UnitSource
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels

SECRET = "s3cret"


@pytest.fixture
def signed(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A gateway whose app takes signed units only."""
    policy = UnitPolicy(signed_by="UNIT_SECRET")
    with running_world(ledger_url, models, unit=policy, environment={"UNIT_SECRET": SECRET}) as world:
        yield world


@pytest.mark.parametrize(
    ("fields", "headers", "signature", "status"),
    [
        pytest.param({"user": "ann"}, {}, sign_unit("ann", SECRET), 200, id="signed"),
        pytest.param({"user": "ann"}, {}, sign_unit("ann", SECRET).upper(), 200, id="in capitals"),
        pytest.param({"user": "änn"}, {}, sign_unit("änn", SECRET), 200, id="in UTF-8"),
        pytest.param({}, {"x-user-id": "ann"}, sign_unit("ann", SECRET), 200, id="named by the header"),
        pytest.param({}, {"x-user-id": "änn"}, sign_unit("änn", SECRET), 200, id="named by the header in UTF-8"),
        pytest.param({"user": "ann"}, {}, None, 403, id="unsigned"),
        pytest.param({"user": "ann"}, {}, "", 403, id="an empty signature"),
        pytest.param({"user": "ann"}, {}, sign_unit("bob", SECRET), 403, id="somebody else's signature"),
        pytest.param({"user": "ann"}, {}, sign_unit("ann", "guess"), 403, id="another secret"),
        pytest.param({"user": "ann"}, {}, b"\xff\xfe", 403, id="a signature of bytes"),
        pytest.param({}, {}, sign_unit("", SECRET), 403, id="nobody, signed"),
        pytest.param({}, {}, None, 403, id="nobody"),
    ],
)
def test_a_unit_is_taken_from_who_holds_the_secret(
    signed: World, fields: dict[str, str], headers: dict[str, str], signature: str | bytes | None, status: int
) -> None:
    """Anybody else is refused: a request that is a unit of its own would be one more invented user."""
    body = {"model": APP, "messages": [{"role": "user", "content": "Hi"}], **fields}
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    if signature is not None:
        sent = signature if isinstance(signature, bytes) else signature.encode()
        given.append((b"x-softlaunch-unit-signature", sent))
    response = signed.client.post("/v1/chat/completions", json=body, headers=given)
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["code"] == "unit_not_signed"
        assert "HMAC-SHA256(UNIT_SECRET, unit)" in response.json()["error"]["message"]
        assert not signed.models.bodies


def test_a_gateway_without_the_secret_says_so(ledger_url: str, models: FakeModels) -> None:
    """The variable to set is named, and nobody is let through meanwhile."""
    with running_world(ledger_url, models, unit=UnitPolicy(signed_by="UNIT_SECRET"), environment={}) as world:
        response = world.ask("ann")
    assert response.status_code == 503
    assert "set UNIT_SECRET" in response.json()["error"]["message"]


def test_what_cannot_be_signed_is_refused_by_the_policy() -> None:
    """Nobody can sign a conversation that is told apart by its first words, nor name a variable that is none."""
    with pytest.raises(ValidationError, match="a conversation can't be signed"):
        UnitPolicy(source=UnitSource.CONVERSATION, signed_by="UNIT_SECRET")
    with pytest.raises(ValidationError, match="signed_by"):
        UnitPolicy(signed_by="not a name")
