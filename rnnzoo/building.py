"""From presets to models."""

import importlib
import inspect
import json
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np

from rnnzoo import tasks
from rnnzoo.bounded import first_line
from rnnzoo.checkpoints import restore_last
from rnnzoo.errors import InputError, nearest
from rnnzoo.files import fresh_output, sha256
from rnnzoo.registry import (
    LEARNED,
    METADATA,
    STATE,
    WEIGHTS,
    Preset,
    architecture_name,
    check_factory_arguments,
    check_size,
    factory_arguments,
    list_architectures,
    list_presets,
    load_preset,
    parse_override,
)
from rnnzoo.strangers import check_model, check_weights
from rnnzoo.tasks._answers import LONGEST


def architecture_module(architecture):
    """The module of an architecture: its factory, and `teacher_forced` and `inference` where there are any."""
    return importlib.import_module(f"rnnzoo.architectures.{architecture}")


def factory(architecture):
    """The factory of an architecture."""
    return getattr(architecture_module(architecture), architecture)


def create_task(preset):
    """The preset's task, with its options and what was learned from examples where that lies in its folder.

    Raises:
        InputError: an option is wrong, or the file is damaged.
    """
    task = new_task(preset)
    names = task.learns or (task.learns_own if preset.data is not None else ())
    learned = preset.learned() if names else None
    if learned is not None:
        try:
            task.recall({name: _as_learned(name, learned[name]) for name in names})
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{preset.folder / LEARNED}: damaged ({error!r}); train again or restore it") from None
    return task


def _as_learned(name, value):
    """A vocabulary or the like: a text, or a list of different texts; of keys of a piano, of different whole numbers.

    And how long an answer may be, a number.
    """
    if name == "max_length":
        if type(value) is not int or not 0 < value <= LONGEST:
            raise ValueError(f"{name} is {value!r}; expected a number from 1 to {LONGEST:,}")
        return value
    entries = [value] if isinstance(value, str) else value
    kinds = {type(entry) for entry in entries} if isinstance(entries, list) else set()
    if kinds != ({int} if name == "keys" else {str}) or len({*entries}) < len(entries) or "" in entries:
        raise ValueError(f"{name} is no text, nor a list of different texts or whole numbers")
    return value


def new_task(preset, own=False):
    """The preset's task, with its options, and with nothing learned yet; `own` is whether a user's examples are for it."""
    task = tasks.create(preset.task, **preset.task_options)
    if own:
        task.open()
    return task


def learned_text(preset, task):
    """The text of the file that keeps what a task has learned, an entry a line; `None` where there is nothing."""
    if task.learned is None:
        return None
    content = {"task_options": preset.task_options, **task.learned}
    return json.dumps(content, indent=0, ensure_ascii=False) + "\n"


def build(preset, *, seed=None, task=None):
    """The untrained model of a preset, a plain `keras.Model`.

    Args:
        preset: a `Preset`, a name or a folder.
        seed: makes the initial weights (and all that Keras draws after them) reproducible, by
            `keras.utils.set_random_seed`; `None` leaves the random state alone.
        task: its task, where that is there already.

    Raises:
        InputError: there is no such preset, or its arguments do not fit.
    """
    preset = preset if isinstance(preset, Preset) else load_preset(preset)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    task = create_task(preset) if task is None else task
    model = build_architecture(preset.architecture, preset.model, task, preset.name)
    _begin(model, preset)
    return model


def short_path(variable):
    """`hidden/kernel`: a variable's path without the cell, of which a layer has one."""
    return variable.path.replace("simple_rnn_cell/", "")


def _begin(model, preset):
    """Gives the weights the values that the preset begins with, and freezes what is not trained."""
    variables = {short_path(variable): variable for variable in model.variables if "seed_generator" not in variable.path}
    for key, paths in (("initial", preset.initial), ("frozen", preset.frozen)):
        for path in paths:
            if path not in variables:
                hint = nearest(path, variables) or f"; there are {', '.join(variables)}"
                raise InputError(f"{preset.name}: {key}: the model has no variable '{path}'{hint}")
    for path, values in preset.initial.items():
        shape = tuple(variables[path].shape)
        try:
            array = np.array(values, np.float64)
        except (ValueError, TypeError):
            raise InputError(f"{preset.name}: initial.{path}: expected numbers of shape {shape}") from None
        if array.shape != shape:
            raise InputError(f"{preset.name}: initial.{path}: its shape is {array.shape}; expected {shape}")
        variables[path].assign(array)
    for path in preset.frozen:
        variables[path].trainable = False


