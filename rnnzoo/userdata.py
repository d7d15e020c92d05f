"""A user's own examples: a CSV file of `input,answer` lines without a header, or files in a folder for each class."""

import csv
import io
import json
from pathlib import Path

from rnnzoo.errors import InputError
from rnnzoo.tasks._task import Examples, plain


def read_csv(path, task):
    """The examples of a file. Fields are text: leading zeros are kept.

    Args:
        path: the file; or a folder, where the task has a `read_folder`.
        task: the task that says what an input and an answer are.

    Raises:
        InputError: the file is missing, empty or no text, or a line is wrong; it names the file and the line.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, task)
    inputs, answers = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if not row:
                    continue
                where = f"{path}, line {reader.line_num}"
                if len(row) != 2:
                    raise InputError(f"{where}: {len(row)} fields; expected 2, `{task.input.name},{task.answer.name}`")
                try:
                    inputs.append(task.input.check(row[0].strip()))
                    answers.append(task.answer.parse(row[1].strip()))
                    if task.answer.per_timestep and not task.answer.generated:
                        _same_length(task.input.steps(inputs[-1]), len(answers[-1]))
                except InputError as error:
                    raise InputError(f"{where}: {error}") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    if not inputs:
        raise InputError(f"{path}: empty; expected lines of `{task.input.name},{task.answer.name}` without a header")
    return Examples(inputs, answers)


def packed(path, task):
    """What a run keeps of a user's examples: the file at `path` itself, or of a folder the bytes of a CSV file."""
    if path is None or not Path(path).is_dir():
        return path
    text = io.StringIO(newline="")
    examples = _read_folder(Path(path), task)
    csv.writer(text, lineterminator="\n").writerows(
        (json.dumps(plain(raw), separators=(",", ":")), answer)
        for raw, answer in zip(examples.inputs, examples.answers, strict=True)
    )
    return text.getvalue().encode()


def _read_folder(path, task):
    if not hasattr(task, "read_folder"):
        raise InputError(f"{path}: is a folder; expected a file of lines `{task.input.name},{task.answer.name}`")
    return task.read_folder(path)


def _same_length(timesteps, answers):
    if timesteps != answers:
        raise InputError(f"{answers} answers for {timesteps} timesteps; expected one for each")
