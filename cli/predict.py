"""`rnnzoo predict`: answers for raw input."""

import contextlib
import functools
import itertools
import os
import stat
import sys
from pathlib import Path

import click

from rnnzoo.cli._shared import PATH, as_json, json_text, print_table, with_weights
from rnnzoo.errors import InputError

# So many answers are printed together, or fewer of so many characters: memory stays bounded.
BLOCK, BLOCK_CHARACTERS = 8192, 2**22
# A line of a stream is one timestep; none is as long as this many bytes.
LINE = 2**20
# What fits one block and is no longer than this is a table; beyond it, columns are as wide as the first block needs.
TABLE, COLUMN = 1000, 120
# Of what is marked, in the order in which its kinds come.
COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red")


@click.command("predict")
@click.argument("preset")
@click.argument("samples", nargs=-1)
@click.option("--file", "file", type=PATH, help="Read samples from a file, one a line.")
@click.option("--stream", is_flag=True, help="Each line is one timestep, answered at once; an empty line ends a sequence.")
@as_json
def command(preset, samples, file, stream, as_json):
    """Answer SAMPLES with the trained weights of a PRESET (or a run's folder).

    SAMPLES are raw inputs; `-` reads them from standard input, and the name of a file reads them from it, one a line.

    Many lines are answered block by block, in order, while they are read. At a wrong line the command stops with exit code
    2; of over 8,192 lines, the answers before it are printed all the same, JSON without its closing bracket.

    With --stream, each line of `-` or of a file is one timestep of a sequence: a character, or numbers such as 0.3:1. Its
    answer is that to the sequence so far, and is printed before the next line is read; --json prints an object a line. An
    empty line ends the sequence, is answered by an empty line, and the next line begins a new one. At a wrong line the
    command stops with exit code 2. Models that need the whole sequence, in both directions for one, cannot stream.
    """
    with_weights(preset)
    check_samples(samples, file)
    if stream:
        if len(samples) > 1:
            raise click.UsageError("--stream takes - for standard input or the name of one file")
        _stream_quietly(preset, file if samples in ((), ("-",)) else Path(samples[0]), as_json)
        return
    import rnnzoo

    zoo = rnnzoo.from_preset(preset)
    answer_all(zoo, samples, file, as_json)


def check_samples(samples, file):
    """Refuses none, and two kinds at once."""
    if file is None and not samples:
        raise click.UsageError("no samples: give them as arguments, as a file's name, or as - for standard input")
    if file is not None and samples:
        raise click.UsageError("give samples or --file, not both")


def answer_all(zoo, samples, file, as_json):
    """Answers SAMPLES or a file's lines with what has `predict_iter` and `check`, and prints the answers."""
    if file is None and len(samples) == 1 and samples[0] != "-" and _names_a_file(samples[0], zoo):
        file = Path(samples[0])
    with contextlib.ExitStack() as stack:
        if file is not None:
            source = stack.enter_context(_open(file))
            _answer(zoo, _lines(source, file), _count_lines(source), as_json, lambda n: f"{file}, line {n}")
        elif samples == ("-",):
            source, name = sys.stdin.buffer, "standard input"
            _answer(zoo, _lines(source, name), None, as_json, lambda n: f"{name}, line {n}")
        else:
            _answer(zoo, samples, len(samples), as_json)


def _stream_quietly(preset, file, as_json):
    """Streams until the lines end or an interrupt does it, which is how one without end is ended."""
    try:
        import rnnzoo

        stream = rnnzoo.from_preset(preset).stream()
        with contextlib.ExitStack() as stack:
            source = sys.stdin.buffer if file is None else stack.enter_context(_open(file))
            _stream(stream, source, "standard input" if file is None else file, as_json)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None


def _stream(stream, source, where, as_json):
    """Answers line by line; nothing is kept of what is answered."""
    number = 0
    while data := source.readline(LINE):
        number += 1
        if len(data) == LINE and not data.endswith(b"\n"):
            raise InputError(f"{where}, line {number}: longer than {LINE:,} bytes; expected one timestep a line")
        try:
            line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{where}, line {number}: cannot be read as UTF-8 text: {error}") from None
        if line and (line.strip() or stream.takes(line)):  # a space may be a character that is meant
            line = line.strip() or line
            answer = stream.push(line, where=f"{where}, line {number}")
            shown = _shown([answer] if isinstance(answer, tuple) else answer)
            found = {"timestep": stream.timesteps, "input": line, "answer": answer}
        else:
            shown, found = "", {"end": True, "timesteps": stream.timesteps}
            stream.reset()
        click.echo(json_text(found) if as_json else shown)  # flushed, line by line


def _answer(zoo, inputs, total, as_json, where=None):
    """Answers and prints, block by block."""
    inputs, shown = itertools.tee(inputs)  # what `predict_iter` has read ahead is all that the two are apart
    # The answers first: where the inputs break off, they say why.
    pairs = ((raw, answer) for answer, raw in zip(zoo.predict_iter(inputs, chunk=BLOCK, where=where), shown, strict=False))
    write = functools.partial(_write_json if as_json else _write_text, task=zoo.task)
    with _bar(total) as advance:
        write(_blocks(pairs), advance)


def _blocks(pairs):
    """(input, answer) pairs -> lists of them, and whether each is the last; before an error, unless it is the first."""
    held, characters, first = [], 0, True
    try:
        for pair in pairs:
            if len(held) == BLOCK or characters > BLOCK_CHARACTERS:
                yield held, False
                held, characters, first = [], 0, False
            held.append(pair)
            characters += len(str(pair[0]))
    except InputError:
        if held and (len(held) == BLOCK or not first):
            yield held, False
        raise
    yield held, True


