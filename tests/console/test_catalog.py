"""Prompts and models in the console: who recorded what when, what differs, where it serves, and what happened to it."""

import pytest
from sqlmodel import select

from softlaunch.catalog.records import record_model
from softlaunch.console.state import Console
from softlaunch.store.tables import PromptRow
from tests.console.browsing import Browser, check_page
from tests.console.catalog_scene import add_versions
from tests.console.scenes import ROLLED_BACK
from tests.reports.page_reader import ATTACK, PageReader
from tests.support.builders import APP, CANDIDATE, NOON, STABLE

NAME = STABLE.prompt.name
PROMPT, MODEL = f"/prompts/{NAME}", f"/models/{STABLE.model.name}"
OTHER = STABLE.model.model_copy(
    update={"name": "other", "model": "other-2", "endpoint": "https://key@x.example/v1?k=s"}
)


@pytest.fixture
def recorded(console: Console) -> Console:
    """A console on a ledger with more versions, and a second model."""
    add_versions(console.database)
    with console.database.begin() as session:
        record_model(session, OTHER, "models.yaml", NOON)
    return console


@pytest.mark.anyio
async def test_pages_are_whole(recorded: Console) -> None:
    """Like every page of the console; what isn't recorded is said."""
    browser = Browser(recorded)
    for address in (
        *("/prompts", "/prompts?q=none", PROMPT, f"{PROMPT}/1.0.0", f"{PROMPT}/compare?a=1.0.0&b=1.10.0"),
        *("/models", "/models?q=none", MODEL, "/models/other", f"/models/compare?a={STABLE.model.name}&b=other"),
    ):
        check_page(await browser.get(address))
    for address in ("/prompts/none", f"{PROMPT}/9.9.9", "/models/none", "/models/compare?a=other&b=none"):
        assert (await browser.get(address)).status_code == 404, address


@pytest.mark.anyio
async def test_versions_stand_by_their_precedence_with_who_when_and_where_they_serve(recorded: Console) -> None:
    """1.10.0 is above 1.9.0; the version that serves names its app."""
    browser = Browser(recorded)
    assert f"{NAME} 4 1.10.0" in PageReader((await browser.get("/prompts")).text).text
    page = (await browser.get(PROMPT)).text
    places = [page.index(f'href="{PROMPT}/{version}"') for version in ("1.10.0", "1.9.0", "1.1.0", "1.0.0")]
    assert places == sorted(places)
    text = PageReader(page).text
    for shown in ("bert", "2026-02-02", "try 1.10.0", "from commit 1a2b3c"):
        assert shown in text
    assert f'href="/apps/{APP}"' in page[places[-1] :]
    assert f'href="/apps/{APP}"' not in page[: places[-1]]


@pytest.mark.anyio
async def test_a_version_shows_what_it_changed_and_what_happened_to_it(recorded: Console) -> None:
    """By words against the version below; releases and variants are those that have it."""
    browser = Browser(recorded)
    page = (await browser.get(f"{PROMPT}/1.10.0")).text
    assert f'href="{PROMPT}/1.9.0"' in page
    assert "<ins>" in page.partition("What it changed")[2].partition("Its messages")[0]
    older = (await browser.get(f"{PROMPT}/{CANDIDATE.prompt.version}")).text
    assert f'href="/variants/{CANDIDATE.digest}"' in older
    assert f'href="/releases/{ROLLED_BACK}"' in older
    assert "as candidate: rolled back" in PageReader(older).text


@pytest.mark.anyio
async def test_two_versions_are_compared_by_words(recorded: Console) -> None:
    """In both directions."""
    browser = Browser(recorded)
    there = (await browser.get(f"{PROMPT}/compare?a=1.1.0&b=1.10.0")).text
    assert "<ins>" in there
    assert f'href="{PROMPT}/compare?a=1.10.0&amp;b=1.1.0"' in there


@pytest.mark.anyio
async def test_a_model_shows_how_it_is_called_without_secrets(recorded: Console) -> None:
    """Its endpoint without credentials and queries; where it serves, and the variants that have it."""
    browser = Browser(recorded)
    for address in ("/models/other", f"/models/compare?a={STABLE.model.name}&b=other"):
        page = (await browser.get(address)).text
        assert "key@" not in page
        assert "k=s" not in page
    assert "https://x.example/v1" in (await browser.get("/models/other")).text
    serving = (await browser.get(MODEL)).text
    assert f'href="/apps/{APP}"' in serving
    assert f'href="/variants/{STABLE.digest}"' in serving
    assert f'href="/apps/{APP}"' in (await browser.get("/models")).text


@pytest.mark.anyio
async def test_an_app_leads_to_everything_of_it(recorded: Console) -> None:
    """Its A/B tests, evals, labels, drift, and the prompt and model that serve it."""
    page = (await Browser(recorded).get(f"/apps/{APP}")).text
    own = (f"/ab-tests?app={APP}", f"/evals?app={APP}", f"/apps/{APP}/labels", f"/apps/{APP}/drift", PROMPT, MODEL)
    assert [address for address in own if f'href="{address}"' not in page] == []


@pytest.mark.anyio
async def test_what_authors_wrote_is_never_markup(recorded: Console) -> None:
    """Tags in names and purposes are shown as they are."""
    with recorded.database.begin() as session:
        for row in session.exec(select(PromptRow)):
            row.content = {**row.content, "author": ATTACK, "purpose": ATTACK}
            row.source = ATTACK
    browser = Browser(recorded)
    for address in ("/prompts", PROMPT, f"{PROMPT}/1.10.0"):
        page = (await browser.get(address)).text
        assert ATTACK in PageReader(page).text, address
        assert "<script>" not in page
