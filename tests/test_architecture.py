"""What holds the project together: who may import whom, and what lies where."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("softlaunch", "tasks", "flows", "deployments")
FOLDERS = {*LAYERS, "docs", "runbooks", "tests", "benchmarks", "examples", ".ci"}


def _sources() -> Iterator[Path]:
    for layer in LAYERS:
        yield from sorted((ROOT / layer).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, path.relative_to(ROOT).parts[0] if node.level else (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and _imports_by_name(node):
            argument = node.args[0]
            text = argument.values[0] if isinstance(argument, ast.JoinedStr) and argument.values else argument
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield node.lineno, text.value.split(".")[0]


def _imports_by_name(node: ast.Call) -> bool:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in {"import_module", "__import__"} and bool(node.args)


def _found(*forbidden: str, below: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {package}"
        for path in _sources()
        if path.relative_to(ROOT).parts[0] == below
        for line, package in _imports(path)
        if package in forbidden
    ]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    """Deployments -> flows -> tasks -> softlaunch, also inside functions; nothing imports the tests."""
    above = LAYERS[LAYERS.index(layer) + 1 :]
    assert _found(*above, "tests", "benchmarks", below=layer) == []


def test_the_domain_is_free_of_prefect() -> None:
    """The library works, and a rollback works, where Prefect isn't even installed."""
    assert _found("prefect", below="softlaunch") == []


@pytest.mark.long
@pytest.mark.parametrize("module", ["deployments.cli.main", "softlaunch.store.migrate", "softlaunch.registry.apps"])
def test_starting_does_not_load_prefect(module: str) -> None:
    """The command line and the ledger come up without waiting for Prefect's two seconds of imports."""
    loaded = f"import sys, {module}; getattr({module}, 'build', bool)(); print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.mark.long
def test_comparing_recorded_outputs_loads_neither_a_database_nor_a_client() -> None:
    """A comparison in somebody's CI begins at once, and these take longer to load than most comparisons."""
    loaded = "import sys, deployments.cli.eval; print({'sqlalchemy', 'aiohttp', 'prefect', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


def test_every_flow_fails_in_plain_words() -> None:
    """What a person can mend ends a run with the error's own words, whichever flow it is."""
    flows = [
        (function.name, [ast.unparse(decorator).partition("(")[0] for decorator in function.decorator_list])
        for path in sorted((ROOT / "flows").glob("*.py"))
        for function in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(function, ast.FunctionDef) and function.decorator_list
    ]
    assert len(flows) >= 9
    assert [name for name, decorators in flows if decorators != ["flow", "told_plainly"]] == []


def test_every_package_says_what_it_is_for() -> None:
    """Each folder with modules is described in the docstring of its __init__.py."""
    folders = sorted({path.parent for path in _sources() if "versions" not in path.parts})
    assert [str(folder.relative_to(ROOT)) for folder in folders if not _description(folder)] == []


def _description(folder: Path) -> str | None:
    path = folder / "__init__.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None


def test_top_level_folders() -> None:
    """Nothing lies beside the folders that CONTRIBUTING explains."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of what belongs to it")
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert folders <= FOLDERS
