"""`softlaunch diff` says what `apply` would do, by its words and by its exit code."""

from pathlib import Path

import orjson

from softlaunch.cli.exits import Exit
from tests.support.app_folder import FILES
from tests.support.commands import Run


def test_the_exit_code_tells_changes_from_none(softlaunch: Run, tmp_path: Path) -> None:
    """As scripts ask: 9 before applying, 0 afterwards, 9 for a policy that was edited."""
    for name, text in FILES.items():
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).write_text(text)
    first = softlaunch("diff", "app", "--no-probe")
    assert first.code == int(Exit.CHANGES) == 9
    assert "app support-bot: new" in first.out
    assert "prompt support@1.1.0: new, after support@1.0.0" in first.out
    assert "{+, briefly+}" in first.out
    assert "softlaunch apply app  do it" in first.out
    assert softlaunch("apply", "app", "--no-probe").code == Exit.OK
    again = softlaunch("diff", "app", "--no-probe")
    assert (again.code, again.err) == (Exit.OK, "")
    assert "Nothing to do: support-bot is up to date in the ledger" in again.out
    assert "nothing has changed since the last time" in softlaunch("apply", "app", "--no-probe").out
    policy = tmp_path / "app" / "softlaunch.yaml"
    policy.write_text(policy.read_text() + "alpha: 0.02\n")
    edited = softlaunch("diff", "app", "--no-probe")
    assert edited.code == Exit.CHANGES
    assert "policy alpha: 0.01 -> 0.02" in edited.out
    document = orjson.loads(softlaunch("diff", "app", "--no-probe", "--json").out)
    change = {"kind": "policy", "name": "alpha", "before": "0.01", "after": "0.02", "parts": []}
    assert document == {"app": "support-bot", "changed": True, "changes": [change], "notes": []}
