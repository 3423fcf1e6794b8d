"""What changed between two texts, word by word."""

from hypothesis import given
from hypothesis import strategies as st

from softlaunch.catalog.prompt_changes import diff_prompts
from softlaunch.core.variant import PromptMessage, PromptVersion
from softlaunch.core.word_diff import Op, Piece, diff_words


def _prompt(version: str, *texts: str, **extra: str) -> PromptVersion:
    messages = tuple(PromptMessage(role="system", content=text) for text in texts)
    return PromptVersion.model_validate({"name": "support", "version": version, "messages": messages, **extra})


def test_words_not_characters() -> None:
    """A changed word is shown whole."""
    pieces = diff_words("Answer in two sentences.", "Answer in at most two sentences.")
    assert [piece for piece in pieces if piece.op is not Op.SAME] == [Piece(Op.ADDED, "at most ")]
    assert Piece(Op.REMOVED, "shortly") in diff_words("Answer shortly.", "Answer briefly.")


@given(st.text(max_size=60), st.text(max_size=60))
def test_both_texts_can_be_read_off(before: str, after: str) -> None:
    """Without what was added the pieces are the old text, without what was removed the new one."""
    pieces = diff_words(before, after)
    assert "".join(piece.text for piece in pieces if piece.op is not Op.ADDED) == before
    assert "".join(piece.text for piece in pieces if piece.op is not Op.REMOVED) == after


def test_parts_that_did_not_change_are_left_out() -> None:
    """Only what differs is shown: messages by number and role, then metadata."""
    before = _prompt("1.0.0", "Rules.", "Be kind.", author="ann", purpose="first")
    after = _prompt("1.1.0", "Rules.", "Be brief.", "One more.", author="ann", purpose="shorter")
    assert [part.part for part in diff_prompts(before, after)] == [
        "message 2 (system)",
        "message 3 (system)",
        "purpose",
    ]
    assert diff_prompts(before, before) == ()
