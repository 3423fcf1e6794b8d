"""Prompt versions read from files."""

from datetime import date
from pathlib import Path

import pytest

from softlaunch.catalog.prompt_files import PromptFileError, load_prompt, load_prompts, parse_prompt


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / "prompts" / "support" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _messages(path: Path) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in load_prompt(path).messages]


def test_front_matter_and_body(tmp_path: Path) -> None:
    """Metadata comes from the front matter, name and version from the path, the message from the body."""
    text = (
        "---\nauthor: ann@example.com\ncreated: 2026-03-02\npurpose: first\ndefaults: {shop: Fernwood}\n---\n\n"
        "You answer for {{ shop }}.\n\nBe brief.\n"
    )
    prompt = load_prompt(_write(tmp_path, "v1.4.0.md", text))
    assert (prompt.label, prompt.author, prompt.created) == ("support@1.4.0", "ann@example.com", date(2026, 3, 2))
    assert prompt.render([], {}) == [{"role": "system", "content": "You answer for Fernwood.\n\nBe brief."}]


@pytest.mark.parametrize("rule", ["merge", "keep", "replace"])
def test_what_becomes_of_a_clients_system_messages(tmp_path: Path, rule: str) -> None:
    """The front matter says it; merge is what happens where it doesn't."""
    prompt = load_prompt(_write(tmp_path, "v1.0.0.md", f"---\nsystem: {rule}\n---\nBe kind."))
    assert prompt.system == rule
    assert load_prompt(_write(tmp_path, "v1.1.0.txt", "Be kind.")).system == "merge"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param("Be kind.\n", [("system", "Be kind.")], id="body alone"),
        pytest.param(
            "Be kind.\n\n## user\nHello?\n\n## assistant\nHi!\n",
            [("system", "Be kind."), ("user", "Hello?"), ("assistant", "Hi!")],
            id="an example conversation",
        ),
        pytest.param(
            "## developer\nBe kind.\n## user\nHello?",
            [("developer", "Be kind."), ("user", "Hello?")],
            id="no system",
        ),
        pytest.param(
            "Rules\n\n## Users\n### user\n## user: all\n- one",
            [("system", "Rules\n\n## Users\n### user\n## user: all\n- one")],
            id="headings that are only text",
        ),
        pytest.param("---\nauthor: ann\n---\nA\n---\nB", [("system", "A\n---\nB")], id="a rule in the body"),
        pytest.param("\ufeffBe kind.\r\nAlways.\r\n", [("system", "Be kind.\nAlways.")], id="saved on Windows"),
    ],
)
def test_parts_become_messages(tmp_path: Path, text: str, messages: list[tuple[str, str]]) -> None:
    """Headings that are exactly a role begin a message; everything else is text."""
    path = _write(tmp_path, "v1.0.0.md", "")
    path.write_bytes(text.encode())
    assert _messages(path) == messages


