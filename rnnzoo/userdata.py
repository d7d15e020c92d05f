"""A user's own examples: a CSV file of `input,answer` lines without a header."""

import csv
from pathlib import Path

from rnnzoo.errors import InputError
from rnnzoo.tasks._task import Examples


def read_csv(path, task):
    """The examples of a file. Fields are text: leading zeros are kept.

    Args:
        path: the file.
        task: the task that says what an input and an answer are.

    Raises:
        InputError: the file is missing, empty or no text, or a line is wrong; it names the file and the line.
    """
    path = Path(path)
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


def _same_length(timesteps, answers):
    if timesteps != answers:
        raise InputError(f"{answers} answers for {timesteps} timesteps; expected one for each")
