"""What the factories and tasks take, read off their source: a preset is checked without importing TensorFlow."""

import ast
import functools
from pathlib import Path

PACKAGE = Path(__file__).parent
_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "tuple": tuple, "None": None}


def modules(package):
    """The public modules of `rnnzoo/PACKAGE`, in order."""
    return sorted(path.stem for path in (PACKAGE / package).glob("*.py") if not path.stem.startswith("_"))


@functools.cache
def factory_arguments(architecture):
    """The keyword arguments of a factory: a dict of name -> (type, default, whether there is a default)."""
    return _arguments(_find(f"architectures/{architecture}.py", ast.FunctionDef, architecture).args)


@functools.cache
def task_arguments(task):
    """The same of a task's constructor."""
    found = _constructor(PACKAGE / f"tasks/{task}.py", task.title().replace("_", ""))
    return _arguments(found.args) if found else {}


@functools.cache
def task_metric(task):
    """The name of the metric that a task counts right answers by."""
    return _found_in(PACKAGE / f"tasks/{task}.py", task.title().replace("_", ""), _metric)


def _metric(node):
    named = isinstance(node, ast.Assign) and [target.id for target in node.targets if isinstance(target, ast.Name)]
    return ast.literal_eval(node.value) if named == ["metric"] else None


def _constructor(path, name):
    """The `__init__` of a class, looked up along its first base as Python would."""
    return _found_in(path, name, lambda node: node if getattr(node, "name", None) == "__init__" else None)


def _found_in(path, name, find):
    """What a function finds in one of the statements of a class, looked up along its first base as Python would."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    cls = _node(tree, ast.ClassDef, name)
    for node in cls.body:
        found = find(node)
        if found is not None:
            return found
    for base in cls.bases:
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == base.id:
                return _found_in(path, base.id, find)
            if isinstance(node, ast.ImportFrom) and base.id in {alias.name for alias in node.names}:
                return _found_in(PACKAGE / Path(*node.module.split(".")[1:]).with_suffix(".py"), base.id, find)
    return None


def _find(path, kind, name):
    return _node(ast.parse((PACKAGE / path).read_text(encoding="utf-8")), kind, name)


def _node(tree, kind, name):
    return next(node for node in tree.body if isinstance(node, kind) and node.name == name)


def _arguments(args):
    found = {}
    positional = [arg for arg in args.args if arg.arg != "self"]
    missing = [None] * (len(positional) - len(args.defaults))
    pairs = [
        *zip(positional, [*missing, *args.defaults], strict=True),
        *zip(args.kwonlyargs, args.kw_defaults, strict=True),
    ]
    for arg, default in pairs:
        annotation = eval(ast.unparse(arg.annotation), {"__builtins__": {}}, _TYPES)
        found[arg.arg] = (annotation, None if default is None else ast.literal_eval(default), default is not None)
    return found