def build_architecture(architecture, arguments, task, name):
    """The model of an architecture for a task.

    Raises:
        InputError: the architecture cannot do the task, or an argument is the task's to decide.
    """
    create = factory(architecture)
    given = task.model_arguments(architecture)
    check_size({**given, **arguments}, name)
    taken = sorted(set(given) & set(arguments))
    if taken:
        raise InputError(f"{name}: model.{taken[0]} follows from the task and cannot be set")
    unknown = sorted(set(given) - set(inspect.signature(create).parameters))
    if unknown:
        raise InputError(f"{name}: the architecture {architecture} cannot do this task: it takes no {unknown[0]}")
    return create(**given, **arguments, name=name.replace("-", "_"))


def as_taught(preset, model, task, checked, answers):
    """The model as it is trained, and what it is given: the targets as inputs too, where it writes.

    Args:
        preset: the `Preset`.
        model: its model.
        task: its task.
        checked: raw inputs as the task's check returned them.
        answers: their right answers.

    Returns:
        The model, or its twin on the same weights; its inputs, an array or a dict of arrays; the targets; and how much each
        counts.
    """
    return taught_twin(preset, model), *taught_arrays(preset, model, task, checked, answers)


def taught_twin(preset, model):
    """The model as it is trained: itself, or its twin on the same weights that is given the targets."""
    module = architecture_module(preset.architecture)
    return module.teacher_forced(model) if hasattr(module, "teacher_forced") else model


def taught_arrays(preset, model, task, checked, answers):
    """The inputs, the targets and their weights of `as_taught`."""
    inputs = task.input.front(task.input.tensor(checked)).numpy()
    targets, weights = task.answer.targets(answers)
    if hasattr(architecture_module(preset.architecture), "teacher_forced"):
        return {"inputs": inputs, "target": targets}, targets, weights
    if "target" in {tensor.name for tensor in model.inputs}:
        # Teacher forcing: at every step the token before, beginning with the end token, which also starts a text.
        fed = np.concatenate([np.full_like(targets[:, :1], task.answer.end_token), targets[:, :-1]], axis=1)
        inputs = {"source": inputs, "target": fed * (targets != 0)}
    return inputs, targets, weights


def load_trained(preset):
    """The model of a preset with its trained weights, or of `RUN/unfinished` with those of the last checkpoint.

    Raises:
        InputError: the weights are missing, altered (checksum), of another recipe or of another shape, or not finite.
    """
    if (preset.folder / STATE).is_file():
        model = build(preset)
        restore_last(preset.folder, model)
        _check_finite(model, preset.folder)
        return model
    metadata = preset.metadata()
    path = preset.folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"{path}: missing; train again (`rnnzoo train {preset.name}`) or restore it")
    if sha256(path) != metadata["weights_sha256"]:
        raise InputError(f"{path}: the checksum is not the one in {METADATA}: the file is truncated or was altered")
    learned = preset.folder / LEARNED
    if "learned_sha256" in metadata and not learned.is_file():
        raise InputError(f"{learned}: missing; train again (`rnnzoo train {preset.name}`) or restore it")
    if "learned_sha256" in metadata and sha256(learned) != metadata["learned_sha256"]:
        raise InputError(f"{learned}: the checksum is not the one in {METADATA}: the file is truncated or was altered")
    if preset.fingerprint() != metadata.get("preset_sha256"):
        raise InputError(
            f"{preset.folder / 'preset.toml'}: changed since the weights were trained; train again or restore it"
        )
    task = create_task(preset)
    if task.learns and task.learned is None:
        raise InputError(f"{learned}: missing, or of other task_options; train again (`rnnzoo train {preset.name}`)")
    model = build(preset, task=task)
    check_weights(path, model.count_params())
    try:
        with warnings.catch_warnings(action="ignore"):  # what does not fit is an error, not a warning before it
            model.load_weights(path)
    except Exception as error:  # what a damaged file raises is anything
        raise InputError(f"{path}: the weights do not fit the model: {first_line(error)}") from None
    _check_finite(model, path)
    return model


def _check_finite(model, path):
    """Refuses weights that answer with whatever comes of what is no number."""
    for variable in model.variables:
        if not np.isfinite(variable.numpy()).all():
            what = f"damaged ({short_path(variable)} is not finite)"
            raise InputError(f"{path}: {what}; train again or restore it")


