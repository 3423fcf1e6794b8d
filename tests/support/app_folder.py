"""A small app on disk, for tests of the catalog and of cleanups."""

from pathlib import Path

import pytest

FILES = {
    "softlaunch.yaml": "app: support-bot\ngolden_set: golden.jsonl\n",
    "golden.jsonl": '{"id": "1", "question": "Open on Sunday?", "expected": "no"}\n',
    "prompts/support/v1.0.0.md": "---\nauthor: ann@example.com\npurpose: first\n---\nYou answer for {{ shop }}.\n",
    "prompts/support/v1.1.0.md": "You answer for {{ shop }}, briefly.\n",
    "models.yaml": """\
- {name: steady, provider: rehearsal, model: steady, endpoint: 'http://127.0.0.1:9/v1'}
- {name: cheap, provider: rehearsal, model: cheap, endpoint: 'http://127.0.0.1:9/v1', input_usd_per_million: 0.1}
""",
    "variants.yaml": """\
stable: current
variants:
  current: {prompt: support@1.0.0, model: steady, sampling: {temperature: 0.2}}
  brief: {prompt: support@1.1.0, model: steady}
""",
}


@pytest.fixture
def app_folder(tmp_path: Path) -> Path:
    """The folder of an app with two prompt versions, two models and two variants."""
    folder = tmp_path / "support-bot"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def here(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder whose ledger is in it."""
    home = tmp_path / ".softlaunch"
    home.mkdir()
    (home / "ledger.db").write_bytes(migrated_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOFTLAUNCH_HOME", str(home))
    monkeypatch.delenv("SOFTLAUNCH_DATABASE_URL", raising=False)
    return tmp_path
