"""`trace`: what flows through a model, forward for an input and backward from its loss."""

import keras
import numpy as np

from rnnzoo import losses
from rnnzoo.bounded import first_line
from rnnzoo.errors import InputError, nearest
from rnnzoo.explaining._parts import Trace
from rnnzoo.explaining._passes import Tape, not_functional
from rnnzoo.layers import reference


def trace(model, x, y=None, *, loss=None, sample_weight=None):
    """Every number of a pass through a model of the factories, forward and, where there is a target, backward.

    Computed in NumPy, step by step with the formulas of the recurrence and of backpropagation through time (Werbos 1990),
    in 64-bit floats; not in training: nothing is dropped.

    Args:
        model: a `keras.Model` as the factories, `rnnzoo.build` and `rnnzoo.from_preset(...).model` give it.
        x: what the model takes: an array (batch, features), (batch, timesteps, features) or of token ids
            (batch, timesteps); or a dict of input name -> array.
        y: the target as the loss takes it, (batch, outputs), (batch, timesteps, outputs), or class numbers (batch,) or
            (batch, timesteps); `None` for the way forward alone.
        loss: the name of a loss, a `keras.losses.Loss`, or `None` for the one that the model was compiled with. Its mean
            over what counts is traced, or the sum where its reduction is "sum".
        sample_weight: (batch,) or (batch, timesteps); padding that the model masks counts for nothing in any case.

    Returns:
        A `Trace`.

    Raises:
        InputError: the model holds a layer that no factory makes, or the arrays do not fit it or each other.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"expected a keras.Model, not {type(model).__name__}")
    names, arrays = _arrays(model, x)
    tape = Tape(model)
    try:
        out = tape.forward(arrays)
    except (ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the input does not fit the model: {first_line(error)}") from None
    result = Trace(dict(zip(names, arrays, strict=True)), out.array, tape.layers)
    if y is None:
        return result
    function = _loss(model, loss)
    result.weights = _weights(model, arrays, out.array, sample_weight)
    result.losses, result.d_outputs = _losses(function, np.asarray(y), out.array, result.weights)
    result.loss = float((result.losses * result.weights).sum() / _divisor(function, result.weights))
    out.add(result.d_outputs)
    tape.backward()
    trainable = {variable.path for variable in model.trainable_variables}
    result.gradients = {path: gradient for path, gradient in tape.gradients.items() if path in trainable}
    return result


def _arrays(model, x):
    """The names of the model's inputs, and the arrays given for them."""
    try:
        inputs = model.inputs
        names = [tensor.name for tensor in inputs]
    except AttributeError:
        raise not_functional(model) from None
    if not isinstance(x, dict):
        x = x if isinstance(x, list | tuple) and len(names) > 1 else [x]
        if len(x) != len(names):
            raise InputError(f"the model takes {len(names)} inputs, {', '.join(names)}; given were {len(x)}")
        x = dict(zip(names, x, strict=True))
    if set(x) != set(names):
        raise InputError(f"the model takes {', '.join(names)}; given were {', '.join(x) or 'no inputs'}")
    arrays = []
    for tensor in inputs:
        try:
            array = np.asarray(x[tensor.name])
            array = array.astype(np.int64 if tensor.dtype == "int32" else np.float64)
        except (ValueError, TypeError):
            raise InputError(f"input '{tensor.name}' is no array of numbers") from None
        fits = array.ndim == len(tensor.shape) and all(
            size is None or size == got for size, got in zip(tensor.shape[1:], array.shape[1:], strict=True)
        )
        if not fits or not array.size:
            shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
            raise InputError(f"input '{tensor.name}' has shape {array.shape}; expected ({shape})")
        arrays.append(array)
    if len({len(array) for array in arrays}) > 1:
        raise InputError(
            f"the inputs hold {', '.join(str(len(array)) for array in arrays)} examples; expected as many in each"
        )
    return names, arrays


def _loss(model, loss):
    """A `keras.losses.Loss`, from which each output's own loss is asked."""
    if loss is None:
        loss = getattr(model, "loss", None)
        if loss is None:
            raise InputError("a target needs a loss: give loss=, or compile the model")
    if isinstance(loss, keras.losses.Loss):
        return loss
    named = losses.named()
    if loss in named:
        return named[loss]()
    try:
        return keras.losses.get(loss)
    except (ValueError, TypeError):
        known = [*named, *(entry for entry in dir(keras.losses) if entry[0].islower())]
        raise InputError(f"loss {loss!r} is none that Keras knows{nearest(loss, known)}") from None


def _weights(model, arrays, outputs, sample_weight):
    """How much each output counts, (batch,) or (batch, timesteps)."""
    shape = outputs.shape[:-1]
    weights = np.ones(shape)
    mask = _output_mask(model, arrays)
    if mask is not None and mask.shape == shape:
        weights *= mask
    if sample_weight is not None:
        given = np.asarray(sample_weight, np.float64)
        if given.shape not in (shape, shape[:1]):
            raise InputError(f"sample_weight has shape {given.shape}; expected {shape} or {shape[:1]}")
        weights *= given.reshape(given.shape + (1,) * (len(shape) - given.ndim))
    return weights


def _output_mask(model, arrays):
    """The mask of the sequence that the output is aligned with, or `None`."""
    masks = {layer.name: layer for layer in model.layers if layer.name in ("inputs_mask", "target_mask")}
    for name in ("target_mask", "inputs_mask"):
        if name in masks:
            tensor = name.removesuffix("_mask")
            array = arrays[[i.name for i in model.inputs].index(tensor)]
            return reference.padding_mask(array, masks[name].mask_value)
    return None


def _divisor(function, weights):
    """What the weighted sum of the losses is divided by: the sum of the weights, or nothing where the loss is a sum."""
    return 1.0 if getattr(function, "reduction", None) == "sum" else weights.sum() or 1.0


def _losses(function, y, outputs, weights):
    """Each output's loss, and the gradient of their weighted mean: the loss is Keras's own, and so is its gradient."""
    import tensorflow as tf

    call = function.call if isinstance(function, keras.losses.Loss) else function
    prediction = tf.constant(outputs)
    target = tf.constant(y) if y.dtype.kind in "iu" else tf.constant(y.astype(np.float64))
    # A dense target of class numbers or of real values is of the output's own type.
    if len(target.shape) == len(outputs.shape) and target.shape[-1] == outputs.shape[-1]:
        target = tf.cast(target, prediction.dtype)
    expected = "(" + ", ".join(map(str, outputs.shape)) + ")"
    try:
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            each = call(target, prediction)
            total = tf.reduce_sum(tf.cast(each, prediction.dtype) * weights) / _divisor(function, weights)
        gradient = tape.gradient(total, prediction)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        reason = first_line(error)
        raise InputError(
            f"the target of shape {y.shape} does not fit the outputs {expected} and the loss: {reason}"
        ) from None
    if tuple(each.shape) != weights.shape:
        raise InputError(f"the target of shape {y.shape} does not fit the outputs {expected}")
    return each.numpy().astype(np.float64), gradient.numpy()
