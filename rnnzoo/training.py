"""Training a preset: from its recipe to a folder of the same form."""

import csv
import hashlib
import importlib.util
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import rnnzoo
from rnnzoo.building import as_taught, build, create_task, sha256
from rnnzoo.cards import card
from rnnzoo.epochs import CompiledEpochs, make_loss, make_optimizer, steps_per_epoch
from rnnzoo.errors import InputError, MissingExtraError, TrainingError
from rnnzoo.evaluating import evaluate, read_split
from rnnzoo.exporting import write_saved_model
from rnnzoo.files import fresh_output
from rnnzoo.predicting import Predictor
from rnnzoo.registry import CARD, DATA, METADATA, PRESET, WEIGHTS, Preset, load_preset, override
from rnnzoo.rounding import RoundingRefused, round_weights
from rnnzoo.tasks._task import key, no_longer_than, plain
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


def train(preset, *, seed=None, run_dir=None, data=None, overrides=(), force=False, tensorboard=False, progress=None):
    """Trains a preset, scores it on its test sets and writes a run folder, a preset's folder in form.

    The folder holds `preset.toml` (overrides included), `model.weights.h5`, `metadata.json`, `history.csv`, `README.md`
    (the model card), `saved_model/NAME/1/`, and `data.csv` and `logs/` where `data` and `tensorboard` ask for them. It
    appears when it is complete; a run that failed or was interrupted leaves nothing.

    Args:
        preset: a `Preset`, a name or a folder.
        seed: of initial weights and order of examples; the preset's own if `None`.
        run_dir: the folder to write; a new numbered one under `runs/` if `None`.
        data: a CSV file of `input,answer` lines that replaces the preset's data; a seeded 20 % of it is held out. A run
            that was itself trained on such a file is trained on it again if `None`.
        overrides: strings such as `training.epochs=5`.
        force: whether an existing run folder is replaced.
        tensorboard: whether to write TensorBoard logs.
        progress: called as `progress(stage, done, total, figures)`, with `figures` a dict.

    Returns:
        A `Run`.

    Raises:
        InputError: the preset, an override, the data or the output is wrong.
        TrainingError: the loss is no longer finite.
        MissingExtraError: TensorBoard logs were asked for, and the extra `tensorboard` is absent.
    """
    started = time.perf_counter()
    overrides = [*overrides, *([] if seed is None else [f"training.seed={seed}"])]
    preset = override(preset if isinstance(preset, Preset) else load_preset(preset), overrides)
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard logs need the package tensorboard: pip install 'rnnzoo[tensorboard]'")
    path = next_run(preset.name) if run_dir is None else Path(run_dir)
    progress = progress or (lambda stage, done, total, figures: None)
    task = create_task(preset)
    data = preset.own_data if data is None else data
    own = None if data is None else read_split(data, task)
    with fresh_output(path, force, marker=PRESET, folder=True) as folder:
        trained = fit(preset, task, own=own, logs=folder / "logs" if tensorboard else None, progress=progress)
        if data is not None:
            shutil.copyfile(data, folder / DATA)
        predictor = Predictor(trained.model, preset.model_copy(update={"folder": folder}), task)
        metrics = evaluate(predictor, progress=lambda name, done, total: progress(f"scoring {name}", done, total, {}))
        trained.model.save_weights(folder / WEIGHTS)
        metadata = _metadata(preset, trained, task, metrics, data, folder, predictor)
        (folder / PRESET).write_text(dumps({"name": preset.name, **preset.content()}), encoding="utf-8")
        _write_history(folder / "history.csv", trained.history)
        progress("exporting", 0, 1, {})
        write_saved_model(predictor, folder / "saved_model" / preset.name)
        progress("exporting", 1, 1, {})
        metadata["training_seconds"] = round(time.perf_counter() - started, 1)
        (folder / CARD).write_text(card(preset, metadata), encoding="utf-8")
        # Last: a folder without it is no trained preset.
        (folder / METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    predictor.preset = preset.model_copy(update={"folder": path})
    return Run(trained.model, metrics, path, metadata, predictor)


def fit(preset, task, *, own=None, logs=None, progress=lambda *_: None, stage="training", never=frozenset()):
    """The preset's model after its recipe: pretraining, epochs, rounding.

    Args:
        preset: the `Preset`.
        task: its task.
        own: `Examples` of the user's instead of the task's, a pair: those to train on, and those held out.
        logs: a folder for TensorBoard, or `None`.
        progress: see `train`.
        stage: what the progress is called.
        never: inputs that must not be trained on.

    Returns:
        A `Trained`.
    """
    recipe = preset.training
    training, held_out = own or (task.train(), task.first_test())
    if never:
        training = training.take([i for i, raw in enumerate(training.inputs) if key(raw) not in never])
    model = build(preset, seed=recipe.seed)
    history = []
    if recipe.pretrain:
        history += _pretrain(model, preset, progress, frozenset(never | set(map(key, held_out.inputs))))
    writer = None if logs is None else tf.summary.create_file_writer(str(logs))
    count, done, optimizer = 0, 0, None
    for name, part in _stages(recipe, task, training, bool(own or never), stage):
        epochs = prepare(preset, model, task, part, optimizer)
        optimizer, count = epochs.optimizer, count + epochs.examples
        for epoch in range(recipe.epochs):
            started = time.perf_counter()
            if recipe.curriculum:
                optimizer.learning_rate = _rate(recipe, done)
            order = np.random.default_rng([recipe.seed, done]).permutation(epochs.examples)
            done += 1
            loss, right = epochs.run(order)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss of epoch {epoch + 1} is {loss}: the run was stopped; try --set training.clip_norm=1 or a "
                    f"smaller training.learning_rate than {recipe.learning_rate:g}"
                )
            figures = {"loss": loss, task.metric: right}
            history.append(
                {"stage": name, "epoch": epoch + 1, **figures, "seconds": round(time.perf_counter() - started, 4)}
            )
            if writer:
                with writer.as_default(step=done):
                    for metric, value in figures.items():
                        tf.summary.scalar(metric, value)
            progress(name, epoch + 1, recipe.epochs, figures)
    if writer:
        writer.close()
    return Trained(model, history, _round(model, recipe), count, _examples_sha256(training))


