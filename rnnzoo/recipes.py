"""A preset's recipe: pretraining, the epochs of each stage, rounding."""

import functools
import hashlib
import json
import math
import time
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnnzoo.bounded import first_line
from rnnzoo.building import architecture_module, as_taught, build, create_task, taught_arrays, taught_twin
from rnnzoo.carrying import CarriedEpochs, CarriedScores, steps_of
from rnnzoo.checkpoints import Checkpoints, Position, finite
from rnnzoo.epochs import CompiledEpochs, CompiledScores, make_loss, make_optimizer, steps_per_epoch
from rnnzoo.errors import InputError, TrainingError
from rnnzoo.files import remove
from rnnzoo.layers import SimpleRNN
from rnnzoo.registry import factory_arguments, load_preset
from rnnzoo.rounding import RoundingRefused, round_to, round_weights
from rnnzoo.streamed import StreamedBatches, StreamedEpochs, StreamedExamples
from rnnzoo.tasks._task import apart, key, no_longer_than

# With fewer timesteps than these, batches are not made of sequences of about one length: on one core, 100 timesteps of which
# half were used took 0.165 s an epoch instead of 0.229 s, and 2.2 s longer to compile.
LEAST_TIMESTEPS = 32
# The same of what an encoder-decoder writes, whose every timestep has a readout.
LEAST_WRITTEN = 24
# So many recipes may be pretraining of each other; one that is its own would never begin.
PRETRAININGS = 8


class Trained(NamedTuple):
    """A model after its recipe, before anything is written."""

    model: keras.Model
    history: list[dict[str, Any]]
    rounding: str | None
    examples: int
    data_sha256: str


