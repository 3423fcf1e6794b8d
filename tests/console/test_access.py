"""Who is let into the console, and what they may do there."""

from ipaddress import ip_network

import httpx
import pytest

from softlaunch.console.access import Access, ConsoleSettingsError, NotAdmittedError
from softlaunch.console.server import build_app
from softlaunch.console.state import Console
from softlaunch.core.settings import Settings
from tests.console.browsing import Browser
from tests.console.conftest import MakeConsole

PROXY = (ip_network("10.0.0.0/8"),)
BEHIND = Access("root", "X-User", PROXY, frozenset({"vera"}), frozenset({"anna"}))


def test_on_one_machine_everybody_is_the_user_who_runs_it() -> None:
    """Whatever a header says: nobody vouches for it."""
    visitor = Access("anna").visitor(["mallory"], "127.0.0.1")
    assert (visitor.name, visitor.may_act, visitor.person.origin) == ("anna", True, "console")


@pytest.mark.parametrize(
    ("name", "may_act"), [pytest.param("anna", True, id="an operator"), pytest.param("vera", False, id="a viewer")]
)
def test_behind_a_proxy_people_are_who_it_says(name: str, may_act: bool) -> None:  # noqa: FBT001  (a case)
    """Operators act, viewers look."""
    visitor = BEHIND.visitor([name], "10.1.2.3")
    assert (visitor.name, visitor.may_act) == (name, may_act)


@pytest.mark.parametrize(
    ("names", "address", "status"),
    [
        pytest.param(["anna"], "192.0.2.1", 403, id="the header comes from somewhere else"),
        pytest.param(["anna"], "", 403, id="from nowhere"),
        pytest.param([], "10.1.2.3", 401, id="the proxy names nobody"),
        pytest.param(["anna", "root"], "10.1.2.3", 401, id="two names"),
        pytest.param(["an\x1bna"], "10.1.2.3", 401, id="a name that acts on a terminal"),
        pytest.param(["a" * 300], "10.1.2.3", 401, id="a name without end"),
        pytest.param(["mallory"], "10.1.2.3", 403, id="neither viewer nor operator"),
    ],
)
def test_whom_nobody_vouches_for_is_not_let_in(names: list[str], address: str, status: int) -> None:
    """With the status that says why."""
    with pytest.raises(NotAdmittedError) as refused:
        BEHIND.visitor(names, address)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("environment", "host", "message"),
    [
        pytest.param({}, "0.0.0.0", "let everybody there act as anna", id="open to others, knowing nobody"),
        pytest.param({"console_trusted_proxies": "proxy"}, "127.0.0.1", "expected an address", id="a proxy by name"),
        pytest.param({"console_url": "console"}, "127.0.0.1", "expected an address such as", id="no host"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(environment: dict[str, str], host: str, message: str) -> None:
    """Before anything listens, with what to set instead."""
    with pytest.raises(ConsoleSettingsError, match=message):
        Access.of(Settings(**environment), "anna", host)  # type: ignore[arg-type]


def test_settings_become_rules() -> None:
    """Lists are by commas; the address that people use is a host of ours, and its cookie goes over TLS alone."""
    told = {
        "console_user_header": "X-User",
        "console_operators": "anna, bert",
        "console_url": "https://sl.example:8443",
    }
    access = Access.of(Settings(**told), "root", "0.0.0.0")  # type: ignore[arg-type]
    assert (access.operators, access.secure) == (frozenset({"anna", "bert"}), True)
    assert "sl.example" in access.hosts
    assert access.visitor(["carl"], "127.0.0.1").may_act is False


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:8820"])
async def test_a_name_that_was_made_to_point_here_is_refused(console: Console, host: str) -> None:
    """DNS rebinding: the page of another name is another site's page."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(build_app(console)), base_url="http://x") as client:
        answer = await client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "SOFTLAUNCH_CONSOLE_URL" in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize("address", ["/", "/releases", "/live/apps", "/nothing", "/requests/failed-0"])
async def test_who_is_not_let_in_sees_nothing(make: MakeConsole, address: str) -> None:
    """No page, no stream, not even whether something is there."""
    browser = Browser(make(header="X-User", proxies=PROXY))
    answer = await browser.get(address)
    assert answer.status_code == 403
    assert "support-bot" not in answer.text


@pytest.mark.anyio
async def test_answers_carry_what_keeps_others_out(console: Console) -> None:
    """No frame, no guessing of types, no other site's script; the cookie is for this site and no script."""
    headers = (await Browser(console).get("/")).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=lax" in headers["set-cookie"]