def save_weights(model, path, storage="float32"):
    """Writes the weights to a `.weights.h5` file, those of 32-bit floats as the float type that `storage` names."""
    model.save_weights(path)
    if storage != "float32":
        whole = path.with_name(f"whole-{path.name}")
        path.rename(whole)
        with h5py.File(whole) as source, h5py.File(path, "w") as target:
            _copy(source, target, storage)
        whole.unlink()


def _copy(source, target, storage):
    """Copies a group of an HDF5 file, with 32-bit floats as another type."""
    target.attrs.update(source.attrs)
    for name, entry in source.items():
        if isinstance(entry, h5py.Group):
            _copy(entry, target.create_group(name), storage)
        else:
            dtype = storage if entry.dtype == np.float32 else entry.dtype
            target.create_dataset(name, data=entry[()].astype(dtype)).attrs.update(entry.attrs)


def load_model(path):
    """The model of a `.keras` file.

    Raises:
        InputError: there is none, or it is damaged or holds what rnnzoo does not know.
    """
    import rnnzoo.layers  # noqa: F401  registers what the file may name

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    check_model(path)
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # what a damaged archive raises is anything
        raise InputError(f"{path}: cannot be loaded as a Keras model: {first_line(error)}") from None


# What an architecture's sizes are where nobody says: small enough to read.
SMALL = {"features": 8, "outputs": 4, "timesteps": 10}


def start(name, overrides=(), *, seed=None):
    """The untrained model of an architecture or a preset.

    Args:
        name: an architecture (`many-to-one`), or a preset's name or folder.
        overrides: strings: `units=64` for an architecture, `model.units=64` for a preset.
        seed: as for `build`.

    Returns:
        The model, and a dict of the sizes that were not given.

    Raises:
        InputError: there is neither, or an argument is wrong.
    """
    architecture = architecture_name(name)
    if architecture is None:
        return build(_preset(name, overrides), seed=seed), {}
    known = factory_arguments(architecture)
    given = {}
    for override in overrides:
        keys, value = parse_override(override)
        given[".".join(keys[1:] if keys[0] == "model" and len(keys) > 1 else keys)] = value
    given = check_factory_arguments(architecture, given, "--set")
    defaults = {key: size for key, size in SMALL.items() if key in known and key not in given}
    if "vocabulary_size" in given:
        defaults.pop("features", None)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    check_size({**defaults, **given}, "--set")
    return factory(architecture)(**defaults, **given), defaults


def _preset(name, overrides):
    try:
        return load_preset(name, overrides)
    except InputError as error:
        if not str(error).startswith("unknown preset"):
            raise
        known = [*list_presets(), *(architecture.replace("_", "-") for architecture in list_architectures())]
        raise InputError(
            f"unknown preset or architecture '{name}'{nearest(name, known)}; architectures are "
            f"{', '.join(a.replace('_', '-') for a in list_architectures())}; `rnnzoo list` shows the presets"
        ) from None


def describe(model):
    """A model's inputs, outputs, parameters and layers, as plain values; `None` in a shape is any size."""
    # A layer that is called twice shows what it gives the model where it gives the model's output.
    final = dict(zip(model.output_names, model.outputs, strict=True))
    return {
        "name": model.name,
        "inputs": {tensor.name: list(tensor.shape) for tensor in model.inputs},
        "outputs": {name: list(tensor.shape) for name, tensor in final.items()},
        "parameters": model.count_params(),
        "layers": [
            {
                "name": layer.name,
                "class": type(layer).__name__,
                "output_shapes": [list(tensor.shape) for tensor in keras.tree.flatten(final.get(layer.name, layer.output))],
                "parameters": layer.count_params(),
            }
            for layer in model.layers
        ],
    }


def save_or_draw(model, path, *, force=False):
    """Saves a model as `.keras`, or draws it as `.png` or `.svg`.

    Raises:
        InputError: the ending is another one, or the file exists.
        MissingExtraError: drawing needs the extra `plot`.
    """
    if path.suffix not in (".keras", ".png", ".svg"):
        raise InputError(f"{path}: expected a name that ends in .keras (the model), .png or .svg (a drawing)")
    with fresh_output(path, force) as partial:
        if path.suffix == ".keras":
            model.save(partial)
        else:
            from rnnzoo.drawing import draw

            draw(model, partial)