def fit(
    preset,
    task,
    *,
    own=None,
    chosen=None,
    logs=None,
    progress=lambda *_: None,
    stage="training",
    never=frozenset(),
    tested=True,
    kept=None,
    depth=0,
):
    """The preset's model after its recipe: pretraining, epochs, averaging, rounding.

    Where the task has a validation part, its loss and metric stand beside those of training, with the averaged weights
    where the recipe averages them.

    Args:
        preset: the `Preset`.
        task: its task.
        own: `Examples` of the user's instead of the task's, a pair: those to train on, which may be `StreamedExamples`, and
            those held out.
        chosen: `Examples` that choices are made by, a pair as of `Task.choices`: those to train on, and those whose loss and
            metric stand beside those of training. No test is read then, and none of `own`, which says whose they are.
        logs: a folder for TensorBoard, or `None`.
        progress: see `rnnzoo.train`.
        stage: what the progress is called.
        never: inputs that must not be trained on.
        tested: whether the inputs of the task's first test must not be, in a recipe that is trained first, either.
        kept: the `Checkpoints` to go on from and to write; none if `None`.
        depth: how many recipes this one is the pretraining of, one within the other.

    Returns:
        A `Trained`.

    Raises:
        TrainingError: the loss or a weight is no longer finite. The last checkpoint is of the epoch before.
    """
    kept = kept or Checkpoints()
    recipe = preset.training
    if own and isinstance(own[0], StreamedExamples):
        training, held_out = own
        _refuse_stream(preset)
    elif chosen:
        training, held_out = task.cut(chosen[0]) if own else chosen[0], chosen[1]
        own = chosen if own else None
    else:
        training, held_out = (task.cut(own[0]), own[1]) if own else (task.train(), task.first_test() if tested else None)
    if never:
        training = training.take([i for i, raw in enumerate(training.inputs) if key(raw) not in never])
    if task.learns and task.learned is None:
        task.learn(training, *(own or ())[1:])
    model = build(preset, seed=recipe.seed, task=task)
    at = kept.position(depth)
    done, history, examples = (at.done, list(at.history), list(at.examples)) if at else (0, [], [])
    if recipe.pretrain:
        never_in_it = frozenset(never | set(map(key, held_out.inputs if held_out else ())))
        history += _pretrain(
            model, preset, progress, never_in_it, kept, depth + 1, finished=at is not None, tested=tested and not chosen
        )
    stages = _stages(recipe, task, training, bool(own or never), stage, held_out if chosen else None)
    compared = held_out if chosen else None if own else task.validation()
    validation = _validation(preset, model, task, compared)
    log = _Log(logs, history[len(history) - done :])
    optimizer = None
    if done == len(stages) * recipe.epochs:
        kept.restore(model)
    for index in range(done // recipe.epochs, len(stages)):
        name, examples_of = stages[index]
        epochs = prepare(preset, model, task, examples_of(), optimizer)
        optimizer, examples = epochs.optimizer, [*examples[:index], epochs.examples]
        if at:
            kept.restore(model, optimizer)
            at = None
        else:
            kept.save(model, optimizer, Position(depth, done, history, examples))
        for epoch in range(done - index * recipe.epochs, recipe.epochs):
            started = time.perf_counter()
            loss, right = _epoch(epochs, recipe, task, done, kept.check)
            if not math.isfinite(loss):
                what = f"the loss of epoch {epoch + 1}, step {epochs.steps_run} is {loss}"
                _stop(preset, task, name, what, kept, model, epochs, Position(depth, done, history, examples))
            done += 1
            figures = {"loss": loss, task.metric: right}
            if validation:
                with epochs.averaged():
                    figures |= dict(zip(("val_loss", f"val_{task.metric}"), validation.run(), strict=True))
            if done == len(stages) * recipe.epochs:
                epochs.average()
            seconds = round(time.perf_counter() - started, 4)
            history.append({"stage": name, "epoch": epoch + 1, **figures, "seconds": seconds})
            log.add(done, figures)
            progress(name, epoch + 1, recipe.epochs, figures)
            if kept.due(epoch + 1 == recipe.epochs):
                if not finite(model):
                    what = f"the weights after epoch {epoch + 1}, step {epochs.steps_run} are not finite"
                    _stop(preset, task, name, what, kept, model, epochs, Position(depth, done - 1, history[:-1], examples))
                kept.save(model, optimizer, Position(depth, done, history, examples))
            kept.check()
    log.close()
    return Trained(model, history, _round(model, recipe), sum(examples), examples_sha256(training))


def _epoch(epochs, recipe, task, done, between=None):
    """The epoch after so many others: its order, and with a curriculum its rate, follow from their number."""
    if recipe.curriculum:
        epochs.optimizer.learning_rate = _rate(recipe, done)
    if recipe.augment and epochs.arrays is not None:
        epochs.replace(*task.augment(*epochs.arrays, np.random.default_rng([recipe.seed, done, 1])))
    return epochs.run(epochs.order(np.random.default_rng([recipe.seed, done])), between)


def _stop(preset, task, stage, what, kept, model, epochs, before):
    """Ends a run that cannot go on: the last checkpoint becomes that of a `Position`, and what could be tried is said."""
    at = kept.position(before.depth)
    if at is not None and at.done < before.done:
        # Once more from the last checkpoint, a second or so: to keep the weights of every epoch would take longer.
        kept.restore(model, epochs.optimizer)
        for done in range(at.done, before.done):
            _epoch(epochs, preset.training, task, done, kept.check)
        if finite(model):
            kept.save(model, epochs.optimizer, before)
    of_stage = "" if stage == "training" else f" ({stage})"
    raise TrainingError(f"{what}{of_stage}: the run was stopped; try {_otherwise(preset)}")


def _otherwise(preset):
    """What of a recipe to try otherwise when its loss is no longer finite."""
    recipe, known = preset.training, factory_arguments(preset.architecture)
    ways = [] if recipe.clip_norm else ["--set training.clip_norm=1"]
    ways.append(f"a smaller training.learning_rate than {recipe.learning_rate:g}")
    starts = {name: default for name, (_, default, _) in known.items() if name.endswith("recurrent_initializer")}
    if starts and recipe.recurrent_rate is None:
        ways.append("--set training.recurrent_rate=0.1")
    for name, default in starts.items():
        if preset.model.get(name, default) != "orthogonal":
            ways.append(f"--set model.{name}=orthogonal")
    return " or ".join(filter(None, [", ".join(ways[:-1]), ways[-1]]))


class _Log:
    """TensorBoard logs of the epochs, those that were before included."""

    def __init__(self, folder, history):
        self._writer = None
        if folder is not None:
            remove(folder)  # of a run that goes on: it may hold what came after its last checkpoint
            self._writer = tf.summary.create_file_writer(str(folder))
        for done, row in enumerate(history, 1):
            self.add(done, {name: value for name, value in row.items() if name not in ("stage", "epoch", "seconds")})

    def add(self, done, figures):
        """Writes the figures of an epoch."""
        if self._writer:
            with self._writer.as_default(step=done):
                for metric, value in figures.items():
                    tf.summary.scalar(metric, value)

    def close(self):
        """Ends the log."""
        if self._writer:
            self._writer.close()


def _stages(recipe, task, training, given, name, without=None):
    """(name, function that gives the examples) of each stage of training: one, or those of a curriculum.

    `given` lets none but those examples be used, and `without` none of those.
    """
    if recipe.curriculum is None:
        return [(name, lambda: training)]

    def part(i, timesteps):
        if given:
            return no_longer_than(task, training, timesteps)
        return task.up_to(timesteps, i) if without is None else apart(task.up_to(timesteps, i), without)

    return [
        (f"{name}, up to {timesteps}", functools.partial(part, i, timesteps))
        for i, timesteps in enumerate(recipe.curriculum.timesteps)
    ]


def _rate(recipe, done):
    """The learning rate of a curriculum's epoch after so many others."""
    part = done / (len(recipe.curriculum.timesteps) * recipe.epochs)
    return recipe.learning_rate * ((1 + math.cos(math.pi * part)) / 2 if recipe.schedule == "cosine" else 1)


def count_epochs(preset, depth=0):
    """How many epochs its recipe has, those of pretraining included.

    Raises:
        InputError: a recipe is its own pretraining, or too many are in each other.
    """
    recipe = preset.training
    if depth > PRETRAININGS:
        raise InputError(f"{preset.name}: training.pretrain: over {PRETRAININGS} recipes, each the pretraining of the next")
    stages = len(recipe.curriculum.timesteps) if recipe.curriculum else 1
    return stages * recipe.epochs + (count_epochs(_first(preset), depth + 1) if recipe.pretrain else 0)


def check_shared(preset, workers, gpus):
    """Refuses a recipe that several workers or GPUs cannot share.

    Raises:
        InputError: it carries a state from batch to batch.
    """
    if workers is None and gpus is None:
        return
    if preset.training.truncate:
        raise InputError(
            f"{preset.name}: training.truncate: a state that is carried from batch to batch is not shared by workers or by "
            "GPUs; train it on one"
        )
    if preset.training.pretrain:
        check_shared(_first(preset), workers, gpus)


def prepare(preset, model, task, examples, optimizer=None):
    """The `CompiledEpochs` of a preset's model over training examples, with the targets as inputs where it writes.

    With an optimizer of its own, or one that goes on from a stage before. Of recipes with `truncate`, the `CarriedEpochs`.
    """
    recipe = preset.training
    recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, SimpleRNN)]
    if recipe.keep_gradient and not recurrent:
        raise InputError(f"{preset.name}: training.keep_gradient: there is no recurrent layer")
    for layer in recurrent:
        layer.keep_gradient = recipe.keep_gradient or 0.0
    if isinstance(examples, StreamedExamples):
        return _streamed(preset, model, task, examples, optimizer)
    if recipe.truncate:
        model, *arrays, how = _joined(preset, model, task, examples)
        optimizer = optimizer or make_optimizer(recipe, steps_of(len(arrays[0]), how["batch_size"], recipe.truncate))
        return CarriedEpochs(model, make_loss(preset), optimizer, *arrays, **how)
    model, *arrays, how = _taught(preset, model, task, examples)
    if recipe.balance:
        arrays[2] = _balanced(*arrays[1:], recipe.balance)
    optimizer = optimizer or make_optimizer(recipe, steps_per_epoch(len(examples.inputs), recipe.batch_size))
    return CompiledEpochs(model, make_loss(preset), optimizer, *arrays, **how)


