"""What every architecture computes, written out in NumPy on the reference recurrence, on random weights."""

import numpy as np
import pytest

from rnnzoo.building import factory
from rnnzoo.layers import reference

ACTIVATIONS = {None: lambda z: z, **{name: act for name, (act, _) in reference.ACTIVATIONS.items()}}


def weights(model, name):
    """A layer's weights in double precision."""
    return [weight.astype("float64") for weight in model.get_layer(name).get_weights()]


def numbered(stem, depth):
    """`hidden`, `hidden_2`, ..."""
    return [stem if i == 0 else f"{stem}_{i + 1}" for i in range(depth)]


def dense(x, model, name, activation):
    kernel, *bias = weights(model, name)
    return ACTIVATIONS[activation](x @ kernel + (bias[0] if bias else 0.0))


def one_way(x, given, activation, mask=None, initial_state=None):
    """(batch, timesteps, features) and kernel, recurrent kernel and perhaps bias -> (batch, timesteps, units)."""
    kernel, recurrent_kernel, *bias = given
    return reference.forward(x, kernel, recurrent_kernel, bias[0] if bias else None, activation, mask, initial_state)


def both_ways(x, given, activation, mask):
    """The same from the first timestep on, and from the last one back, each (batch, timesteps, units)."""
    half = len(given) // 2
    back = one_way(x[:, ::-1], given[half:], activation, None if mask is None else mask[:, ::-1])
    return one_way(x, given[:half], activation, mask), back[:, ::-1]


def read(variant, model, tensor, array):
    """An input -> its vectors (batch, timesteps, width) and its mask."""
    mask = variant.mask(tensor, array)
    if array.dtype != "int32":
        return array.astype("float64"), mask
    if variant.of(tensor, "bag"):
        table = weights(model, f"{tensor}_embedding")[0]
        table[0] = 0
        return table[array].sum(axis=-2), mask
    if variant.of(tensor, "embedding"):
        return weights(model, f"{tensor}_embedding")[0][array], mask
    depth = model.get_layer(f"{tensor}_one_hot").depth
    return np.concatenate([np.zeros((1, depth)), np.eye(depth)])[array], mask


def stack(variant, model, x, mask, sequences, bidirectional):
    """The layers `hidden`, ...: every hidden state, or the final ones."""
    for name in numbered("hidden", variant.given["layers"]):
        given, activation = weights(model, name), variant.given["activation"]
        if bidirectional:
            forth, back = both_ways(x, given, activation, mask)
            x, final = np.concatenate([forth, back], -1), np.concatenate([forth[:, -1], back[:, 0]], -1)
        else:
            x = one_way(x, given, activation, mask)
            final = x[:, -1]
    return x if sequences else final


def expected_one_to_one(variant, model, inputs):
    h = inputs["inputs"]
    for name in numbered("hidden", variant.given["layers"]):
        h = dense(h, model, name, variant.given["activation"])
    return dense(h, model, "readout", variant.given["output_activation"])


def expected_one_to_many(variant, model, inputs):
    names, activation = numbered("encoder", variant.given["layers"]), variant.given["activation"]
    states = [dense(inputs["inputs"], model, name, activation) for name in names]
    flat, per_layer = weights(model, "decoder"), 3 if variant.given["use_bias"] else 2
    tokens = variant.given["feedback"] == "token"
    outputs = variant.given["outputs"]
    fed, written = np.zeros((len(states[0]), outputs - tokens)), []
    for _ in range(variant.given["timesteps"]):
        h = fed[:, None]
        for i, state in enumerate(states):
            h = one_way(h, flat[i * per_layer : (i + 1) * per_layer], activation, initial_state=state)
            states[i] = h[:, -1]
        written.append(dense(h[:, -1], model, "readout", variant.given["output_activation"]))
        fed = np.eye(outputs - 1)[written[-1][:, 1:].argmax(-1)] if tokens else written[-1]
    return np.stack(written, axis=1)


def expected_many_to_one(variant, model, inputs):
    given = variant.given
    x, mask = read(variant, model, "inputs", inputs["inputs"])
    h = stack(variant, model, x, mask, sequences=given["pooling"] != "last", bidirectional=given["bidirectional"])
    if given["pooling"] != "last":
        used = [row[counts] for row, counts in zip(h, mask, strict=True)]
        parts = {"mean": [row.mean(0) for row in used], "max": [row.max(0) for row in used]}
        h = np.concatenate([parts[part] for part in given["pooling"].split("_")], -1)
    return dense(h, model, "readout", given["output_activation"])


