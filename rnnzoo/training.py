"""Training a preset: from its recipe to a folder of the same form."""

import contextlib
import functools
import hashlib
import importlib.util
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnnzoo.building import as_taught, build, create_task
from rnnzoo.checkpoints import Checkpoints, Position, finite
from rnnzoo.epochs import CompiledEpochs, make_loss, make_optimizer, steps_per_epoch
from rnnzoo.errors import InputError, MissingExtraError, RunInterrupted, TrainingError
from rnnzoo.evaluating import read_split
from rnnzoo.files import remove
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.registry import Preset, factory_arguments, load_preset, override
from rnnzoo.results import versions, write_result
from rnnzoo.rounding import RoundingRefused, round_weights
from rnnzoo.runs import FAILED, INTERRUPTED, LOGS, Workspace, resume_line
from rnnzoo.stopping import Stop, Stopped
from rnnzoo.tasks._task import key, no_longer_than
from rnnzoo.toml import dumps

# With fewer timesteps than these, batches are not made of sequences of about one length: on one core, 100 timesteps of which
# half were used took 0.165 s an epoch instead of 0.229 s, and 2.2 s longer to compile.
LEAST_TIMESTEPS = 32


class Run(NamedTuple):
    """What a training run leaves.

    Attributes:
        model: the trained `keras.Model`.
        metrics: test set -> metrics.
        path: the run folder.
        metadata: what `metadata.json` holds.
        predictor: the `Predictor` of the trained model.
    """

    model: keras.Model
    metrics: dict
    path: Path
    metadata: dict
    predictor: Predictor


class Trained(NamedTuple):
    """A model after its recipe, before anything is written."""

    model: keras.Model
    history: list[dict[str, Any]]
    rounding: str | None
    examples: int
    data_sha256: str


def train(
    preset, *, seed=None, run_dir=None, data=None, overrides=(), force=False, tensorboard=False, progress=None, notice=None
):
    """Trains a preset, scores it on its test sets and writes a run folder, a preset's folder in form.

    The folder holds `preset.toml` (overrides included), `model.weights.h5`, `metadata.json`, `history.csv`, `README.md`
    (the model card), `saved_model/NAME/1/`, and `data.csv` and `logs/` where `data` and `tensorboard` ask for them.

    A run that is ended before it is complete, however that comes, goes on with `resume`, and its weights and scores are then
    bit for bit those of a run that was not (on the same machine, on CPUs; with GPUs, where operations are deterministic).
    Until then it is in `unfinished/` in its folder (see `rnnzoo.runs`), with a copy of `data`. Checkpoints are written when
    a stage begins or ends, when an interrupt comes, and else after an epoch where a second has gone by since the last one,
    and 20 times what that took: an epoch of a small preset takes milliseconds. So a run goes on from the last checkpoint,
    and what a kill costs is a second or an epoch, whichever is longer. A run that is refused before it has begun leaves
    nothing.

    While it trains in the main thread, Ctrl-C and SIGTERM end it after the current step; a second one ends it at once.

    Args:
        preset: a `Preset`, a name or a folder.
        seed: of initial weights and order of examples; the preset's own if `None`.
        run_dir: the folder to write; a new numbered one under `runs/` if `None`.
        data: a CSV file of `input,answer` lines that replaces the preset's data; a seeded 20 % of it is held out. A run
            that was itself trained on such a file is trained on it again if `None`.
        overrides: strings such as `training.epochs=5`.
        force: whether an existing run folder is replaced: an unfinished run at once, a complete one when the new one is
            complete.
        tensorboard: whether to write TensorBoard logs.
        progress: called as `progress(stage, done, total, figures)`, with `figures` a dict.
        notice: called with a line of text where something is not as it should be and the run goes on all the same.

    Returns:
        A `Run`.

    Raises:
        InputError: the preset, an override, the data or the output is wrong, or another process trains in the folder.
        TrainingError: the loss or the weights are no longer finite; the last good weights stay in `unfinished/`.
        RunInterrupted: Ctrl-C or SIGTERM came.
        MissingExtraError: TensorBoard logs were asked for, and the extra `tensorboard` is absent.
    """
    overrides = [*overrides, *([] if seed is None else [f"training.seed={seed}"])]
    preset = override(preset if isinstance(preset, Preset) else load_preset(preset), overrides)
    _check_tensorboard(tensorboard)
    path = next_run(preset.name) if run_dir is None else Path(run_dir)
    task = create_task(preset)
    data = preset.own_data if data is None else data
    own = None if data is None else read_split(data, task)
    about = {
        "epochs": _epochs(preset),
        "data": None if data is None else Path(data).name,
        "tensorboard": tensorboard,
        **versions(),
    }
    work = Workspace.begin(path, dumps({"name": preset.name, **preset.content()}), data, about, force)
    return _go_on(work, preset, task, own, progress, notice)


