"""Scores of a trained model on examples that it was not trained on."""

import itertools

from rnnzoo.errors import InputError
from rnnzoo.likelihood import nats
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.tasks._task import key, split
from rnnzoo.userdata import read_csv

HELD_OUT = 0.2


def evaluate(preset, data=None, progress=None):
    """The metrics of a preset's or run's trained weights.

    Args:
        preset: a name, a folder, or a `Predictor`.
        data: a CSV file of `input,answer` lines to be judged by instead of the task's own test sets. A run that was itself
            trained on such a file is judged by the part of it that was held out.
        progress: called with the name of each test set, how many examples are done, and how many there are.

    Returns:
        A dict of test set -> a dict of metrics; `examples` is their number.
    """
    predictor = preset if isinstance(preset, Predictor) else from_preset(preset)
    task, references = predictor.task, {}
    if data is not None:
        tests = {"data": lambda: read_csv(data, task)}
    elif predictor.preset.own_data is not None:
        tests = {"held_out": lambda: held_out(predictor)}
    else:
        tests, references = task.tests(), task.references()
    return {name: _score(predictor, name, examples(), references, progress) for name, examples in tests.items()}


def split_own(examples):
    """A user's examples -> those to train on and the 20 % that are held out, no input on both sides.

    Raises:
        InputError: there are too few distinct inputs for one of them to be held out.
    """
    keys = [key(raw) for raw in examples.inputs]
    distinct = {one: i for i, one in enumerate(dict.fromkeys(keys))}
    held_out = set(split(len(distinct), HELD_OUT, seed=0)[1].tolist())
    if not held_out:
        least = next(count for count in itertools.count(1) if len(split(count, HELD_OUT, seed=0)[1]))
        inputs = "1 distinct input" if len(distinct) == 1 else f"{len(distinct)} distinct inputs"
        raise InputError(f"the data has {inputs}; at least {least} are needed to hold a fifth of them out")
    sides = [[], []]
    for i, one in enumerate(keys):
        sides[distinct[one] in held_out].append(i)
    return examples.take(sides[0]), examples.take(sides[1])


def held_out(predictor):
    """The `Examples` that a model is judged by first: the first test set's, or those held out of the user's own file."""
    own = predictor.preset.own_data
    return predictor.task.first_test() if own is None else read_split(own, predictor.task)[1]


def read_split(path, task):
    """The two sides of `split_own` from a CSV file, which errors name."""
    examples = read_csv(path, task)
    try:
        return split_own(examples)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _score(predictor, name, examples, references, progress):
    count, done = len(examples.inputs), 0

    def report(answered):
        nonlocal done
        done += answered
        if progress is not None:
            progress(name, done, count)

    if predictor.task.likelihood:
        metrics = {"nats_per_character": nats(predictor, examples, report)}
    else:
        metrics = predictor.task.score(examples, predictor.predict(examples.inputs, report))
    metrics = {**metrics, **references}
    return {"examples": count, **{key: float(f"{value:.6g}") for key, value in metrics.items()}}