def expected_many_to_many(variant, model, inputs):
    x, mask = read(variant, model, "inputs", inputs["inputs"])
    h = stack(variant, model, x, mask, sequences=True, bidirectional=variant.given["bidirectional"])
    return dense(h, model, "readout", variant.given["output_activation"])


def expected_bidirectional(variant, model, inputs):
    x, mask = read(variant, model, "inputs", inputs["inputs"])
    h = stack(variant, model, x, mask, sequences=variant.given["return_sequences"], bidirectional=True)
    return dense(h, model, "readout", variant.given["output_activation"])


def expected_deep(variant, model, inputs):
    given = variant.given
    x, mask = read(variant, model, "inputs", inputs["inputs"])
    h = stack(variant, model, x, mask, given["return_sequences"], given["bidirectional"])
    for name in numbered("dense", len(given["dense"])):
        h = dense(h, model, name, given["dense_activation"])
    return dense(h, model, "readout", given["output_activation"])


def expected_encoder_decoder(variant, model, inputs):
    given = variant.given
    x, mask = read(variant, model, "source", inputs["source"])
    finals = []
    for name in numbered("encoder", given["layers"]):
        activation = given["encoder_activation"] or given["activation"]
        if given["bidirectional"]:
            forth, back = both_ways(x, weights(model, name), activation, mask)
            x = np.concatenate([forth, back], -1)
            finals.append(np.concatenate([forth[:, -1], back[:, 0]], -1))
        else:
            x = one_way(x, weights(model, name), activation, mask)
            finals.append(x[:, -1])
    summary = finals[-1]
    if given["hidden"] or given["bidirectional"] or given["encoder_units"] not in (None, given["units"]):
        top = summary
        for name in numbered("hidden", len(given["hidden"])):
            top = dense(top, model, name, given["hidden_activation"])
        finals = [dense(top, model, name, given["activation"]) for name in numbered("state", given["layers"])]
    h, mask = read(variant, model, "target", inputs["target"])
    if given["context"]:
        h = np.concatenate([h, np.stack([summary] * h.shape[1], axis=1)], axis=-1)
    for name, final in zip(numbered("decoder", given["layers"]), finals, strict=True):
        h = one_way(h, weights(model, name), given["activation"], mask, final)
    return dense(h, model, "readout", given["output_activation"])


def check(variant, model, inputs, used):
    """The model's output equals the NumPy one wherever it counts."""
    formula = globals().get(f"expected_{variant.architecture}")
    if formula is None:
        pytest.skip("test_every_architecture_is_written_out_here fails for it")
    expected = formula(variant, model, inputs)
    output = variant.run(inputs, model)
    assert output.shape == expected.shape
    np.testing.assert_allclose(output[used], expected[used], rtol=1e-5, atol=3e-6)
    assert np.ptp(expected[used], axis=0).min() > 1e-4, "the rows differ, so that a wrong one would show"


def test_the_output_is_that_of_numpy(variant, rng):
    inputs = variant.inputs(rng)
    check(variant, variant.model, inputs, variant.used(inputs))


def test_without_a_mask_value_nothing_is_skipped(plain, rng):
    """Neither frames of zeros nor what another model would take for padding."""
    arguments = {name: value for name, value in plain.arguments.items() if not name.endswith("mask_value")}
    plain = plain._replace(arguments=arguments)
    model = factory(plain.architecture)(**arguments)
    model.set_weights([rng.uniform(-0.9, 0.9, weight.shape) for weight in model.weights])
    inputs = plain.inputs(rng)
    for array in inputs.values():
        array[array == 0] = -2.0
        array[1:, 1:2] = 0.0
    used = np.ones(plain.run(inputs, model).shape[:-1], bool)
    check(plain, model, inputs, used)


def test_dense_stacks_may_be_empty(plain, rng):
    empty = {name: () for name, value in plain.given.items() if isinstance(value, tuple)}
    variant = plain._replace(arguments={**plain.arguments, **empty})
    model = factory(plain.architecture)(**variant.arguments)
    model.set_weights([rng.uniform(-0.9, 0.9, weight.shape) for weight in model.weights])
    inputs = variant.inputs(rng)
    check(variant, model, inputs, variant.used(inputs))