def _write_json(blocks, advance, task):
    """One array of objects, each on a line of its own."""
    begin = "[\n"
    for block, last in blocks:
        objects = ({"input": raw, "answer": answer, **task.told(raw, answer)} for raw, answer in block)
        objects = map(json_text, objects)
        click.echo(begin + ",\n".join(f"  {one}" for one in objects), nl=False)
        begin = ",\n"
        advance(len(block), last)
    click.echo("\n]")


def _write_text(blocks, advance, task):
    """Each input on a line of its own, where answers are marked in it; else a table."""
    from rnnzoo.tasks._task import marked

    colours = {}
    for block, last in blocks:
        pieces = [task.pieces(raw, answer) for raw, answer in block]
        if None in pieces:
            as_text = getattr(task.answer, "shown", _shown)
            _write_table(itertools.chain([(block, last)], blocks), advance, as_text)
            return
        for one in pieces:
            for kind in (kind for _, kind in one if kind is not None):
                colours.setdefault(kind, COLOURS[len(colours) % len(COLOURS)])
            texts = [(marked([(_shown(text), kind)]), kind) for text, kind in one]
            # Colours are left out where there is no terminal.
            click.echo("".join(t if kind is None else click.style(t, fg=colours[kind], bold=True) for t, kind in texts))
        advance(len(block), last)


def _write_table(blocks, advance, shown):
    """A table where it is small; else lines under the same heads, whose columns the first block decides."""
    heads, widths = ("input", "answer"), None
    for block, last in blocks:
        rows = [(str(_shown(raw)), str(shown(answer))) for raw, answer in block]
        if widths is None:
            if last and len(rows) <= TABLE and all(len(cell) <= COLUMN for row in rows for cell in row):
                print_table(heads, rows)
                return
            widths = [min(COLUMN, max(map(len, column))) for column in zip(heads, *rows, strict=True)]
            rule = "─" * (sum(widths) + 2)
            click.echo(f"{heads[0]:<{widths[0]}}  {heads[1]}\n{rule}")
        click.echo("\n".join(f"{raw:<{widths[0]}}  {answer}" for raw, answer in rows))
        advance(len(block), last)


@contextlib.contextmanager
def _bar(total):
    """A function `(count, last)` that draws how many are answered, of `total` where that is known, on standard error.

    Nothing is drawn for what fits one block, nor where the answers go to a terminal, which shows them as they come. The bar
    of a run that fails is taken away: what is left on standard error is the error.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [TextColumn("predicting"), BarColumn(bar_width=8), TextColumn("{task.fields[done]}"), TimeElapsedColumn()]
    if total is not None:
        columns.append(TimeRemainingColumn())
    # Rich would send standard output through the bar, to standard error.
    bar = Progress(*columns, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False)
    task, done, drawn = bar.add_task("predicting", total=total, done=""), 0, False

    def advance(count, last):
        nonlocal done, drawn
        done += count
        of = done if last else total  # empty lines at the end are counted before they are known to be no samples
        bar.update(task, completed=done, total=of, done=f"{done}" if total is None else f"{done}/{of}")
        more_than_a_block = not last or done > count
        # What cannot be drawn over, a file or a pipe, gets the end alone.
        if not drawn and more_than_a_block and (last or bar.console.is_terminal) and not sys.stdout.isatty():
            bar.start()
            drawn = True

    try:
        yield advance
    except BaseException:
        bar.live.transient = True
        raise
    finally:
        if drawn:
            bar.stop()


def _names_a_file(sample, zoo):
    """A file of that name, unless the sample is good input itself, which any text may be: then the file comes first."""
    if getattr(zoo.task.input, "names_a_file", lambda name: False)(sample):  # what is wrong with it is to be said
        return False
    try:
        zoo.check([sample])
        good = not getattr(zoo.task.input, "open", False)
    except InputError:
        good = False
    return not good and "\0" not in sample and len(sample) < 4096 and Path(sample).exists() and not Path(sample).is_dir()


@contextlib.contextmanager
def _open(path):
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield file


def _count_lines(file):
    """How many lines a regular file has; `None` for a pipe, which can be read but once."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return None
    count, last = 0, b"\n"
    while block := file.read(2**20):
        count, last = count + block.count(b"\n"), block[-1:]
    file.seek(0)
    return count + (last != b"\n")


def _lines(file, where):
    """The samples of a binary file, one a line, without the empty lines at its end."""
    empty = number = 0
    for block in file:
        for data in block.removeprefix(b"\xef\xbb\xbf").splitlines() if number == 0 else block.splitlines():
            number += 1
            try:
                line = data.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise InputError(f"{where}, line {number}: cannot be read as UTF-8 text: {error}") from None
            if not line:
                empty += 1
                continue
            yield from itertools.repeat("", empty)  # not at the end after all: refused, with the number of the line
            yield line
            empty = 0
    if empty == number:
        raise InputError(f"{where}: empty; expected one sample a line")


def _shown(answer):
    """Answers as people read them: sums separated by spaces, pairs by a colon."""
    if isinstance(answer, list):
        return " ".join(":".join(map(str, step)) if isinstance(step, tuple) else str(step) for step in answer)
    if isinstance(answer, str):  # on one line
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in answer)
    return answer
