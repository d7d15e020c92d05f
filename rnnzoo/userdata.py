"""A user's own examples, from files in the usual formats: CSV, TSV, JSONL, shards, and what a task reads besides."""

import csv
import glob
import json
import stat
from pathlib import Path
from typing import NamedTuple

from rnnzoo import shards
from rnnzoo.bounded import from_json
from rnnzoo.errors import InputError
from rnnzoo.files import matching
from rnnzoo.tasks._task import Examples

# What a column of a header, or a key of an object, may be called beside the task's own name of it.
INPUTS = ("input", "text", "sentence", "x", "source", "name")
ANSWERS = ("answer", "label", "y", "target", "class", "category")
# Kinds of answers that are one value each: of JSON, text, a number or `true`, and no list.
SINGLE = ("label", "text", "number", "real")
TOO_MANY = 3  # lines that are wrong are told of one by one up to so many


class Read(NamedTuple):
    """What a file holds.

    Attributes:
        examples: the `Examples`.
        skipped: a line of text for each row that is wrong: where it is, and what is wrong.
    """

    examples: Examples
    skipped: list

    def notices(self):
        """Lines that say what was skipped: how much, and the first of it."""
        if not self.skipped:
            return []
        count, total = len(self.skipped), len(self.skipped) + len(self.examples.inputs)
        more = [f"and {count - TOO_MANY:,} more"] if count > TOO_MANY else []
        return [f"{count:,} of {total:,} examples were skipped:", *self.skipped[:TOO_MANY], *more]


class Row(NamedTuple):
    """One example of a file as it stands there: text, or what JSON has; or what is wrong with it."""

    where: str
    input: object = None
    answer: object = None
    error: str | None = None


def read(source, task):
    """The examples of a file. Fields of CSV and TSV are text: leading zeros are kept.

    A folder or a pattern (`parts/*.csv`) is all of its files, in the order of their names, unless the task reads folders. By
    its ending a file is TSV (`.tsv`, `.tab`) without quotes, JSONL (`.jsonl`, `.ndjson`), an object or a pair a line, a
    shard (`.tfrecord`; see `rnnzoo.shards`), or what the task reads (see `Task.rows`); any other is CSV. CSV and TSV have
    two columns, the input and the answer; or a header, by which the two are found wherever they stand: its names are the
    task's own, one of `INPUTS` and one of `ANSWERS`, or those that `source.columns` says.

    Args:
        source: the `Source` (see `rnnzoo.registry`).
        task: the task that says what an input and an answer are.

    Returns:
        A `Read`; nothing is skipped unless `source.skip_bad`.

    Raises:
        InputError: the file is missing, empty or no text, or a row is wrong; it names the file and the line.
    """
    inputs, answers, skipped = [], [], []
    for given, answer in each(source, files_of(source.path, task), task, skipped.append):
        inputs.append(given)
        answers.append(answer)
    if not inputs:
        raise nothing_in(source.path, task, skipped)
    return Read(Examples(inputs, answers), skipped)


def nothing_in(path, task, skipped):
    """The `InputError` of data without a row that is right."""
    what = f"nothing but bad lines, the first: {skipped[0]}" if skipped else "empty"
    return InputError(f"{path}: {what}; expected lines of `{task.input.name},{task.answer.name}`")


def each(source, files, task, skip):
    """The examples of files one by one, as (input, answer), checked.

    Args:
        source: the `Source` that says how they are read.
        files: their paths.
        task: the task.
        skip: called with a line for each row that is wrong, where `source.skip_bad`.

    Raises:
        InputError: as for `read`.
    """
    for path in files:
        try:
            # A pipe would be waited for, and a device has no end.
            if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
                raise InputError(f"{path}: neither a file nor a folder")
            for row in _rows(path, source.columns, task):
                try:
                    if row.error:
                        raise InputError(row.error)
                    if row.input is None:
                        raise InputError(f"`{task.input.name}` is null")
                    given = task.input.check(row.input)
                    answer = task.answer.parse(_answer_of(row.answer, task.answer))
                    if task.answer.per_timestep and not task.answer.generated:
                        _same_length(task.input.steps(given), len(answer))
                except InputError as error:
                    if not source.skip_bad:
                        raise InputError(f"{row.where}: {error}") from None
                    skip(f"{row.where}: {error}")
                    continue
                yield given, answer
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from None


