"""Small networks worked by hand: every number of one step of gradient descent, with its formula and the numbers in it."""

import contextlib
from typing import Any, NamedTuple

import keras
import numpy as np

from rnnzoo.building import build, create_task, short_path
from rnnzoo.epochs import make_loss
from rnnzoo.errors import InputError
from rnnzoo.explaining._parts import DenseTrace, RecurrentTrace, Trace
from rnnzoo.explaining._trace import trace
from rnnzoo.explaining._work import SLOPES, Line
from rnnzoo.explaining._work_dense import DenseWork
from rnnzoo.explaining._work_recurrent import RecurrentWork
from rnnzoo.registry import Preset, load_preset

MOST = 64  # weights: what is larger is no work for a hand


class ByHand(NamedTuple):
    """One step of gradient descent from a preset's initial weights on its one example.

    Attributes:
        sections: title -> a list of `Line`.
        legend: what the names and signs stand for, lines of text.
        trace: the `Trace` that the numbers are from.
        trained: the error after the whole recipe, as (steps, error), or `None` without trained weights.
    """

    sections: dict[str, list[Line]]
    legend: list[str]
    trace: Trace
    trained: Any = None


def by_hand(preset):
    """The first step of a preset whose initial weights and one example are written down, number by number.

    In 64-bit floats, so that the digits are those of the decimal numbers in `preset.toml`.

    Args:
        preset: a name, a folder, or a `Preset`.

    Returns:
        A `ByHand`.

    Raises:
        InputError: the preset's start is not written down, or it is no network of dense layers and no recurrent layer with
            a readout, with sigmoid, tanh or linear units, trained by plain gradient descent on the half squared error.
    """
    preset = preset if isinstance(preset, Preset) else load_preset(preset)
    task = create_task(preset)
    if not can_be_followed(preset):
        raise InputError(
            f"{preset.name}: give a SAMPLE to follow; without one, only a start that is written down can be ([initial] in "
            "preset.toml), trained by plain gradient descent"
        )
    raw, answer = task.example
    targets, _ = task.answer.targets([answer])
    with _doubles():
        model = build(preset)
        loss = make_loss(preset)
        exact = np.array(answer, np.float64).reshape(targets.shape)
        traced = trace(model, np.array([raw]), exact, loss=loss)
        trained = {short_path(variable) for variable in model.trainable_variables}
    *below, readout = traced.layers.values()
    known = all(layer.activation in SLOPES for layer in traced.layers.values()) and isinstance(readout, DenseTrace)
    dense = all(isinstance(layer, DenseTrace) for layer in below)
    recurrent = len(below) == 1 and isinstance(below[0], RecurrentTrace) and not below[0].backwards
    if not known or not (dense or recurrent) or (recurrent and readout.inputs.ndim != 3):
        raise InputError(f"{preset.name}: only dense layers, or one recurrent layer with a readout, can be followed by hand")
    hand = (DenseWork if dense else RecurrentWork)(traced, exact, trained, preset.training.learning_rate)
    metrics = next(iter(preset.metadata()["metrics"].values())) if preset.has_weights else {}
    error = metrics.get("half_squared_error")
    return ByHand(hand.work(), hand.legend(), traced, None if error is None else (preset.training.epochs, error))


def can_be_followed(preset):
    """Whether a preset's start and its one example are written down, and its step is one of plain gradient descent."""
    recipe, task = preset.training, create_task(preset)
    written = sum(map(_count, preset.initial.values()))
    plain = recipe.optimizer == "sgd" and recipe.loss == "half_squared_error" and recipe.reduction == "sum"
    return hasattr(task, "example") and 0 < written <= MOST and plain and not recipe.clip_norm and not recipe.warmup_epochs


def _count(values):
    return sum(map(_count, values)) if isinstance(values, list | tuple) else 1


@contextlib.contextmanager
def _doubles():
    """A context in which Keras computes in 64-bit floats."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
