"""A user's own examples, from files in the usual formats: CSV, TSV, JSONL, shards, and what a task reads besides."""

import codecs
import collections
import glob
import itertools
import json
import shlex
import stat
from pathlib import Path
from typing import NamedTuple

from rnnzoo import shards, tables
from rnnzoo.bounded import from_json
from rnnzoo.errors import InputError
from rnnzoo.files import matching
from rnnzoo.tasks._task import Examples, plain
from rnnzoo.texts import open_text, wrong_in

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
    """One example of a file as it stands there: text, or what JSON has; or what is wrong with it.

    `header` is what names its columns where the row may be a header that is not known (`comment,rating`).
    """

    where: str
    input: object = None
    answer: object = None
    error: str | None = None
    header: str | None = None


def read(source, task):
    """The examples of a file. Fields of CSV and TSV are text: leading zeros are kept.

    A folder or a pattern (`parts/*.csv`) is all of its files, in the order of their names, unless the task reads folders. By
    its ending a file is TSV (`.tsv`, `.tab`) without quotes, JSONL (`.jsonl`, `.ndjson`), an object or a pair a line, a
    shard (`.tfrecord`; see `rnnzoo.shards`), or what the task reads (see `Task.rows`); any other is CSV, with semicolons or
    tabs in place of commas where its first lines say so. CSV and TSV have two columns, the input and the answer, or a header
    by which the two are found wherever they stand: its names are the task's own, one of `INPUTS` and one of `ANSWERS` (see
    `rnnzoo.tables`), or those that `source.columns` says, which may be numbers of columns where there is no header. Where
    inputs say nothing, the answer's column is all that is looked for. Names of files, such as pictures, are looked for
    beside the file that names them, and then as they stand.

    Args:
        source: the `Source` (see `rnnzoo.registry`).
        task: the task that says what an input and an answer are.

    Returns:
        A `Read`; nothing is skipped unless `source.skip_bad`.

    Raises:
        InputError: the file is missing or empty, a row is wrong, or the first looks like a header; it names file and line.
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
    if skipped:
        what = f"nothing but bad lines, the first: {skipped[0]}"
    else:  # a line that is neither an example nor wrong is a header
        what = "a header and no rows" if any(map(_has_text, files_of(path, task, check=False))) else "empty"
    return InputError(f"{path}: {what}; expected lines of `{task.input.name},{task.answer.name}`")


def _has_text(path):
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return bool(file.read(2**16).removeprefix(codecs.BOM_UTF8).strip())


def each(source, files, task, skip, headers=True):
    """The examples of files one by one, as (input, answer), checked.

    Args:
        source: the `Source` that says how they are read.
        files: their paths.
        task: the task.
        skip: called with a line for each row that is wrong, where `source.skip_bad`.
        headers: whether a header that is taken for an example is looked for; it takes all of the files to tell.

    Raises:
        InputError: as for `read`.
    """
    wanted = tables.Wanted(task, source.columns)
    heads = Heads(task) if headers and task.answer.kind == "label" and getattr(task.answer, "open", False) else None
    for path in files:
        try:
            # A pipe would be waited for, and a device has no end.
            if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
                raise InputError(f"{path}: neither a file nor a folder")
            for row in _rows(path, wanted, task):
                try:
                    if row.error:
                        raise InputError(row.error)
                    if row.input is None:
                        raise InputError(f"`{task.input.name}` is null")
                    raw = task.input.located(row.input, path.parent) if names_files(task) else row.input
                    given = task.input.check(raw)
                    answer = task.answer.parse(_answer_of(row.answer, task.answer))
                    if task.answer.per_timestep and not task.answer.generated:
                        _same_length(task.input.steps(given), len(answer))
                except InputError as error:
                    said = f"{row.where}: {error}"
                    if row.header:
                        said += f"; if this is a header, --columns {shlex.quote(row.header)} names its columns"
                    if not source.skip_bad:
                        raise InputError(said) from None
                    skip(said)
                    continue
                if heads is not None:
                    heads.add(row, answer)
                yield given, answer
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if heads is not None:
        heads.check()


class Heads:
    """Whether what is read as the first example is a header, where labels are learned and any text would do for one.

    It is taken for one where it looks like one, its label is that of the first lines alone, and there are two others or more
    of which each comes more than once.

    Args:
        task: the task, of such labels.
    """

    MOST = 10_000  # labels; of more there is none that means anything

    def __init__(self, task):
        self.task, self.first, self.firsts = task, None, 0
        self.counts = collections.Counter()

    def add(self, row, answer):
        """Counts an example of a `Row`."""
        if self.counts is None:
            return
        self.counts[answer] += 1
        if len(self.counts) > self.MOST:
            self.counts = None
        elif row.header is not None and (self.first is None or row.header == self.first.header):
            self.first, self.firsts = self.first or row, self.firsts + 1

    def check(self):
        """Refuses a first example that is a header.

        Raises:
            InputError: it is one.
        """
        if not self.counts or self.first is None:
            return
        (answer,) = [one for one in self.counts if str(one) == self.first.answer]
        others = [count for one, count in self.counts.items() if one != answer]
        if self.counts[answer] == self.firsts and len(others) > 1 and min(others) > 1:
            known = f"{self.task.input.name},{self.task.answer.name}"
            raise InputError(
                f"{self.first.where} looks like a header; name its columns with --columns {shlex.quote(self.first.header)}, "
                f"or give a header of known names, {known}"
            )


def files_of(path, task, check=True):
    """The files that a path is: itself, those of a folder of shards, of another folder, or those that a pattern matches.

    Shards are held against their checksums, and must be the task's, unless `check` is `False`.

    Raises:
        InputError: there are none, or shards are not what was packed, or are another task's.
    """
    path = Path(path)
    if path.is_dir():
        if (path / shards.MANIFEST).is_file():
            if check:
                return shards.check(path, type(task).__module__.rpartition(".")[2])
            return [path / one["file"] for one in shards.read_manifest(path)["shards"]]
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


def _rows(path, wanted, task):
    """The `Row`s of a file in the format that its ending says."""
    suffix = path.suffix.lower()
    if suffix == shards.SUFFIX:
        return _texts(itertools.starmap(Row, shards.rows(path)))
    found = task.rows(path)
    if found is not None:
        return _texts(itertools.starmap(Row, found))
    if suffix in (".jsonl", ".ndjson"):
        return _texts(_json_lines(path, wanted))
    return itertools.starmap(Row, tables.rows(path, suffix in (".tsv", ".tab"), wanted))


def _json_lines(path, wanted):
    """The rows of a JSONL file."""
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                error, value = wrong_in(line), None
                value = None if error else from_json(line)
            except ValueError as no_json:
                error = f"no JSON: {no_json}"
            example = None if error else _of_json(value, wanted)
            if error or example is None:
                yield Row(where, error=error or f"expected {_expected_json(wanted)}")
            else:
                yield Row(where, *example)


def _of_json(value, wanted):
    """The input and the answer of a value, or `None` where it has them not."""
    if isinstance(value, list):
        if wanted.positions:
            found = [value[place] if place < len(value) else None for place in wanted.positions]
            return found if wanted.last < len(value) else None
        return value if len(value) == 2 and wanted.columns is None else None
    if wanted.constant is not None and isinstance(value, str):
        return wanted.constant, value
    if not isinstance(value, dict):
        return None
    keys = [[key] for key in wanted.columns] if wanted.columns else [[*filter(value.__contains__, n)] for n in wanted.names]
    if not all(keys[side] and keys[side][0] in value for side in wanted.sides):
        return None
    return [wanted.constant if side not in wanted.sides else value[keys[side][0]] for side in (0, 1)]


def _expected_json(wanted):
    """What a line of JSON should be, in words."""
    if wanted.positions:
        return f"a list of {wanted.last + 1} or more"
    names = [(wanted.columns or tuple(known[0] for known in wanted.names))[side] for side in wanted.sides]
    expected = "{" + ", ".join(f'"{name}": ...' for name in names) + "}"
    if wanted.columns:
        return expected
    return f"{expected} or " + ("a pair" if wanted.constant is None else "a text")


def _texts(rows):
    """Rows, of which those are wrong whose texts, or lists of them, have what is no text."""
    for row in rows:
        for value in row[1:3]:
            for one in value if isinstance(value, list) else (value,):
                wrong = wrong_in(one) if isinstance(one, str) else None
                if wrong:
                    row = row._replace(error=row.error or wrong)
        yield row


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


def lines_of(examples):
    """Examples as lines of JSON, a pair each."""
    for given, answer in zip(examples.inputs, examples.answers, strict=True):
        yield json.dumps([plain(given), answer], ensure_ascii=False) + "\n"


def names_files(task):
    """Whether inputs of the task may be names of files, as pictures are."""
    return hasattr(task.input, "located")


def _same_length(timesteps, answers):
    if timesteps != answers:
        raise InputError(f"{answers} answers for {timesteps} timesteps; expected one for each")
