"""Activations as the trace computes them: with the NumPy reference, or with Keras's own function where that has none."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from rnnzoo.layers import reference

# Those whose every output depends on all that comes in.
VECTORS = ("log_softmax", "softmax", "sparsemax")


class Activation(NamedTuple):
    """h = value(z), and on the way back dL/dz = back(z, h, dL/dh); all are arrays (..., units)."""

    value: Callable
    back: Callable


@functools.cache
def named(name):
    """The `Activation` of that name; `None` where Keras has none."""
    if name in reference.ACTIVATIONS:
        return Activation(*reference.functions(name))
    if name == "softmax":
        return Activation(_softmax, lambda z, h, d_h: h * (d_h - (h * d_h).sum(axis=-1, keepdims=True)))
    function = getattr(keras.activations, name, None)
    return None if function is None else _of_keras(function)


def needs_pre_activations(name):
    """Whether the way back asks for z, not for h alone."""
    return name not in reference.ACTIVATIONS and name != "softmax"


def slopes(name, z, h):
    """(..., units): dh_i/dz_i."""
    if name in VECTORS:
        return np.diagonal(_jacobians(name, z, h), axis1=-2, axis2=-1)
    return named(name).back(z, h, np.ones_like(z))


def step_jacobian(name, recurrent_kernel, z, h):
    """(units,) of one timestep -> (units, units): entry [i, j] is dh_t,j/dh_{t-1},i."""
    if name in VECTORS:
        return recurrent_kernel @ _jacobians(name, z, h)
    return recurrent_kernel * slopes(name, z, h)


def _jacobians(name, z, h):
    """(..., units) -> (..., units, units): entry [i, j] is dh_j/dz_i."""
    units = np.eye(z.shape[-1])
    return np.stack([named(name).back(z, h, np.broadcast_to(unit, z.shape)) for unit in units], axis=-1)


def _softmax(z):
    exponentials = np.exp(z - z.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _of_keras(function):
    import tensorflow as tf

    def back(z, h, d_h):
        z = tf.constant(z)
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = function(z)
        return tape.gradient(value, z, output_gradients=tf.constant(d_h, value.dtype)).numpy()

    return Activation(lambda z: function(tf.constant(z)).numpy(), back)
