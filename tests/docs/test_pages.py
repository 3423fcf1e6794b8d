"""Pages for people: their links lead somewhere, what they name is there, and what is generated equals the code."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT

FOLDERS = ("docs", "runbooks", "benchmarks", "examples")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)")
PLACE = re.compile(r"`((?:softlaunch|flows|tasks|deployments|tests|benchmarks|docs|runbooks)/[\w./-]*)`")
TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every link of a page to a file of the project, or to a heading, finds it."""
    for path, heading in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not heading or heading in _anchors(target), f"{path}#{heading}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_place_that_a_page_names_is_there(page: Path) -> None:
    """A file or folder of the project in a page, as in a recipe of CONTRIBUTING, exists."""
    named = PLACE.findall(page.read_text(encoding="utf-8"))
    assert [place for place in named if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("page", ["invariants.md", "statistics.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    """A rule is held by the tests that stand beside it, so these exist under this name, once."""
    named = TEST.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert len(named) >= 10
    assert [f"{file}::{test}" for file, test in named if sum(_defining(file, test)) != 1] == []


def _defining(file: str, test: str) -> Iterator[bool]:
    for path in (ROOT / "tests").rglob(file):
        yield f"def {test}(" in path.read_text(encoding="utf-8")


def test_every_rule_that_must_hold_names_a_test() -> None:
    """No rule of that page is a promise alone."""
    text = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
    rules = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(rules) == 12
    assert [rule.splitlines()[0] for rule in rules if not TEST.search(rule)] == []


def test_the_references_equal_the_code() -> None:
    """The pages of policy, metrics, commands and incidents are what `make docs` writes."""
    assert [_name(page) for page in _generator().stale()] == []


def test_a_reference_that_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that somebody edited by hand, or forgot to write again, is told by its name."""
    generator = _generator()
    monkeypatch.setattr(generator, "FOLDER", tmp_path)
    assert generator.main([]) == 0
    (tmp_path / "reference" / "policy.md").write_text("edited", encoding="utf-8")
    assert [page.name for page in generator.stale()] == ["policy.md"]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: a warning ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.mark.long
def test_the_site_fetches_nothing(site: Path) -> None:
    """No page names a script, a style, a font, a picture or a frame on another server."""
    fetched = re.compile(r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc(?:set)?=[\"']?(?:https?:)?//[^>]*>")
    linked = re.compile(r"<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>")
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert len(pages) > 40
    found = [(page.name, *fetched.findall(text), *linked.findall(text)) for page, text in pages.items()]
    assert [one for one in found if len(one) > 1] == []
    elsewhere = re.compile(r"url\([\"']?(?:https?:)?//|@import")
    assert [style.name for style in site.rglob("*.css") if elsewhere.search(style.read_text(encoding="utf-8"))] == []


@pytest.mark.long
def test_everything_that_a_page_of_the_site_names_is_there(site: Path) -> None:
    """Links, pictures and scripts lead to files of the site, also those of pages that lie elsewhere in the project."""
    named = re.compile(r"\b(?:href|src|srcset)=[\"']?(?![a-z]+:|#|//)([^\"'\s>#?]+)")
    pages = {page: named.findall(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    lost = [
        f"{page.relative_to(site)}: {path}"
        for page, paths in pages.items()
        for path in paths
        if not (site / path.lstrip("/") if path.startswith("/") else page.parent / path).exists()
    ]
    assert lost == []


@pytest.mark.long
def test_the_search_works_from_a_folder(site: Path) -> None:
    """Somebody opens the built site without a server and without a network, and finds a page by a word in it."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.locator(".md-search__input").first.fill("fencing token")
        page.locator(".md-search-result__link").first.wait_for(state="attached", timeout=30_000)
        assert "Glossary" in page.locator(".md-search-result__list").inner_text()
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
