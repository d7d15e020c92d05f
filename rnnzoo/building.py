"""From presets to models."""

import hashlib
import importlib
import inspect

import keras

from rnnzoo import tasks
from rnnzoo.errors import InputError
from rnnzoo.registry import METADATA, WEIGHTS, Preset, load_preset


def architecture_module(architecture):
    """The module of an architecture: its factory, and `teacher_forced` and `inference` where there are any."""
    return importlib.import_module(f"rnnzoo.architectures.{architecture}")


def factory(architecture):
    """The factory of an architecture."""
    return getattr(architecture_module(architecture), architecture)


def create_task(preset):
    """The preset's task, with its options."""
    return tasks.create(preset.task, **preset.task_options)


def build(preset, *, seed=None):
    """The untrained model of a preset, a plain `keras.Model`.

    Args:
        preset: a `Preset`, a name or a folder.
        seed: makes the initial weights (and all that Keras draws after them) reproducible, by
            `keras.utils.set_random_seed`; `None` leaves the random state alone.

    Raises:
        InputError: there is no such preset, or its arguments do not fit.
    """
    preset = preset if isinstance(preset, Preset) else load_preset(preset)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    return build_architecture(preset.architecture, preset.model, create_task(preset), preset.name)


def build_architecture(architecture, arguments, task, name):
    """The model of an architecture for a task.

    Raises:
        InputError: the architecture cannot do the task, or an argument is the task's to decide.
    """
    create = factory(architecture)
    given = task.model_arguments(architecture)
    taken = sorted(set(given) & set(arguments))
    if taken:
        raise InputError(f"{name}: model.{taken[0]} follows from the task and cannot be set")
    unknown = sorted(set(given) - set(inspect.signature(create).parameters))
    if unknown:
        raise InputError(f"{name}: the architecture {architecture} cannot do this task: it takes no {unknown[0]}")
    return create(**given, **arguments, name=name.replace("-", "_"))


def load_trained(preset):
    """The model of a preset with its trained weights.

    Raises:
        InputError: the weights are missing, altered (checksum), of another recipe or of another shape.
    """
    metadata = preset.metadata()
    path = preset.folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"{path}: missing; train again (`rnnzoo train {preset.name}`) or restore it")
    if sha256(path) != metadata["weights_sha256"]:
        raise InputError(f"{path}: the checksum is not the one in {METADATA}: the file is truncated or was altered")
    if preset.fingerprint() != metadata.get("preset_sha256"):
        raise InputError(f"{preset.folder / 'preset.toml'}: changed since the weights were trained; train again or restore it")
    model = build(preset)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: the weights do not fit the model: {reason}") from None
    return model


def sha256(path):
    """The sha256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
