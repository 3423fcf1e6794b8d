"""What holds the project together: who may import whom, and what lies where."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

from tests.support.paths import ROOT

LAYERS = (
    *("core", "integrations", "metrics", "policy", "store", "ledger", "catalog", "gates", "telemetry", "gateway"),
    "client",
    *("evals", "shadow", "live", "forecast", "releases", "approvals", "ab", "drift", "retention", "notify", "reports"),
    *("pull_requests", "simulator", "wiring", "installation", "tasks", "flows", "inbound", "pytest_plugin", "console"),
    "cli",
)
"""What lies below `softlaunch/`, from the bottom to the top: a part imports only what stands before it."""

FOLDERS = {"softlaunch", "flows", "tasks", "deployments", "runbooks", "tests", "benchmarks", "docs", "examples", ".ci"}


PREFECT = ("softlaunch.flows", "softlaunch.tasks", "softlaunch.installation", "softlaunch.cli")
"""The parts that may know of Prefect."""


def _modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; `flows` and `tasks` lie at the top of the repository."""
    found = {}
    for folder in ("softlaunch", "flows", "tasks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT).with_suffix("").parts
            parts = inside if folder == "softlaunch" else ("softlaunch", *inside)
            found[".".join(parts).removesuffix(".__init__")] = path
    return {name: path for name, path in found.items() if "versions" not in path.parts}


MODULES = _modules()


@cache
def _imports(module: str) -> tuple[tuple[int, str], ...]:
    """Line and full name of every import, wherever in the file it stands."""
    found = []
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno} imports relatively; name the whole path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node.lineno, name if name in MODULES else str(node.module)) for name in names]
        elif isinstance(node, ast.Call) and _imports_by_name(node):
            argument = node.args[0]
            text = argument.values[0] if isinstance(argument, ast.JoinedStr) and argument.values else argument
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found.append((node.lineno, text.value.rstrip(".")))
    return tuple(found)


def _imports_by_name(node: ast.Call) -> bool:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in {"import_module", "__import__"} and bool(node.args)


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_part_has_its_place() -> None:
    """What lies below softlaunch/ is what the list of layers names."""
    assert {_part(module) for module in MODULES} - {""} == {*LAYERS}


def test_imports_go_one_way() -> None:
    """A part imports only parts below it, also inside functions; nothing imports the tests."""
    climbing = [
        f"{module}:{line} imports {name}"
        for module in MODULES
        for line, name in _imports(module)
        if name.split(".")[0] in {"tests", "benchmarks", "flows", "tasks", "deployments"}
        or (name.split(".")[0] == "softlaunch" and _part(module) and _rank(name) > _rank(module))
    ]
    assert climbing == []


def _rank(module: str) -> int:
    return LAYERS.index(_part(module)) if _part(module) else -1


def _packages() -> list[str]:
    return sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


@pytest.mark.parametrize("package", _packages())
def test_no_package_has_a_circle(package: str) -> None:
    """The children of a package, modules and packages alike, import each other in one direction."""
    depth = package.count(".") + 1
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        if module.startswith(f"{package}."):
            child = ".".join(module.split(".")[: depth + 1])
            found = {name for _, name in _imports(module) if name.startswith(f"{package}.")}
            targets = {".".join(name.split(".")[: depth + 1]) for name in found}
            graph.setdefault(child, set()).update(targets - {child})
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_domain_is_free_of_prefect() -> None:
    """The library works, and a rollback works, where Prefect isn't even installed."""
    found = [
        f"{module}:{line}"
        for module in MODULES
        for line, name in _imports(module)
        if name.split(".")[0] == "prefect" and not module.startswith(PREFECT)
    ]
    assert found == []


LIGHT = ("errors", "private_files", "request_ids", "request_outcome", "split", "usage")
"""The modules of `core` that load the standard library alone."""
OF_PACKAGES = ("openai", "anthropic", "methods", "wrapping", "streams", "otlp", "openfeature")
"""The modules of the client that stand beside a package which brings far more than they load of ours."""


def test_the_client_loads_little() -> None:
    """What an application imports loads the standard library and a few light modules of ours."""
    loaded = "import sys, softlaunch.client; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, cwd=ROOT)
    modules = done.stdout.split()
    ours = {name for name in modules if name.split(".")[0] == "softlaunch"}
    assert ours <= {
        *("softlaunch", "softlaunch.core", *(f"softlaunch.core.{name}" for name in LIGHT)),
        *(name for name in MODULES if _part(name) == "client" and name.rpartition(".")[2] not in OF_PACKAGES),
    }
    assert {name.split(".")[0] for name in modules} <= {*sys.stdlib_module_names, "softlaunch", *_BARE}


_BARE = {
    name.split(".")[0]
    for name in subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
}
"""What a bare Python of this environment loads: hooks of what is installed in it."""


@pytest.mark.long
@pytest.mark.parametrize("module", ["softlaunch.cli.main", "softlaunch.store.migrate", "softlaunch.catalog.apps"])
def test_starting_does_not_load_prefect(module: str) -> None:
    """The command line and the ledger come up without waiting for Prefect's two seconds of imports."""
    loaded = f"import sys, {module}; getattr({module}, 'build', bool)(); print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.mark.long
def test_comparing_recorded_outputs_loads_neither_a_database_nor_a_client() -> None:
    """A comparison in somebody's CI begins at once, and these take longer to load than most comparisons."""
    loaded = "import sys, softlaunch.cli.eval; print({'sqlalchemy', 'aiohttp', 'prefect', 'pandas'} & {*sys.modules})"
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
    assert [name for name, decorators in flows if decorators != ["flow", "fail_with_message"]] == []


MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_PARAMETERS = 350, 40, 6


def test_no_module_is_too_long() -> None:
    """A module that grows past this holds two concerns; half of all modules are much shorter."""
    lines = {module: path.read_text(encoding="utf-8").count("\n") for module, path in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > MOST_LINES} == {}
    assert median(count for module, count in lines.items() if MODULES[module].name != "__init__.py") >= 100


def test_no_function_is_too_long_or_asks_for_too_much() -> None:
    """A function does one thing, with few parameters; options of a command are parameters, so those don't count."""
    too_long, asks_too_much = [], []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if (node.end_lineno or node.lineno) - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION:
                too_long.append(f"{module}.{node.name}")
            if len(_parameters(node)) > MOST_PARAMETERS and _part(module) != "cli":
                asks_too_much.append(f"{module}.{node.name}")
    assert (too_long, asks_too_much) == ([], [])


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    named = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in named if name not in {"self", "cls"}]


def test_every_package_says_what_it_is_for() -> None:
    """Each folder with modules is described in the docstring of its __init__.py."""
    folders = sorted({path.parent for path in MODULES.values()})
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


def _stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]
