"""Imports go down only, and nothing below the command line prints."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "archives": -1,
    "bounded": -1,
    "errors": -1,
    "_signatures": -1,
    "_layout": -1,
    "_buckets": 3,
    "_figure": 3,
    "fitting": 3,
    "toml": -1,
    "files": -1,
    "texts": -1,
    "data": -1,
    "locking": -1,
    "meeting": -1,
    "layers": 0,
    "losses": 0,
    "architectures": 1,
    "tasks": 1,
    "registry": 2,
    "runs": 2,
    "stopping": -1,
    "checkpoints": 3,
    "distributing": 3,
    "rounding": 3,
    "decoding": 3,
    "stepping": 3,
    "streaming": 3,
    "building": 3,
    "sampling": 3,
    "serving": 3,
    "epochs": 3,
    "carrying": 3,
    "shards": 3,
    "streamed": 3,
    "tables": 3,
    "userdata": 3,
    "drawing": 3,
    "strangers": 3,
    "piano_roll": 3,
    "cards": 4,
    "curves": 4,
    "answering": 3,
    "predicting": 4,
    "running": 4,
    "verifying": 4,
    "evaluating": 4,
    "packing": 4,
    "likelihood": 4,
    "generating": 4,
    "composing": 4,
    "exporting": 4,
    "explaining": 4,
    "recipes": 4,
    "results": 4,
    "training": 4,
    "sweeping": 4,
    "cli": 5,
}
ALLOWED = {  # what a floor may import from outside rnnzoo and the standard library
    -1: set(),
    0: {"keras", "tensorflow", "numpy"},
    1: {"keras", "tensorflow", "numpy", "PIL", "mido", "sacrebleu", "scipy"},
    2: {"pydantic"},
    3: {"keras", "tensorflow", "numpy", "matplotlib", "h5py"},
    4: {
        "keras",
        "tensorflow",
        "numpy",
        "matplotlib",
        "onnx",
        "onnxruntime",
        "ai_edge_litert",
        "optuna",
        "sklearn",
        "sqlalchemy",
        "psycopg2",
    },
    5: {"click", "rich"},
}
SOURCES = [
    *(path for path in sorted((ROOT / "rnnzoo").rglob("*.py")) if path.parent.name != "presets"),
    *sorted((ROOT / "cli").glob("*.py")),
]


def floor_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return FLOORS["cli" if parts[0] == "cli" else parts[1]]


def imports(path, top_only=False):
    """(module, names) of every import; names are what is imported from it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module, [alias.name for alias in node.names]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    if path == ROOT / "rnnzoo" / "__init__.py":
        return
    floor = floor_of(path)
    for module, names in imports(path):
        package, *rest = module.split(".")
        if package == "rnnzoo":
            # `import rnnzoo` reads the version and, from the command line, calls public names.
            for name in [rest[0]] if rest else [name for name in names if name in FLOORS]:
                assert FLOORS[name] <= floor, f"floor {floor} imports {module} of floor {FLOORS[name]}"
                if floor == 1 and name in ("tasks", "architectures"):
                    assert name == path.parent.name, f"{path.parent.name} imports {module}"
        elif package not in sys.stdlib_module_names:
            assert package in ALLOWED[floor], f"floor {floor} imports {package}"


@pytest.mark.parametrize("path", sorted((ROOT / "rnnzoo" / "architectures").glob("[a-z]*.py")), ids=lambda p: p.stem)
def test_architectures_do_not_import_each_other(path):
    for module, _ in imports(path):
        assert not module.startswith("rnnzoo.architectures") or module == "rnnzoo.architectures._parts"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_command_line_prints_or_exits(path):
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "exit", "quit", "input", "breakpoint"}


@pytest.mark.parametrize("path", sorted((ROOT / "cli").glob("*.py")), ids=lambda p: p.stem)
def test_commands_import_nothing_heavy_at_the_top(path):
    heavy = {"keras", "tensorflow", "numpy", "matplotlib"}
    light = {"errors", "files", "meeting", "registry", "runs"}
    light = {"rnnzoo", *(f"rnnzoo.{name}" for name in light)}
    for module, _ in imports(path, top_only=True):
        assert module.split(".")[0] not in heavy
        assert not module.startswith("rnnzoo") or module in light or module.startswith("rnnzoo.cli._")


@pytest.mark.parametrize(
    "code",
    [
        "import rnnzoo; dir(rnnzoo)",
        "from rnnzoo.cli.main import cli; cli(['--help'], standalone_mode=False)",
        "from rnnzoo.cli.main import cli; cli(['list'], standalone_mode=False)",
        "import rnnzoo; rnnzoo.load_preset('digit-sum', ['model.units=2'])",
        "import rnnzoo.running; rnnzoo.running.Runner",
        "import rnnzoo; rnnzoo.sweep",
        "import rnnzoo; from rnnzoo import tasks; [tasks.create(p.task, **p.task_options).input.describe()"
        " for p in map(rnnzoo.load_preset, rnnzoo.list_presets())]",
    ],
)
def test_tensorflow_stays_out(code):
    check = "import sys; assert not {'tensorflow', 'keras'} & set(sys.modules), 'TensorFlow was imported'"
    result = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_starts_in_under_half_a_second(arguments):
    def seconds():
        # Of the processor: what else the machine does must not count.
        begin = os.times()
        subprocess.run([sys.executable, "-m", "rnnzoo.cli.main", *arguments], check=True, stdout=subprocess.DEVNULL)
        end = os.times()
        return end.children_user + end.children_system - begin.children_user - begin.children_system

    # The best of several: a cold cache can only slow it down.
    assert min(seconds() for _ in range(5)) < 0.5


def test_no_start_up_chatter():
    code = "import rnnzoo; rnnzoo.build('digit-sum')(__import__('numpy').ones((1, 3), int))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stderr == "" and result.stdout == ""
