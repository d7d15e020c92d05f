"""What right answers cost a model that writes: minus the logarithm of their probability, in nats a character or a frame."""

import numpy as np
import tensorflow as tf

from rnnzoo.building import architecture_module, as_taught
from rnnzoo.layers._loops import in_xla
from rnnzoo.sampling import log_softmax

# Answers that go through the model together; and timesteps of a long text that do.
TOGETHER, PIECE = 1024, 512


def nats(predictor, examples, report):
    """The mean over all characters of the answers, the end included where one is written; or over all frames of music.

    Args:
        predictor: the `Predictor`.
        examples: `Examples`, each for itself or, as the task's `likelihood` says, the parts of one text in their order.
        report: called with how many examples are done, a part at a time.

    Returns:
        A number, from logarithms of 64 bits.
    """
    return (_joined if predictor.task.likelihood == "joined" else _each)(predictor, examples, report)


def _each(predictor, examples, report):
    """Every answer given the characters of its own that are before."""
    task, cost, count = predictor.task, 0.0, 0.0
    for start in range(0, len(examples.inputs), TOGETHER):
        some = examples.take(range(start, min(start + TOGETHER, len(examples.inputs))))
        checked = [task.input.check(raw) for raw in some.inputs]
        model, inputs, targets, weights = as_taught(predictor.preset, predictor.model, task, checked, some.answers)
        outputs = model(inputs, training=False).numpy()
        if task.answer.generated:  # nothing writes id 0, padding
            outputs, targets = outputs[..., 1:], np.maximum(targets - 1, 0)
        cost += float((_costs(predictor, outputs, targets) * weights).sum())
        count += float(weights.sum())
        report(len(checked))
    return cost / count


def _joined(predictor, examples, report):
    """Every character given all of the text before it: the state is carried from its beginning to its end."""
    task = predictor.task
    checked = [task.input.check(raw) for raw in examples.inputs]
    _, inputs, targets, weights = as_taught(predictor.preset, predictor.model, task, checked, examples.answers)
    used = np.arange(inputs.shape[1]) < np.array([task.input.steps(raw) for raw in checked])[:, None]
    inputs, targets, weights = inputs[used], targets[used], weights[used]
    model = architecture_module(predictor.preset.architecture).carried(predictor.model)
    states = {name: tf.zeros((1, *tensor.shape[1:])) for name, tensor in model.input.items() if name != "inputs"}
    read = tf.function(
        in_xla(lambda piece, states: model({"inputs": piece, **states}, training=False)), jit_compile=True, autograph=False
    )
    cost, done = 0.0, 0
    for start in range(0, len(inputs), PIECE):
        piece = inputs[start : start + PIECE]
        length = len(piece)
        piece = np.concatenate([piece, np.zeros((PIECE - length, *piece.shape[1:]), piece.dtype)])  # one shape to compile
        states = dict(read(tf.constant(piece[None]), states))
        outputs = states.pop("outputs").numpy()[0, :length]
        cost += float((_costs(predictor, outputs, targets[start : start + length]) * weights[start : start + length]).sum())
        before, done = done, (start + length) * len(checked) // len(inputs)
        report(done - before)
    return cost / float(weights.sum())


def _costs(predictor, outputs, targets):
    """Outputs (..., tokens) and which of them came (...) -> minus the logarithms of their probabilities (...).

    An answer that is more than one token a timestep says by its `costs` what it takes.
    """
    if hasattr(predictor.task.answer, "costs"):
        return predictor.task.answer.costs(targets, outputs)
    activation = predictor.preset.model.get("output_activation")
    outputs = outputs.astype(np.float64)
    logits = np.log(outputs) if activation == "softmax" else outputs
    return -np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]
