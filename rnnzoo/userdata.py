"""A user's own examples, from files in the usual formats: CSV, TSV, JSONL, and what a task reads besides."""

import csv
import json
import stat
from pathlib import Path
from typing import NamedTuple

from rnnzoo.bounded import from_json
from rnnzoo.errors import InputError
from rnnzoo.tasks._task import Examples

# What a column of a header, or a key of an object, may be called beside the task's own name of it.
INPUTS = ("input", "text", "sentence", "x", "source", "name")
ANSWERS = ("answer", "label", "y", "target", "class", "category")
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

    By its ending a file is TSV (`.tsv`, `.tab`) without quotes, JSONL (`.jsonl`, `.ndjson`), an object or a pair a line, or
    what the task reads (see `Task.rows`); any other is CSV. CSV and TSV have two columns, the input and the answer; or a
    header, by which the two are found wherever they stand: its names are the task's own, one of `INPUTS` and one of
    `ANSWERS`, or those that `source.columns` says.

    Args:
        source: the `Source` (see `rnnzoo.registry`).
        task: the task that says what an input and an answer are.

    Returns:
        A `Read`; nothing is skipped unless `source.skip_bad`.

    Raises:
        InputError: the file is missing, empty or no text, or a row is wrong; it names the file and the line.
    """
    path, inputs, answers, skipped = Path(source.path), [], [], []
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # a pipe would be waited for, a device has no end
            raise InputError(f"{path}: neither a file nor a folder")
        for row in _rows(path, source.columns, task):
            try:
                if row.error:
                    raise InputError(row.error)
                given = task.input.check(row.input)
                answer = task.answer.parse(_text(row.answer))
                if task.answer.per_timestep and not task.answer.generated:
                    _same_length(task.input.steps(given), len(answer))
            except InputError as error:
                if not source.skip_bad:
                    raise InputError(f"{row.where}: {error}") from None
                skipped.append(f"{row.where}: {error}")
                continue
            inputs.append(given)
            answers.append(answer)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    if not inputs:
        what = f"nothing but bad lines, the first: {skipped[0]}" if skipped else "empty"
        raise InputError(f"{path}: {what}; expected lines of `{task.input.name},{task.answer.name}`")
    return Read(Examples(inputs, answers), skipped)


def _rows(path, columns, task):
    """The `Row`s of a file in the format that its ending says."""
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


def _text(value):
    """An answer as the text that a CSV has of it: a number in digits, a list with spaces, one of lists with colons."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(":".join(map(_text, one)) if isinstance(one, list) else _text(one) for one in value)
    return json.dumps(value)


def _same_length(timesteps, answers):
    if timesteps != answers:
        raise InputError(f"{answers} answers for {timesteps} timesteps; expected one for each")