def _validation(preset, model, task, examples):
    """The `CompiledScores` of `Examples`, or `None` of `None`."""
    if examples is None:
        return None
    if preset.training.truncate:
        model, *arrays, how = _joined(preset, model, task, examples)
        return CarriedScores(model, make_loss(preset, plain=True), *arrays, **how)
    model, *arrays, how = _taught(preset, model, task, examples)
    return CompiledScores(model, make_loss(preset, plain=True), *arrays, **how)


def _balanced(targets, weights, power):
    """The weights of targets, class numbers of the same shape, such that frequent classes count less; their sum stays."""
    if targets.dtype.kind != "i" or targets.shape != weights.shape:
        raise InputError("training.balance goes with answers that are labels")
    counts = np.bincount(targets.ravel(), weights.ravel())
    balanced = weights * np.maximum(counts, 1e-9)[targets] ** -power
    return (balanced * (weights.sum() / balanced.sum())).astype(np.float32)


def _taught(preset, model, task, examples):
    """What `CompiledEpochs` and `CompiledScores` take: the model as it is trained, arrays, and a dict of the rest."""
    checked = [task.input.check(raw) for raw in examples.inputs]
    model, inputs, targets, weights = as_taught(preset, model, task, checked, examples.answers)
    lengths, ragged = _lengths(task, checked, inputs, weights)
    how = {"batch_size": preset.training.batch_size, "correct": task.answer.correct, "lengths": lengths if ragged else None}
    return model, inputs, targets, weights, how


