"""Scores of a trained model on examples that it was not trained on."""

import itertools
from pathlib import Path

from rnnzoo.errors import InputError
from rnnzoo.likelihood import nats
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.registry import Source
from rnnzoo.streamed import StreamedExamples
from rnnzoo.tasks._task import key, split
from rnnzoo.userdata import read


def evaluate(preset, data=None, progress=None, *, columns=None, skip_bad=False, notice=None):
    """The metrics of a preset's or run's trained weights.

    Args:
        preset: a name, a folder, or a `Predictor`.
        data: a file to be judged by instead of the task's own test sets: CSV, TSV or JSONL of inputs and answers, or what
            the task reads. A run that was itself trained on such a file is judged by the part of it that was held out.
        progress: called with the name of each test set, how many examples are done, and how many there are.
        columns: what a header (or the keys of JSONL) calls the input and the answer, a pair, or where they
            stand where there is none, `("1", "2")`; found by itself if `None`.
        skip_bad: whether rows of `data` that are wrong are left out; they are an error otherwise.
        notice: called with a line of text where some were.

    Returns:
        A dict of test set -> a dict of metrics; `examples` is their number.
    """
    predictor = preset if isinstance(preset, Predictor) else from_preset(preset)
    task, references = predictor.task, {}
    if data is not None:
        source = Source(Path(data), skip_bad=skip_bad, columns=columns)
        tests = {"data": lambda: _noticed(read(source, task), notice)}
    elif predictor.preset.own_data is not None:
        tests = {"held_out": lambda: held_out(predictor)}
    else:
        tests, references = task.tests(), task.references()
    return {name: _score(predictor, name, examples(), references, progress) for name, examples in tests.items()}


def _noticed(found, notice):
    """The examples of a `Read`, once it is said what was skipped."""
    for line in found.notices():
        if notice is not None:
            notice(line)
    return found.examples


def split_own(examples, valid=0.2, task=None):
    """A user's examples -> those to train on and the share that is held out, no input on both sides.

    Where the `task` says that the examples are joined into one text, that is its last part; and where its inputs say
    nothing, no answer is on both sides.

    Raises:
        InputError: there are too few distinct inputs for one of them to be held out.
    """
    if task is not None and task.drawn and task.likelihood == "joined":
        first = len(examples.inputs) - round(len(examples.inputs) * valid)
        if not 0 < first < len(examples.inputs):
            raise InputError(f"the text is too short to hold {valid:.4g} of it out")
        return examples.take(range(first)), examples.take(range(first, len(examples.inputs)))
    constant = task is not None and task.input.kind == "constant"
    keys = examples.answers if constant else [key(raw) for raw in examples.inputs]
    distinct = {one: i for i, one in enumerate(dict.fromkeys(keys))}
    held_out = set(split(len(distinct), valid, seed=0)[1].tolist())
    if not 0 < len(held_out) < len(distinct):
        least = next(count for count in itertools.count(2) if 0 < round(count * valid) < count)
        what = "answer" if constant else "input"
        inputs = f"1 distinct {what}" if len(distinct) == 1 else f"{len(distinct)} distinct {what}s"
        raise InputError(f"the data has {inputs}; at least {least} are needed to hold {valid:.4g} of them out")
    sides = [[], []]
    for i, one in enumerate(keys):
        sides[distinct[one] in held_out].append(i)
    return examples.take(sides[0]), examples.take(sides[1])


def held_out(predictor):
    """The `Examples` that a model is judged by first: the first test set's, or those held out of the user's own file."""
    own, data = predictor.preset.own_data, predictor.preset.data
    if own is None:
        return predictor.task.first_test()
    if data.files:  # were streamed, and those held out were kept
        return read(Source(predictor.preset.folder / data.file), predictor.task).examples
    return read_split(own, predictor.task)[1]


def read_split(source, task, notice=None, stream=False):
    """The two sides of `split_own` from a `Source`, which errors name; `notice` is called with lines on what was skipped.

    With `stream` the first of them is a `StreamedExamples`.
    """
    if stream:
        streamed = StreamedExamples(source, task, notice)
        return streamed, streamed.held_out
    return split_read(source, read_whole(source, task, notice), task)


def read_whole(source, task, notice=None):
    """The `Examples` of a `Source`, in the order that they stand there; `notice` as for `read_split`."""
    return _noticed(read(source, task), notice)


def split_read(source, examples, task):
    """The two sides of `split_own` of what was read from a `Source`, which errors name."""
    try:
        return split_own(examples, source.valid, task)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from None


def score(predictor, examples):
    """The metrics of a model on `Examples`, as a dict; those that a task is judged by."""
    return _score(predictor, "", examples, {}, None)


def _score(predictor, name, examples, references, progress):
    count, done = len(examples.inputs), 0

    def report(answered):
        nonlocal done
        done += answered
        if progress is not None:
            progress(name, done, count)

    task, metrics = predictor.task, {}
    if not task.drawn:
        metrics |= task.score(examples, predictor.predict(examples.inputs, report))
    if task.likelihood:
        metrics[f"nats_per_{task.unit}"] = nats(predictor, examples, report if task.drawn else lambda answered: None)
    metrics |= references
    return {"examples": count, **{key: float(f"{value:.6g}") for key, value in metrics.items()}}
