"""One Keras model of fixed shapes as the bytes of a LiteRT file of built-in operations alone."""

import contextlib
import re

import keras
import numpy as np
import tensorflow as tf

from rnnzoo import quiet
from rnnzoo.errors import InputError


def tflite(model, timesteps=None, int8=False):
    """The bytes of a `.tflite` file of a batch of 1, with the signature `serving_default`.

    Args:
        model: a `keras.Model` whose inputs are named; a lone output is called `outputs`, and one that is named as an
            input is, as states are, `new_` and that name.
        timesteps: what stands for the time of sequences, where there are any. All of them are written out in the graph: a
            loop of LiteRT's takes twice as long a step.
        int8: whether large weights are stored as 8-bit integers (dynamic range: all else stays a float).

    Raises:
        InputError: the model needs what LiteRT's built-in operations cannot do.
    """
    names = [tensor.name for tensor in model.inputs]
    shapes = [tuple(timesteps if size is None else size for size in (1, *tensor.shape[1:])) for tensor in model.inputs]
    # Constants: of variables the converter would write the reading, and nothing that fills them.
    trained, other = (
        [variable.numpy() for variable in v] for v in (model.trainable_variables, model.non_trainable_variables)
    )

    def call(*tensors):
        weights = ([tf.constant(array) for array in arrays] for arrays in (trained, other))
        inputs = dict(zip(names, tensors, strict=True)) if isinstance(model.input, dict) else tensors[0]
        outputs, _ = model.stateless_call(*weights, inputs, training=False)
        outputs = outputs if isinstance(outputs, dict) else {"outputs": outputs}
        # No two tensors of a graph have one name: a state that comes out is called new. And identities, so that an output
        # is never an input, nor two outputs one tensor.
        return {f"new_{name}" if name in names else name: tf.identity(tensor) for name, tensor in outputs.items()}

    specs = [
        tf.TensorSpec(shape, tensor.dtype, name=name)
        for shape, tensor, name in zip(shapes, model.inputs, names, strict=True)
    ]
    with unrolled(model):
        concrete = tf.function(call, input_signature=specs, autograph=False).get_concrete_function()
    # Something to track, or there would be no signature and nothing would have a name.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    try:
        with quiet():  # it tells of what went well, too
            content = converter.convert()
        custom = custom_operations(content)
    except Exception as error:  # the converter's own class is not public, and not all that it raises is of it
        custom = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
        if not custom:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(f"'{model.name}' cannot be written for LiteRT: {reason}") from None
    if custom:
        raise InputError(f"'{model.name}' needs what LiteRT does not have built in: {', '.join(custom)}")
    return content


def custom_operations(content):
    """The names of the operations in a `.tflite` file's bytes that are not built in: those of Flex, and custom ones."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(content, 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    custom = schema.BuiltinOperator.CUSTOM
    return [(code.CustomCode() or b"?").decode() for code in codes if code.CustomCode() or code.BuiltinCode() == custom]


@contextlib.contextmanager
def unrolled(model):
    """While a graph is traced in it, the model's recurrent layers write every timestep out."""
    layers = []
    for layer in model.layers:
        two = isinstance(layer, keras.layers.Bidirectional)
        layers += [layer.forward_layer, layer.backward_layer] if two else [layer]
    layers = [layer for layer in layers if isinstance(layer, keras.layers.SimpleRNN)]
    before = [layer.unroll for layer in layers]
    try:
        for layer in layers:
            layer.unroll = True
        yield
    finally:
        for layer, unroll in zip(layers, before, strict=True):
            layer.unroll = unroll


def signature(model):
    """What a `LiteRTModel` takes and gives: (inputs, outputs), name -> {"shape": ..., "dtype": ...}."""
    return tuple(
        {name: {"shape": list(shape), "dtype": np.dtype(dtype).name} for name, (shape, dtype) in described.items()}
        for described in (model.inputs, model.outputs)
    )
