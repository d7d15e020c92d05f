"""The description beside an export's models, `rnnzoo.json`: read, and held against the files."""

import hashlib
import json
import re
from pathlib import Path

from rnnzoo import _signatures, tasks
from rnnzoo.bounded import JSON_BYTES, from_json, regular
from rnnzoo.errors import InputError

# The file's name, and the version of how what is in it is laid out.
FILE, LAYOUT = "rnnzoo.json", 1
BYTES = 2**32  # of a file at the most
# What a description must hold, and of what kind its parts are.
NEEDED = ("preset", "format", "task", "task_options", "input", "answer", "decoding")
KINDS = dict.fromkeys(("preset", "format", "task"), str) | {"files": dict, "models": dict}
KINDS |= {"task_options": dict, "input": dict, "answer": dict}
# Steps, and token ids, of decoding.
LONGEST = 10**6
_INSIDE = re.compile(r"[^/\\:\x00-\x1f][^\\:\x00-\x1f]*")


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
        description = from_json(regular(path, JSON_BYTES))
    except FileNotFoundError:
        raise InputError(f"{folder}: holds no {FILE}; expected a folder that `rnnzoo export` wrote") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path}: is no JSON: it is truncated or was altered; export again") from None
    if not isinstance(description, dict) or description.get("sha256") != digest(description):
        raise InputError(f"{path}: the checksum in it is not its own: it is truncated or was altered; export again")
    check_layout(description, path, ("files",))
    for name, file in description["files"].items():
        try:
            data = regular(folder / name, BYTES)
        except OSError as error:
            raise InputError(f"{folder / name}: cannot be read: {error.strerror}; export again") from None
        except ValueError as error:
            raise InputError(f"{folder / name}: {error}; export again") from None
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise InputError(
                f"{folder / name}: the checksum is not the one in {FILE}: it is truncated or was altered; export again"
            )
    return description


def check_layout(description, where, more=()):
    """Refuses a description whose parts are not of the kinds that they should be, or that names files beyond its folder.

    Args:
        description: it.
        where: what it is of, in messages.
        more: names of parts that it must have beside `NEEDED`: one that stands in a model's own file names no files.

    Raises:
        InputError: it is so; it says which part.
    """
    wrong = next((name for name, kind in KINDS.items() if not isinstance(description.get(name, kind()), kind)), None)
    wrong = wrong or next((name for name in (*NEEDED, *more) if name not in description), None)
    wrong = wrong or (None if _decodes(description["decoding"]) else "decoding")
    if wrong is None:
        files = description.get("files", {})
        models = description.get("models", {}).values()
        told = [*files, *(model.get("file") if isinstance(model, dict) else None for model in models)]
        inside = all(isinstance(name, str) and _INSIDE.fullmatch(name) and ".." not in name.split("/") for name in told)
        summed = all(isinstance(file, dict) and isinstance(file.get("sha256"), str) for file in files.values())
        wrong = None if inside and summed else "files"
    if wrong is not None:
        raise InputError(f"{where}: its part '{wrong}' is not what rnnzoo writes: it was altered; export again")


def _decodes(decoding):
    """Whether it is what a description says of decoding: nothing, or what is fed first, and when it ends."""
    if decoding is None:
        return True
    if not isinstance(decoding, dict) or not isinstance(decoding.get("end_token", ""), int | None):
        return False
    numbers = (decoding.get("start_token"), decoding.get("max_length"))
    return all(type(number) is int and 0 <= number <= LONGEST for number in numbers)


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
        task = tasks.create(name, **options) if _takes(name, options) else None
        if task is not None and (names := task.learns or task.learns_own):
            told = {**description["input"], **description["answer"]}
            task.recall({name: told[name] for name in names})
        found = json.loads(json.dumps([task.input.describe(), task.answer.describe()]))
    except (ImportError, AttributeError, TypeError, LookupError, ValueError, OverflowError):
        found = None
    if found != [description["input"], description["answer"]]:
        raise InputError(f"{where}: {by}, whose task '{name}' this version has not, or has otherwise; export again")
    return task


def _takes(name, options):
    """Whether there is a task of that name, and it takes options of such types."""
    if name not in _signatures.modules("tasks"):
        return False
    known = _signatures.task_arguments(name)
    right = {int: (int,), float: (int, float)}
    return all(key in known and type(value) in right.get(known[key][0], (known[key][0],)) for key, value in options.items())


def _tuples(value):
    """Lists of JSON as the tuples that tasks are given."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