def test_a_text_file_is_one_system_message(tmp_path: Path) -> None:
    """A .txt has no front matter and no parts."""
    path = _write(tmp_path, "v1.0.0.txt", "---\n## user\nBe kind.\n")
    assert _messages(path) == [("system", "---\n## user\nBe kind.")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        pytest.param("1.0.0.md", "x", "isn't named after its version; call it v1.0.0.md", id="no v"),
        pytest.param("v1.0.md", "x", "isn't named after its version", id="two numbers"),
        pytest.param("v1.0.0.md", "---\nauthor: ann\n", "line 1: the front matter has no end", id="open front matter"),
        pytest.param(
            "v1.0.0.md",
            "---\nautor: ann\n---\nx",
            "line 2: autor: unknown key; did you mean 'author'",
            id="typo",
        ),
        pytest.param(
            "v1.0.0.md",
            "---\n\ndefaults:\n  limit: 5\n---\nx",
            "line 4: defaults.limit: found 5, expected a text; put it in quotes",
            id="a default that is no text",
        ),
        pytest.param("v1.0.0.md", "---\na: [\n---\nx", "line 2: this is not valid YAML", id="broken front matter"),
        pytest.param(
            "v1.0.0.md",
            "---\nversion: 1.1.0\n---\nx",
            "line 2: version: found '1.1.0', but the path says '1.0.0'",
            id="another version than the path",
        ),
        pytest.param(
            "v1.0.0.md", "---\nauthor: a\n---\n", "line 3: the system message has no text", id="nothing to say"
        ),
        pytest.param(
            "v1.0.0.md",
            "Hi\n\n## user\n\n## assistant\nYes",
            "line 3: the user message has no text",
            id="empty",
        ),
        pytest.param(
            "v1.0.0.md",
            "---\nauthor: a\n---\nHi\n{{ shop }\n",
            "line 5: the system message is no valid template",
            id="a broken template",
        ),
        pytest.param(
            "v1.0.0.md",
            "---\nauthor: a\ncreated: 2026-02-30\n---\nx",
            "line 3: created: found 2026-02-30, expected a date that exists",
            id="a date that doesn't exist",
        ),
        pytest.param(
            "v1.0.0.md",
            "---\nauthor: a\n---\n\n\nHi\n{{" + "(" * 3000 + "1" + ")" * 3000 + "}}\n",
            "line 7: the system message is no valid template: brackets are nested more than 16 deep",
            id="3,000 brackets",
        ),
        pytest.param(
            "v1.0.0.md",
            "{% for i in range(99999) %}{% for j in range(99999) %}{{ name }}{% endfor %}{% endfor %}",
            "line 1: prompt support@1.0.0 can't be rendered: it takes more than 100,000 steps",
            id="a template that is too heavy whatever it is told",
        ),
        pytest.param("v1.0.0.md", "{{ 'x' * 10 ** 9 }}", "can't be rendered: it makes a value", id="a long text"),
        pytest.param("v1.0.0.md", "x" * (1 << 20) + "y", "it has more than 1 MiB", id="a file that is too long"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    """A prompt file that can't be used is named with its line."""
    with pytest.raises(PromptFileError) as caught:
        load_prompt(_write(tmp_path, name, text))
    assert name in str(caught.value)
    assert said in str(caught.value)


CONFLICT = (
    "---\nauthor: a\ndate: 2026-01-01\npurpose: b\n---\n"
    "Hi.\n<<<<<<< HEAD\nBe kind.\n=======\nBe brief.\n>>>>>>> brief\n"
)


def test_a_new_version_has_no_unresolved_merge_conflict(tmp_path: Path) -> None:
    """What is published with one can still be read, and a prompt about conflicts indents them."""
    path = _write(tmp_path, "v1.0.0.md", CONFLICT)
    with pytest.raises(PromptFileError, match="line 7: a merge conflict is not resolved: choose one side"):
        parse_prompt(path, CONFLICT.encode(), complete=True)
    with pytest.raises(PromptFileError, match="line 7: a merge conflict"):
        parse_prompt(path, CONFLICT.replace("\n", "\r\n").encode(), complete=True)
    assert "<<<<<<< HEAD" in load_prompt(path).messages[0].content
    indented = CONFLICT.replace("<<<<", " <<<<").replace("\n====", "\n ====").replace(">>>>", " >>>>")
    parse_prompt(path, indented.encode(), complete=True)
    parse_prompt(path, b"---\nauthor: a\ndate: 2026-01-01\npurpose: b\n---\nTitle\n=======\nHi.\n", complete=True)


def test_a_folder_of_prompts(tmp_path: Path) -> None:
    """Every version of every prompt is found; notes for people are not prompts."""
    for name in ("v1.0.0.md", "v1.1.0.txt", "README.md"):
        _write(tmp_path, name, "Be kind.")
    assert [one.prompt.label for one in load_prompts(tmp_path / "prompts")] == ["support@1.0.0", "support@1.1.0"]


def test_one_version_in_two_files(tmp_path: Path) -> None:
    """Two files that claim one version are an error, because either could be meant."""
    for name in ("v1.0.0.md", "v1.0.0.txt"):
        _write(tmp_path, name, "Be kind.")
    with pytest.raises(PromptFileError, match=r"support@1\.0\.0 has two files"):
        load_prompts(tmp_path / "prompts")


@pytest.mark.parametrize("made", [False, True], ids=["no folder", "an empty folder"])
def test_no_prompts_at_all(tmp_path: Path, made: bool) -> None:  # noqa: FBT001  (a parameter case)
    """An app without prompts is told where to write one."""
    if made:
        (tmp_path / "prompts").mkdir()
    with pytest.raises(PromptFileError, match=r"prompts/<name>/v1\.0\.0\.md"):
        load_prompts(tmp_path / "prompts")
