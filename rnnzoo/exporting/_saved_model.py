"""SavedModels: raw input in, answer out, nothing but TensorFlow needed."""

import shutil

import keras
import tensorflow as tf

from rnnzoo.errors import InputError
from rnnzoo.exporting._spec import describe, write_description
from rnnzoo.exporting._warmup import write_warmup
from rnnzoo.stepping import step_model
from rnnzoo.verifying import EXTRA

WARMUP = "tf_serving_warmup_requests"


def write(predictor, folder, proof=None):
    """Writes `FOLDER/1/`; see `rnnzoo.exporting.export` for its endpoints."""
    version = folder / "1"
    archive = keras.export.ExportArchive()
    archive.track(predictor.model)
    endpoints = _endpoints(predictor)
    for name, (function, signature, _) in endpoints.items():
        archive.add_endpoint(name, function, input_signature=signature)
    archive.write_out(str(version), verbose=False)
    shutil.rmtree(version / "assets", ignore_errors=True)
    (version / EXTRA).mkdir()
    requests = [(name, _named(signature, example)) for name, (_, signature, example) in endpoints.items()]
    write_warmup(version / EXTRA / WARMUP, predictor.preset.name, requests)
    described = {name: _described(signature) for name, (_, signature, _) in endpoints.items()}
    write_description(version, {**describe(predictor, "saved-model"), "endpoints": described}, proof, EXTRA)


def _endpoints(predictor):
    """Name -> a function, the `TensorSpec`s of its arguments, and an example of them for the warm-up."""
    model, task, serving = predictor.model, predictor.task, predictor.serving
    raw = tf.TensorSpec(task.input.spec.shape, task.input.spec.dtype, name=task.input.name)
    example = task.input.tensor([task.input.check(one) for one in task.samples()[:1]])
    # Named after the signature that TensorFlow Serving calls when none is named.
    endpoints = {"serving_default": (serving.answers, [raw], [example])}

    whole = model.inputs[0] if serving.decoder is None else serving.decoder.start.inputs[0]
    size = getattr(task.input, "vocabulary_size", None) if whole.dtype == "int32" else None
    front = tf.function(task.input.front, autograph=False)(example)

    def scores(inputs):
        return {"scores": serving.scores_of(_known(inputs, size))}

    endpoints["scores"] = scores, [tf.TensorSpec(whole.shape, whole.dtype, name=whole.name)], [front]
    if serving.decoder is None:
        return {**endpoints, **_step(model, size, front)}
    return {**endpoints, **_writing(serving, raw, example, whole, size, front)}


def _step(model, size, front):
    """The endpoint `step` of a model that has an answer at each timestep, if it is one."""
    try:
        step = step_model(model)
    except InputError:  # it needs its whole input
        return {}
    return {"step": _stepping(step, "inputs", size, front[:, 0])}


def _writing(serving, raw, example, whole, size, front):
    """The endpoints `start`, `step` and `sample` of a model that writes its answer."""
    decoder = serving.decoder

    def start(inputs):
        return serving.states_of(_known(inputs, size))

    fed = tf.fill([front.shape[0]], decoder.start_token) if decoder.tokens else tf.zeros([front.shape[0], decoder.width])
    options = {"temperature": tf.float32, "top_k": tf.int32, "seed": tf.int64, "max_length": tf.int32}
    given = (0.7, 3, 1, serving.task.answer.max_length)
    return {
        "start": (start, [tf.TensorSpec(whole.shape, whole.dtype, name=whole.name)], [front]),
        "step": _stepping(decoder.step, "fed", decoder.vocabulary_size, fed),
        "sample": (
            serving.sampled,
            [raw, *(tf.TensorSpec([], dtype, name=name) for name, dtype in options.items())],
            [example, *(tf.constant(value, dtype) for value, dtype in zip(given, options.values(), strict=True))],
        ),
    }


def _stepping(step, first, size, example):
    """The endpoint of a model of one step: what goes in by the name of `first`, then the states, in order."""
    names = [first, *(name for name in step.input if name != first)]
    specs = [tf.TensorSpec(step.input[name].shape, step.input[name].dtype, name=name) for name in names]

    def function(inputs, *states):
        return dict(step({first: _known(inputs, size), **dict(zip(names[1:], states, strict=True))}))

    zeros = [tf.zeros([example.shape[0], *spec.shape[1:]]) for spec in specs[1:]]
    return function, specs, [tf.cast(example, specs[0].dtype), *zeros]


def _known(inputs, size):
    """`inputs`, once token ids are known to be below `size`; vectors, where `size` is `None`, to be finite."""
    if size is None:
        right, message = tf.math.is_finite(inputs), "expected finite numbers; got"
    else:
        right, message = (inputs >= 0) & (inputs < size), f"expected token ids from 0 (padding) to {size - 1}; got"
    check = tf.debugging.Assert(tf.reduce_all(right), [message, tf.boolean_mask(inputs, ~right)])
    with tf.control_dependencies([check]):
        return tf.identity(inputs)


def _named(signature, tensors):
    return {spec.name: tensor for spec, tensor in zip(signature, tensors, strict=True)}


def _described(signature):
    """The inputs of an endpoint: dtype and shape, `null` for any size."""
    return {spec.name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for spec in signature}
