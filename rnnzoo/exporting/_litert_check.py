"""What is written for LiteRT against the Keras model that it comes from: the same numbers, and the same answers."""

import numpy as np
import tensorflow as tf

from rnnzoo.building import architecture_module


class Written:
    """The LiteRT models of an export, and what is done with them.

    Args:
        predictor: the `Predictor` that they were written from.
        models: "step", "start" and "model" -> a `LiteRTModel`, those that there are.
        decoder: the predictor's `Decoder`, `None` where it writes nothing.
    """

    def __init__(self, predictor, models, decoder):
        self.task, self.models, self.decoder = predictor.task, models, decoder
        self.timed = has_time(predictor.model)

    def outputs(self, row):
        """(timesteps, ...) or (features,), what the front made of one raw input -> the outputs, without the batch."""
        model = self.models.get("model")
        shape = model and model.inputs["inputs"][0][1:]
        if model and (row.shape == shape or (len(row) <= shape[0] and self.task.input.pads)):
            outputs = model.run({"inputs": padded(row, shape, self.task.input)[None]})["outputs"][0]
            return outputs[: len(row)] if self.task.answer.per_timestep else outputs
        outputs = self.steps(row, {})
        return outputs if self.task.answer.per_timestep else outputs[-1]

    def steps(self, fed, states):
        """(timesteps, ...) of what is fed, and the states before, of zeros where there are none -> (timesteps, outputs)."""
        step, outputs = self.models["step"], []
        (name,) = step.inputs.keys() & {"inputs", "fed"}
        states = states or {key: np.zeros(*step.inputs[key]) for key in step.inputs if key != name}
        for one in fed:
            states = dict(step.run({name: one[None], **states}))
            outputs.append(states.pop("outputs")[0])
        return np.stack(outputs)

    def start(self, row):
        """What the front made of one raw input -> the states before the first step."""
        start = self.models["start"]
        ((name, (shape, _)),) = start.inputs.items()
        return start.run({name: padded(row, shape[1:], self.task.input)[None]})

    def written(self, row):
        """What the front made of one raw input -> what is written, greedily: (steps,) token ids or (steps, outputs)."""
        decoder, states = self.decoder, self.start(row)
        fed = np.int32(decoder.start_token) if decoder.tokens else np.zeros(decoder.width, np.float32)
        written = []
        while len(written) < decoder.max_length and not (written and decoder.tokens and fed == decoder.end_token):
            states = dict(self.models["step"].run({"fed": fed[None], **states}))
            fed = states.pop("outputs")[0]
            if decoder.tokens:
                fed = np.int32(fed[1:].argmax() + 1)  # id 0 is padding, which nothing writes
            written.append(fed)
        return np.stack(written)

    def takes(self, checked):
        """Whether a checked input is of a length that some file takes."""
        if not self.timed or (self.decoder is None and "step" in self.models):
            return True
        ((shape, _),) = self.models["model" if self.decoder is None else "start"].inputs.values()
        timesteps = self.task.input.steps(checked)
        return timesteps <= shape[1] if self.task.input.pads else timesteps == shape[1]

    def answers(self, checked):
        """Checked inputs, of lengths that are taken -> a list of answers."""
        if not checked:
            return []
        if not self.task.input.pads:
            return [answer for one in checked for answer in self._answers([one])]
        return self._answers(checked)

    def _answers(self, checked):
        inputs = self.task.input.front(self.task.input.tensor(checked))
        rows = inputs.numpy()
        if self.timed:
            rows = [row[: self.task.input.steps(one)] for row, one in zip(rows, checked, strict=True)]
        found = [(self.outputs if self.decoder is None else self.written)(row) for row in rows]
        if found[0].ndim == 2 or self.decoder is not None:  # timesteps, of which some have fewer
            found = [np.pad(one, [(0, max(map(len, found)) - len(one)), *[(0, 0)] * (one.ndim - 1)]) for one in found]
        named = self.task.answer.back(tf.constant(np.stack(found)), inputs)
        return self.task.answer.answers({name: tensor.numpy() for name, tensor in named.items()})


def has_time(model):
    """Whether a model reads sequences."""
    return any(None in tensor.shape[1:] for tensor in model.inputs if tensor.name != "target")


def padded(row, shape, kind):
    """What the front made of one raw input, padded at the end to `shape`."""
    if row.shape == tuple(shape):
        return row
    full = np.full(shape, getattr(kind, "mask_value", 0), row.dtype)
    full[: len(row)] = row
    return full


def largest_difference(predictor, written, timesteps, seed=0, rows=4):
    """How far the LiteRT models are from the Keras model on random sequences of different lengths, at the most.

    The whole sequence at once and step by step; of a model that writes, its outputs for a random target.

    Args:
        predictor: the `Predictor`.
        written: its `Written`.
        timesteps: of the longest sequence; that of every one where nothing is padding. `None` where there are none.
        seed: of the random numbers.
        rows: how many sequences.

    Returns:
        The largest absolute difference over the largest absolute output of its sequence.
    """
    rng = np.random.default_rng(seed)
    lengths = [timesteps] * rows if timesteps is None or not predictor.task.input.pads else [timesteps, 1]
    lengths += rng.integers(1, (timesteps or 1) + 1, rows - len(lengths)).tolist()
    largest = 0.0
    for length in lengths:
        for ours, expected in _pairs(predictor, written, length, timesteps, rng):
            off = float(np.abs(ours - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))
            largest = max(largest, off if np.isfinite(off) else np.inf)
    return largest


def _pairs(predictor, written, length, timesteps, rng):
    """For one random input, pairs of what LiteRT gives and what Keras gives."""
    model, answer = predictor.model, predictor.task.answer
    inputs = {tensor.name: tensor for tensor in model.inputs}
    name = "source" if "source" in inputs else "inputs"
    row = _random(model, name, length, rng)
    if answer.generated:
        steps = int(rng.integers(1, answer.max_length + 2))
        twin, target, fed = model, None, None
        if name == "inputs":
            twin = architecture_module(predictor.preset.architecture).teacher_forced(model)
            target = _random_target(written.decoder, steps, rng)
            fed = np.concatenate([np.zeros_like(target[:1]), target[:-1]])  # a step is fed the target of the step before
        else:
            target = fed = _random_target(written.decoder, steps, rng)
        expected = twin({name: row[None], "target": target[None]}, training=False)[0].numpy()
        yield written.steps(fed, written.start(row)), expected
        return
    expected = model(row[None], training=False)[0].numpy()
    yield written.outputs(row), expected
    if "step" in written.models:
        outputs = written.steps(row, {})
        yield (outputs if answer.per_timestep else outputs[-1]), expected


def _random(model, name, length, rng):
    """A random sequence of `length` timesteps, or a vector where there are none, for one of a model's inputs."""
    layers = {layer.name: layer for layer in model.layers}
    shape = layers[name].output.shape[1:]
    if len(shape) == 1 and shape[0] is None:
        layer = layers.get(f"{name}_one_hot")
        last = layer.depth if layer else layers[f"{name}_embedding"].input_dim - 1
        return rng.integers(1, last + 1, length).astype(np.int32)
    return rng.normal(size=[length if size is None else size for size in shape]).astype(np.float32)


def _random_target(decoder, steps, rng):
    """Random tokens (steps,) or vectors (steps, width)."""
    if decoder.tokens:
        return rng.integers(1, decoder.outputs, steps).astype(np.int32)
    return rng.normal(size=(steps, decoder.width)).astype(np.float32)