def resume(run_dir, *, progress=None, notice=None):
    """Goes on with a run that was interrupted, to the bits that it would have had; see `train`. A complete one is returned.

    Args:
        run_dir: the run folder.
        progress: as for `train`.
        notice: as for `train`: a damaged checkpoint, for one, where the one before it is used.

    Returns:
        A `Run`.

    Raises:
        InputError: there is no such run, another process trains it, it failed for a reason that stays, its files or the
            versions of the libraries are not those that it began with, or none of its checkpoints is whole.
        TrainingError, RunInterrupted, MissingExtraError: as for `train`.
    """
    run_dir = Path(run_dir)
    work = Workspace.take_over(run_dir, versions())
    if work is None:
        predictor = from_preset(run_dir)
        metadata = predictor.preset.metadata()
        return Run(predictor.model, metadata["metrics"], run_dir, metadata, predictor)
    try:
        preset = load_preset(work.folder)
        _check_tensorboard(work.about["tensorboard"])
        task = create_task(preset)
        own = None if preset.own_data is None else read_split(preset.own_data, task)
    except BaseException:
        work.close()
        raise
    return _go_on(work, preset, task, own, progress, notice)


def _go_on(work, preset, task, own, progress, notice):
    """A run from where it is to its end, or how it stands when it does not get there."""
    progress = progress or (lambda stage, done, total, figures: None)
    preset, predictor, kept = preset.model_copy(update={"folder": work.folder}), None, None
    try:
        with Stop() as stop:
            kept = Checkpoints(work.folder, stop, notice or (lambda line: None))
            if not work.placing:
                logs = work.folder / LOGS if work.about["tensorboard"] else None
                trained = fit(preset, task, own=own, logs=logs, progress=progress, kept=kept)
                predictor = Predictor(trained.model, preset, task)
                write_result(work, predictor, trained, kept, progress)
            with stop.working():  # a request that comes now is one too late
                work.place()
    except KeyboardInterrupt as error:
        work.set_state(INTERRUPTED)
        if isinstance(error, Stopped):
            epochs = f"{kept.epochs if kept else 0} of {work.about['epochs']} epochs"
            line = f"interrupted after {epochs}; go on with `{resume_line(work.run)}`"
            raise RunInterrupted(line, error.signal) from None
        raise
    except BaseException as error:
        final = isinstance(error, TrainingError)  # the same bits lead to the same end
        if work.new and not final and not (kept and kept.epochs):
            work.discard()
        else:
            with contextlib.suppress(OSError, InputError):  # on a full disk; the lock tells as much
                work.set_state(FAILED, str(error), final)
        raise
    finally:
        work.close()
    if predictor is None:
        predictor = from_preset(work.run)
    predictor.preset = preset.model_copy(update={"folder": work.run})
    metadata = predictor.preset.metadata()
    return Run(predictor.model, metadata["metrics"], work.run, metadata, predictor)


