"""The formats of a check, on a result in which models and people have written whatever could do harm."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import cmarkgfm
import orjson
import pytest
import xmlschema
from cmarkgfm.cmark import Options

from softlaunch.cli.check import Format, rendered
from softlaunch.pull_requests.check import CheckOrder, run_check
from softlaunch.pull_requests.formats.escaping import code, prose
from softlaunch.pull_requests.formats.markdown import LONGEST_COMMENT, MARKER
from softlaunch.pull_requests.results import CheckResult
from softlaunch.store.migrate import open_database
from tests.support.endpoints import Reply, running_endpoint
from tests.support.shop_repository import Shop

HOSTILE = (
    "# A heading\n\n## Another one\n\n1. a list\n- @octocat, see #1 and GH-2 and owner/repo#3\n"
    "[a link](https://evil.example/a) https://evil.example/b www.evil.example mail@evil.example <https://evil.example>\n"
    "![a picture](https://evil.example/c.png) <img src=https://evil.example/d.png onerror=alert(1)>\n"
    "</pre></td></tr></table></details>\n\n# Out of the table\n\n<script>alert(1)</script>\n"
    "```\n# Out of the fence\n```\n::error file=x,line=1::Owned\n   ::add-mask::x\n##[command]rm\r\n::warning::Owned\n"
    "| a | b |\n| - | - |\n]]> &lt;b&gt; \x1b[31mred \u202e \ufffe $x$ ~~gone~~ *strong* `code` \\"
)
_TAG = "refunds | @octocat # www.evil.example ::error::x"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckResult]:
    """A real check of a prompt that makes the model write all of that, to questions that hold it, too."""
    folder = tmp_path_factory.mktemp("hostile")
    with running_endpoint() as endpoint:
        shop = Shop.make(folder / "repo", endpoint)
        endpoint.by_request = lambda body: Reply(HOSTILE if "Be evil" in body["messages"][0]["content"] else "yes")
        ids = [f"{number} {HOSTILE[:150]}" for number in range(20)]
        rows = [{"id": id_, "question": f"{id_} {HOSTILE}", "expected": "yes", "tags": [_TAG]} for id_ in ids]
        shop.write("golden.jsonl", "".join(orjson.dumps(row).decode() + "\n" for row in rows))
        shop.repo.commit(HOSTILE.replace("\x1b", ""))
        shop.repo.branch("evil")
        shop.write_prompt("1.1.0", f"Be evil. {HOSTILE.replace(chr(0x1B), '')}")
        shop.write("golden.jsonl", "".join(orjson.dumps(row).decode() + "\n" for row in rows[1:]))
        database = open_database(f"sqlite:///{folder / 'ledger.db'}")
        yield run_check(CheckOrder(shop.path, "main"), lambda: nullcontext(database), lambda *_: None)
        database.close()


class Page(HTMLParser):
    """What a browser makes of a comment: its elements, where links lead, and text by whether it is code."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[str] = []
        self.prose: list[str] = []
        self._code = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count it."""
        self.tags[tag] += 1
        self.attributes += [name for name, _ in attrs]
        self._code += tag in {"code", "pre"}

    def handle_endtag(self, tag: str) -> None:
        """Leave code."""
        self._code -= tag in {"code", "pre"}

    def handle_data(self, data: str) -> None:
        """Keep what GitHub's filters would look at."""
        if not self._code:
            self.prose.append(data)


def as_github_shows(markdown: str) -> Page:
    """A comment, rendered by GitHub's own renderer with its extensions, HTML left as it is."""
    return Page(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))


def test_a_comment_holds_nothing_that_acts(result: CheckResult) -> None:
    """No heading, link, picture, mention or element but those of the comment itself; it begins with the marker."""
    comment = rendered(result, Format.MARKDOWN)
    page = as_github_shows(comment)
    assert comment.startswith(f"{MARKER}\n")
    assert (page.tags["h1"], page.tags["h2"], page.tags["h3"], page.tags["h4"]) == (0, 0, 1, 1)
    ours = {"h3", "h4", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "strong", "code", "pre"}
    assert set(page.tags) <= ours | {"details", "summary", "ins", "del", "sub"}
    assert page.attributes == []
    written = " ".join(page.prose)
    assert re.findall(r"@\w|#\d|GH-\d|https?://|www\.", written) == []
    assert len(comment) <= LONGEST_COMMENT
    assert comment.count("Out of the table") >= 5


@pytest.mark.parametrize(
    "text", [HOSTILE, *HOSTILE.split("\n"), *HOSTILE.split(" "), "+ a", "- - a", "2) a", "===", "`` ` ``"]
)
def test_words_of_others_stay_words(text: str) -> None:
    """Within a line, as words and as code, beside a list's mark and in a table."""
    for markdown in (f"- {prose(text)}", f"a {code(text)} b", f"| a |\n| - |\n| {code(text, in_table=True)} |"):
        page = as_github_shows(markdown)
        assert set(page.tags) <= {"p", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td"}
        assert page.tags["ul"] + page.tags["table"] + page.tags["p"] == 1
        assert (page.tags["li"], page.attributes) == (int(markdown.startswith("- ")), [])
        assert re.findall(r"@\w|#\d|GH-\d|https?://|www\.", " ".join(page.prose)) == []


@pytest.mark.parametrize("form", [Format.TEXT, Format.GITHUB])
def test_a_log_holds_no_command_but_ours(result: CheckResult, form: Format) -> None:
    """What a runner of GitHub's Actions takes for a command is only what the check says; nothing moves a cursor."""
    lines = rendered(result, form).split("\n")
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert [line for line in lines if "##[" in line or "\x1b" in line or "\r" in line or "\u202e" in line] == []
    if form is Format.TEXT:
        assert commands == []
        return
    assert len(commands) == len([line for line in lines if line])
    properties = [re.match(r"::(error|warning|notice) ([^:]*)::", line) for line in commands]
    assert all(properties)
    named = {part.split("=")[0] for found in properties if found for part in found[2].split(",")}
    assert named <= {"title", "file", "line"}


def test_junit_is_what_ci_services_read(result: CheckResult) -> None:
    """The schema that Jenkins publishes takes it; the failure is counted, and its words are there."""
    xml = rendered(result, Format.JUNIT)
    xmlschema.XMLSchema(Path(__file__).parent / "junit-10.xsd").validate(xml)
    (suite,) = ET.fromstring(xml)
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "2", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "fail"
    assert str(failure.get("message")).startswith("fail: accuracy: 100.0 % -> 0.0 %")


def test_a_program_reads_what_was_written(result: CheckResult) -> None:
    """In JSON every text is whole, and as it was."""
    document = json.loads(rendered(result, Format.JSON))
    (app,) = document["apps"]
    (variant,) = app["variants"]
    worst = variant["judged"][0]["worst_cases"]
    assert (document["format"], document["outcome"], len(worst)) == (1, "fail", 5)
    assert worst[0]["head"]["answer"] == HOSTILE
    assert app["golden_set"]["removed"] == [f"0 {HOSTILE[:150]}"]


def test_a_comment_fits_however_much_there_is(result: CheckResult) -> None:
    """With hundreds of apps and long answers it is shortened: answers first, then what changed, then apps."""
    (app,) = result.apps
    for count in (1, 20, 400):
        many = CheckResult(result.base, result.head, (app,) * count)
        comment = rendered(many, Format.MARKDOWN)
        assert len(comment) <= LONGEST_COMMENT
        assert "softlaunch check: fail" in comment
        assert as_github_shows(comment).tags["h1"] == 0
