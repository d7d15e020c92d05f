"""`rnnzoo predict`: answers for raw input."""

import sys
from pathlib import Path

import click

from rnnzoo.cli._shared import as_json, print_json, print_table, progress_bar
from rnnzoo.errors import InputError
from rnnzoo.registry import load_preset


@click.command("predict")
@click.argument("preset")
@click.argument("samples", nargs=-1)
@click.option("--file", "file", type=click.Path(path_type=Path), help="Read samples from a file, one a line.")
@as_json
def command(preset, samples, file, as_json):
    """Answer SAMPLES with the trained weights of a PRESET (or a run's folder).

    SAMPLES are raw inputs; `-` reads them from standard input, and the name of a file reads them from it, one a line.
    """
    load_preset(preset).metadata()
    if file is None and not samples:
        raise click.UsageError("no samples: give them as arguments, as a file's name, or as - for standard input")
    if file is not None and samples:
        raise click.UsageError("give samples or --file, not both")
    import rnnzoo

    zoo = rnnzoo.from_preset(preset)
    if file is None and len(samples) == 1 and samples[0] != "-" and _names_a_file(samples[0], zoo):
        file = Path(samples[0])
    if file is not None:
        inputs = _lines(_read(file), file, zoo)
    elif samples == ("-",):
        inputs = _lines(_decoded(sys.stdin.buffer.read(), "standard input"), "standard input", zoo)
    else:
        inputs = list(samples)
    if len(inputs) > 20_000 and sys.stderr.isatty():
        with progress_bar() as bar:
            done = 0

            def update(count):
                nonlocal done
                done += count
                bar("predicting", done, len(inputs), {})

            answers = zoo.predict(inputs, update)
    else:
        answers = zoo.predict(inputs)
    if as_json:
        print_json([{"input": raw, "answer": answer} for raw, answer in zip(inputs, answers, strict=True)])
    else:
        print_table(["input", "answer"], [[raw, _shown(a)] for raw, a in zip(inputs, answers, strict=True)])


def _names_a_file(sample, zoo):
    """A file of that name, unless the sample is good input itself."""
    try:
        zoo.check([sample])
    except InputError:
        return "\0" not in sample and len(sample) < 4096 and Path(sample).is_file()
    return False


def _read(path):
    try:
        return _decoded(path.read_bytes(), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _decoded(data, where):
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: cannot be read as UTF-8 text: {error}") from None


def _lines(text, where, zoo):
    """The samples of a text, one a line; what is wrong is said with the line's number."""
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{where}: empty; expected one sample a line")
    for number, line in enumerate(lines, 1):
        try:
            zoo.task.input.check(line)
        except InputError as error:
            raise InputError(f"{where}, line {number}: {error}") from None
    return lines


def _shown(answer):
    """Answers as people read them: sums separated by spaces, pairs by a colon."""
    if isinstance(answer, list):
        return " ".join(":".join(map(str, step)) if isinstance(step, tuple) else str(step) for step in answer)
    return answer