def fit(
    preset, task, *, own=None, logs=None, progress=lambda *_: None, stage="training", never=frozenset(), kept=None, depth=0
):
    """The preset's model after its recipe: pretraining, epochs, rounding.

    Args:
        preset: the `Preset`.
        task: its task.
        own: `Examples` of the user's instead of the task's, a pair: those to train on, and those held out.
        logs: a folder for TensorBoard, or `None`.
        progress: see `train`.
        stage: what the progress is called.
        never: inputs that must not be trained on.
        kept: the `Checkpoints` to go on from and to write; none if `None`.
        depth: how many recipes this one is the pretraining of, one within the other.

    Returns:
        A `Trained`.

    Raises:
        TrainingError: the loss or a weight is no longer finite. The last checkpoint is of the epoch before.
    """
    kept = kept or Checkpoints()
    recipe = preset.training
    training, held_out = own or (task.train(), task.first_test())
    if never:
        training = training.take([i for i, raw in enumerate(training.inputs) if key(raw) not in never])
    model = build(preset, seed=recipe.seed)
    at = kept.position(depth)
    done, history, examples = (at.done, list(at.history), list(at.examples)) if at else (0, [], [])
    if recipe.pretrain:
        never_in_it = frozenset(never | set(map(key, held_out.inputs)))
        history += _pretrain(model, preset, progress, never_in_it, kept, depth + 1, finished=at is not None)
    stages = _stages(recipe, task, training, bool(own or never), stage)
    log = _Log(logs, history[len(history) - done :], task.metric)
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
        with kept.working():
            for epoch in range(done - index * recipe.epochs, recipe.epochs):
                started = time.perf_counter()
                loss, right = _epoch(epochs, recipe, done, kept.check)
                if not math.isfinite(loss):
                    what = f"the loss of epoch {epoch + 1}, step {epochs.steps_run} is {loss}"
                    _stop(preset, name, what, kept, model, epochs, Position(depth, done, history, examples))
                done += 1
                figures = {"loss": loss, task.metric: right}
                seconds = round(time.perf_counter() - started, 4)
                history.append({"stage": name, "epoch": epoch + 1, **figures, "seconds": seconds})
                log.add(done, figures)
                progress(name, epoch + 1, recipe.epochs, figures)
                if kept.due(epoch + 1 == recipe.epochs):
                    if not finite(model):
                        what = f"the weights after epoch {epoch + 1}, step {epochs.steps_run} are not finite"
                        _stop(preset, name, what, kept, model, epochs, Position(depth, done - 1, history[:-1], examples))
                    kept.save(model, optimizer, Position(depth, done, history, examples))
                kept.check()
    log.close()
    return Trained(model, history, _round(model, recipe), sum(examples), _examples_sha256(training))


def _epoch(epochs, recipe, done, between=None):
    """The epoch after so many others: its order, and with a curriculum its rate, follow from their number."""
    if recipe.curriculum:
        epochs.optimizer.learning_rate = _rate(recipe, done)
    order = np.random.default_rng([recipe.seed, done]).permutation(epochs.examples)
    return epochs.run(order, between)


def _stop(preset, stage, what, kept, model, epochs, before):
    """Ends a run that cannot go on: the last checkpoint becomes that of a `Position`, and what could be tried is said."""
    at = kept.position(before.depth)
    if at is not None and at.done < before.done:
        # Once more from the last checkpoint, a second or so: to keep the weights of every epoch would take longer.
        kept.restore(model, epochs.optimizer)
        for done in range(at.done, before.done):
            _epoch(epochs, preset.training, done, kept.check)
        if finite(model):
            kept.save(model, epochs.optimizer, before)
    of_stage = "" if stage == "training" else f" ({stage})"
    raise TrainingError(f"{what}{of_stage}: the run was stopped; try {_otherwise(preset)}")


def _otherwise(preset):
    """What of a recipe to try otherwise when its loss is no longer finite."""
    recipe, known = preset.training, factory_arguments(preset.architecture)
    ways = [] if recipe.clip_norm else ["--set training.clip_norm=1"]
    ways.append(f"a smaller training.learning_rate than {recipe.learning_rate:g}")
    for name, (_, default, _) in known.items():
        if name.endswith("recurrent_initializer") and preset.model.get(name, default) != "orthogonal":
            ways.append(f"--set model.{name}=orthogonal")
    return " or ".join(filter(None, [", ".join(ways[:-1]), ways[-1]]))