def _stages(recipe, task, training, given, name):
    """(name, examples) of each stage of training: one, or those of a curriculum; `given` lets none but those be used."""
    if recipe.curriculum is None:
        yield name, training
        return
    for i, timesteps in enumerate(recipe.curriculum.timesteps):
        part = no_longer_than(task, training, timesteps) if given else task.up_to(timesteps, i)
        yield f"{name}, up to {timesteps}", part


def _rate(recipe, done):
    """The learning rate of a curriculum's epoch after so many others."""
    part = done / (len(recipe.curriculum.timesteps) * recipe.epochs)
    return recipe.learning_rate * ((1 + math.cos(math.pi * part)) / 2 if recipe.schedule == "cosine" else 1)


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


def _pretrain(model, preset, progress, never):
    """Trains the recipe of another preset first, and hands its layers' weights over."""
    spec = preset.training.pretrain
    first = load_preset(spec.preset, [*spec.set, f"training.seed={preset.training.seed}"])
    trained = fit(first, create_task(first), progress=progress, stage=f"pretraining {first.name}", never=never)
    if first.training.round_weights and trained.rounding:
        raise TrainingError(f"pretraining {first.name}: {trained.rounding}")
    for to, source in spec.layers.items():
        try:
            model.get_layer(to).set_weights(trained.model.get_layer(source).get_weights())
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{preset.name}: training.pretrain.layers: {to} = '{source}': {reason}") from None
        model.get_layer(to).trainable = not spec.freeze
    return trained.history


def _round(model, recipe):
    """Rounds where the recipe says so; why not, where that is refused."""
    if recipe.round_weights:
        try:
            round_weights(model)
        except RoundingRefused as error:
            return str(error)
    return None


def _metadata(preset, trained, task, metrics, data, folder, predictor):
    samples = task.samples()
    return {
        "name": preset.name,
        "rnnzoo_version": rnnzoo.__version__,
        "keras_version": keras.__version__,
        "tensorflow_version": tf.__version__,
        "seed": preset.training.seed,
        "parameters": trained.model.count_params(),
        "dataset": {
            "name": preset.task if data is None else Path(data).name,
            "source": task.source if data is None else DATA,
            "training_examples": trained.examples,
            "sha256": trained.data_sha256 if data is None else sha256(folder / DATA),
        },
        "metrics": metrics,
        "rounded": preset.training.round_weights and trained.rounding is None,
        **({"not_rounded": trained.rounding} if trained.rounding else {}),
        "examples": [
            {"input": plain(raw), "answer": answer} for raw, answer in zip(samples, predictor.predict(samples), strict=True)
        ],
        "weights_sha256": sha256(folder / WEIGHTS),
        "preset_sha256": preset.fingerprint(),
    }


def _examples_sha256(examples):
    if not any(isinstance(raw, np.ndarray) for raw in examples.inputs):
        return hashlib.sha256(json.dumps([examples.inputs, examples.answers]).encode()).hexdigest()
    digest = hashlib.sha256(json.dumps([[raw.shape for raw in examples.inputs], examples.answers]).encode())
    for raw in examples.inputs:
        digest.update(raw.astype("<f4").tobytes())
    return digest.hexdigest()


def _write_history(path, history):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in history for key in row)))
        writer.writeheader()
        writer.writerows(history)