def files_of(path, task, check=True):
    """The files that a path is: itself, those of a folder of shards, of another folder, or those that a pattern matches.

    Shards are held against their checksums, unless `check` is `False`.

    Raises:
        InputError: there are none, or shards are not what was packed.
    """
    path = Path(path)
    if path.is_dir():
        if (path / shards.MANIFEST).is_file():
            return shards.check(path) if check else [path / one["file"] for one in shards.read_manifest(path)["shards"]]
        if task.folders:
            return [path]
        found = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        if not found:
            raise InputError(f"{path}: no file in it; expected files of `{task.input.name},{task.answer.name}`")
        return found
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = matching(path)
    if not found:
        raise InputError(f"{path}: no file matches")
    return found


def _rows(path, columns, task):
    """The `Row`s of a file in the format that its ending says."""
    if path.suffix.lower() == shards.SUFFIX:
        yield from (Row(*row) for row in shards.rows(path))
        return
    found = task.rows(path)
    if found is not None:
        yield from (Row(*row) for row in found)
        return
    suffix = path.suffix.lower()
    names = ((task.input.name, *INPUTS), (task.answer.name, *ANSWERS))
    if suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(path, columns, names)
    else:
        yield from _table(path, suffix in (".tsv", ".tab"), columns, names)


def _table(path, tabs, columns, names):
    """The rows of a CSV or TSV file."""
    how = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    places = None
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, **how)
        try:
            for row in reader:
                if not row:
                    continue
                where = f"{path}, line {reader.line_num}"
                if places is None:
                    places, width = _places(row, columns, names, where), len(row)
                    if places is not None:
                        continue  # the header
                    places, width = (0, 1), 2
                if len(row) != width:
                    expected = f"2, `{names[0][0]},{names[1][0]}`" if width == 2 else f"{width}, as the header has"
                    fields = f"{len(row)} field" + ("" if len(row) == 1 else "s")
                    yield Row(where, error=f"{fields}; expected {expected}")
                    continue
                yield Row(where, *(row[place].strip() for place in places))
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from None


def _places(first, columns, names, where):
    """Which columns the input and the answer are, if the first row is a header, else `None`."""
    cells = [cell.strip() for cell in first]
    if columns is not None:
        for name in columns:
            if cells.count(name) != 1:
                raise InputError(f"{where}: no header with one column '{name}'; there are {', '.join(map(repr, cells))}")
        return tuple(map(cells.index, columns))
    found = [[i for i, cell in enumerate(cells) if cell.lower() in known] for known in names]
    if not all(found):
        return None
    if any(len(places) > 1 for places in found):
        raise InputError(f"{where}: more than one column may be the input or the answer; give columns: INPUT,ANSWER")
    return found[0][0], found[1][0]


def _json_lines(path, columns, names):
    """The rows of a JSONL file."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                value = from_json(line)
            except ValueError as error:
                yield Row(where, error=f"no JSON: {error}")
                continue
            if isinstance(value, list) and len(value) == 2 and columns is None:
                yield Row(where, *value)
                continue
            keys = _keys(value, columns, names) if isinstance(value, dict) else None
            if keys is None:
                wanted = columns or tuple(known[0] for known in names)
                expected = f'{{"{wanted[0]}": ..., "{wanted[1]}": ...}}' + ("" if columns else " or a pair")
                yield Row(where, error=f"expected {expected}")
            else:
                yield Row(where, *(value[key] for key in keys))


def _keys(value, columns, names):
    """Which keys of an object the input and the answer are, or `None` where that cannot be told."""
    found = [[key] for key in columns] if columns else [[key for key in known if key in value] for known in names]
    if not all(keys and keys[0] in value for keys in found):
        return None
    return [keys[0] for keys in found]


def _answer_of(value, answer):
    """An answer as it stands in a file, as text.

    Raises:
        InputError: it is, or has in it, null or an object; or it is a list where an answer is one value.
    """
    if isinstance(value, str):
        return value
    if value is None or any(one is None for one in _within(value)):
        raise InputError(f"`{answer.name}` " + ("is null" if value is None else "has null in it"))
    if any(isinstance(one, dict) for one in _within(value)):
        raise InputError(f"`{answer.name}` is an object; expected text or a number")
    if isinstance(value, list) and answer.kind in SINGLE:
        raise InputError(f"`{answer.name}` is a list; expected text or a number")
    return text_of(value)


def _within(value):
    """A value that JSON has, and where it is a list what is in it, and in lists in that."""
    yield value
    for one in value if isinstance(value, list) else ():
        yield from _within(one)


def text_of(value):
    """An answer as the text that a CSV has of it: a number in digits, a list with spaces, one of lists with colons."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return " ".join(":".join(map(text_of, one)) if isinstance(one, (list, tuple)) else text_of(one) for one in value)
    return json.dumps(value)


def _same_length(timesteps, answers):
    if timesteps != answers:
        raise InputError(f"{answers} answers for {timesteps} timesteps; expected one for each")