class _Log:
    """TensorBoard logs of the epochs, those that were before included."""

    def __init__(self, folder, history, metric):
        self._writer = None
        if folder is not None:
            remove(folder)  # of a run that goes on: it may hold what came after its last checkpoint
            self._writer = tf.summary.create_file_writer(str(folder))
        for done, row in enumerate(history, 1):
            self.add(done, {name: row[name] for name in ("loss", metric)})

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


def _stages(recipe, task, training, given, name):
    """(name, function that gives the examples) of each stage of training: one, or those of a curriculum.

    `given` lets none but those examples be used.
    """
    if recipe.curriculum is None:
        return [(name, lambda: training)]

    def part(i, timesteps):
        return no_longer_than(task, training, timesteps) if given else task.up_to(timesteps, i)

    return [
        (f"{name}, up to {timesteps}", functools.partial(part, i, timesteps))
        for i, timesteps in enumerate(recipe.curriculum.timesteps)
    ]


def _rate(recipe, done):
    """The learning rate of a curriculum's epoch after so many others."""
    part = done / (len(recipe.curriculum.timesteps) * recipe.epochs)
    return recipe.learning_rate * ((1 + math.cos(math.pi * part)) / 2 if recipe.schedule == "cosine" else 1)


def _epochs(preset):
    """How many epochs its recipe has, those of pretraining included."""
    recipe = preset.training
    stages = len(recipe.curriculum.timesteps) if recipe.curriculum else 1
    return stages * recipe.epochs + (_epochs(_first(preset)) if recipe.pretrain else 0)


def _check_tensorboard(asked):
    if asked and importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard logs need the package tensorboard: pip install 'rnnzoo[tensorboard]'")


def next_run(name):
    """`runs/NAME-1`, or the first number that no run has or is being written under."""
    number, runs = 1, Path("runs")
    while (runs / f"{name}-{number}").exists() or list(runs.glob(f".{name}-{number}.*.partial")):
        number += 1
    return runs / f"{name}-{number}"


def prepare(preset, model, task, examples, optimizer=None):
    """The `CompiledEpochs` of a preset's model over training examples, with the targets as inputs where it writes.

    With an optimizer of its own, or one that goes on from a stage before.
    """
    recipe = preset.training
    checked = [task.input.check(raw) for raw in examples.inputs]
    model, inputs, targets, weights = as_taught(preset, model, task, checked, examples.answers)
    # Short sequences are not worth the compiling of several lengths.
    lengths = np.array([task.input.steps(raw) for raw in checked])
    ragged = not isinstance(inputs, dict) and task.input.pads and lengths.max() >= LEAST_TIMESTEPS
    return CompiledEpochs(
        model,
        make_loss(preset),
        optimizer or make_optimizer(recipe, steps_per_epoch(len(examples.inputs), recipe.batch_size)),
        inputs,
        targets,
        weights,
        batch_size=recipe.batch_size,
        correct=task.answer.correct,
        lengths=lengths if ragged else None,
    )


def _first(preset):
    """The preset that is trained first."""
    spec = preset.training.pretrain
    return load_preset(spec.preset, [*spec.set, f"training.seed={preset.training.seed}"])


def _pretrain(model, preset, progress, never, kept, depth, finished):
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
        reason = str(error).splitlines()[0]
        raise InputError(f"{preset.name}: training.pretrain.layers: {to} = '{source}': {reason}") from None


def _round(model, recipe):
    """Rounds where the recipe says so; why not, where that is refused."""
    if recipe.round_weights:
        try:
            round_weights(model)
        except RoundingRefused as error:
            return str(error)
    return None


def _examples_sha256(examples):
    if not any(isinstance(raw, np.ndarray) for raw in examples.inputs):
        return hashlib.sha256(json.dumps([examples.inputs, examples.answers]).encode()).hexdigest()
    digest = hashlib.sha256(json.dumps([[raw.shape for raw in examples.inputs], examples.answers]).encode())
    for raw in examples.inputs:
        digest.update(raw.astype("<f4").tobytes())
    return digest.hexdigest()
