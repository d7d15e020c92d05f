"""The description beside an export's models, `rnnzoo.json`: read, and held against the files."""

import hashlib
import json
from pathlib import Path

from rnnzoo import tasks
from rnnzoo.errors import InputError

# The file's name, and the version of how what is in it is laid out.
FILE, LAYOUT = "rnnzoo.json", 1


def digest(description):
    """The sha256 of a description, its own entry `sha256` left out."""
    rest = {key: value for key, value in description.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def read(folder, place="."):
    """The description of an export's folder, whose files are all there and as they were written.

    Args:
        folder: a `pathlib.Path`, or its name.
        place: the folder of the description, in it.

    Raises:
        InputError: it is no such folder, or it is truncated or altered; it says which file.
    """
    folder = Path(folder)
    path = folder / place / FILE
    try:
        description = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder}: holds no {FILE}; expected a folder that `rnnzoo export` wrote") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path}: is no JSON: it is truncated or was altered; export again") from None
    if not isinstance(description, dict) or description.get("sha256") != digest(description):
        raise InputError(f"{path}: the checksum in it is not its own: it is truncated or was altered; export again")
    for name, file in description["files"].items():
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise InputError(f"{folder / name}: cannot be read: {error.strerror}; export again") from None
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise InputError(
                f"{folder / name}: the checksum is not the one in {FILE}: it is truncated or was altered; export again"
            )
    return description


def task_of(description, where):
    """The task that a description tells of.

    Raises:
        InputError: this version of rnnzoo has no such task, or one with another front or back.
    """
    by = f"it was exported by rnnzoo {description.get('rnnzoo_version')}"
    if description.get("layout") != LAYOUT:
        raise InputError(f"{where}: {by}, in a layout that this version does not know; export again")
    name, options = description["task"], {key: _tuples(value) for key, value in description["task_options"].items()}
    try:
        task = tasks.create(name, **options) if name.isidentifier() else None
        if task is not None and task.learns:
            told = {**description["input"], **description["answer"]}
            task.recall({name: told[name] for name in task.learns})
        found = json.loads(json.dumps([task.input.describe(), task.answer.describe()]))
    except (ImportError, AttributeError, TypeError, KeyError, InputError):
        found = None
    if found != [description["input"], description["answer"]]:
        raise InputError(f"{where}: {by}, whose task '{name}' this version has not, or has otherwise; export again")
    return task


def _tuples(value):
    """Lists of JSON as the tuples that tasks are given."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