def _lengths(task, checked, inputs, weights):
    """(examples,) timesteps that each example uses, and whether batches of about one length pay."""
    # Short sequences are not worth the compiling of several lengths.
    if isinstance(inputs, dict):  # what is written is the longer, and costs more a timestep
        lengths = np.count_nonzero(weights, axis=1)
        return lengths, "source" in inputs and lengths.max() >= LEAST_WRITTEN
    lengths = np.array([task.input.steps(raw) for raw in checked])
    return lengths, task.input.pads and lengths.max() >= LEAST_TIMESTEPS


def _refuse_stream(preset):
    """Refuses recipes that need all examples at once."""
    for name in ("truncate", "curriculum", "balance"):
        if getattr(preset.training, name):
            raise InputError(f"training.{name} needs all examples in memory, and does not go with data that is streamed")


def _streamed(preset, model, task, stream, optimizer):
    """The `StreamedEpochs` over examples that are read anew in every epoch."""
    recipe = preset.training

    def arrays(checked, answers, rng):
        made = taught_arrays(preset, model, task, checked, answers)
        return task.augment(*made, rng) if recipe.augment and rng is not None else made

    batches = StreamedBatches(
        stream,
        arrays,
        functools.partial(_lengths, task),
        batch_size=recipe.batch_size,
        pads=task.input.pads,
        padding=getattr(task.input, "mask_value", None) or 0,
    )
    twin = taught_twin(preset, model)
    optimizer = optimizer or make_optimizer(recipe, batches.steps)
    return StreamedEpochs(twin, make_loss(preset), optimizer, batches, correct=task.answer.correct)


def _joined(preset, model, task, examples):
    """What `CarriedEpochs` and `CarriedScores` take: the model that carries its state, arrays, and a dict of the rest."""
    module, recipe = architecture_module(preset.architecture), preset.training
    if not hasattr(module, "carried") or not task.answer.per_timestep:
        raise InputError(f"{preset.name}: training.truncate: needs an answer at every timestep of a many_to_many")
    if recipe.curriculum:
        raise InputError("training.truncate: one long sequence has no curriculum over lengths")
    checked = [task.input.check(raw) for raw in examples.inputs]
    _, inputs, targets, weights = as_taught(preset, model, task, checked, examples.answers)
    used = np.arange(inputs.shape[1]) < np.array([task.input.steps(raw) for raw in checked])[:, None]
    how = {"batch_size": min(recipe.batch_size, int(used.sum())), "truncate": recipe.truncate}
    how |= {
        "examples": len(checked),
        "correct": task.answer.correct,
        "padding": getattr(task.input, "mask_value", None) or 0,
    }
    return module.carried(model), inputs[used], targets[used], weights[used], how


def _first(preset):
    """The preset that is trained first."""
    spec = preset.training.pretrain
    return load_preset(spec.preset, [*spec.set, f"training.seed={preset.training.seed}"])


def _pretrain(model, preset, progress, never, kept, depth, finished, tested):
    """Trains the recipe of another preset first, unless that is `finished`; hands over and freezes its layers' weights."""
    spec = preset.training.pretrain
    history = []
    if not finished:
        first = _first(preset)
        trained = fit(
            first,
            create_task(first),
            progress=progress,
            stage=f"pretraining {first.name}",
            never=never,
            tested=tested,
            kept=kept,
            depth=depth,
        )
        if first.training.round_weights and trained.rounding:
            raise TrainingError(f"pretraining {first.name}: {trained.rounding}")
        history = trained.history
    for to, source in spec.layers.items():
        if not finished:
            _hand_over(preset, to, source, model, trained.model)
        model.get_layer(to).trainable = not spec.freeze
    return history


def _hand_over(preset, to, source, model, trained):
    try:
        model.get_layer(to).set_weights(trained.get_layer(source).get_weights())
    except ValueError as error:
        reason = first_line(error)
        raise InputError(f"{preset.name}: training.pretrain.layers: {to} = '{source}': {reason}") from None


def _round(model, recipe):
    """Rounds where the recipe says so; why not to integers, where that is refused."""
    refused = None
    if recipe.round_weights:
        try:
            round_weights(model)
        except RoundingRefused as error:
            refused = str(error)
    round_to(model, recipe.storage)
    return refused


def examples_sha256(examples):
    """The sha256 of `Examples`, or of the files of those that are streamed, in hexadecimal."""
    if isinstance(examples, StreamedExamples):
        return examples.sha256
    if not any(isinstance(raw, np.ndarray) for raw in examples.inputs):
        return hashlib.sha256(json.dumps([examples.inputs, examples.answers]).encode()).hexdigest()
    digest = hashlib.sha256(json.dumps([[raw.shape for raw in examples.inputs], examples.answers]).encode())
    for raw in examples.inputs:
        digest.update(raw.astype("<f4").tobytes())
    return digest.hexdigest()
