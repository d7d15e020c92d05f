"""The zoo's layers as ONNX nodes: each takes a graph, the layer and what it is called with, and names what comes out."""

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.exporting._onnx_activations import BUILT_IN, activate, name_of
from rnnzoo.exporting._onnx_graph import Graph
from rnnzoo.layers.pooling import LEAST


def _array(variable):
    return np.asarray(variable.numpy(), np.float32)


def padding_mask(graph, layer, inputs):
    """(batch, timesteps) ids or (batch, timesteps, features) -> (batch, timesteps) bool, True where used."""
    if len(layer.input.shape) == 2:
        return graph.op("Not", graph.op("Equal", inputs, graph.constant(np.int32(0))))
    ids = layer.input.dtype == "int32"
    padding = graph.op("Equal", inputs, graph.constant(np.int32(0) if ids else np.float32(layer.mask_value)))
    # No operator is "any": more than none.
    count = graph.op("ReduceSum", graph.op("Cast", graph.op("Not", padding), to=_INT32), graph.integers(-1), keepdims=0)
    return graph.op("Greater", count, graph.constant(np.int32(0)))


def one_hot_ids(graph, layer, ids):
    """Id k -> the unit vector k - 1; zeros for 0 and for every id that there is not, as in training."""
    return _one_hot(graph, ids, np.arange(1, layer.depth + 1, dtype=np.int32))


def one_hot(graph, operation, x):
    """What `keras.ops.one_hot` does with the last axis."""
    return _one_hot(graph, x, np.arange(operation.num_classes, dtype=np.int32))


def _one_hot(graph, ids, classes):
    # ONNX's OneHot takes negative ids for others from the end.
    equal = graph.op("Equal", graph.op("Unsqueeze", ids, graph.integers(-1)), graph.constant(classes))
    return graph.op("Cast", equal, to=_FLOAT)


def embedding(graph, layer, ids):
    return graph.op("Gather", graph.constant(_array(layer.embeddings), layer.name), ids, axis=0)


def bag_embedding(graph, layer, ids):
    """(batch, timesteps, bag) ids -> the sum of their embeddings; that of id 0 is zeros."""
    table = _array(layer.embeddings)
    table[0] = 0
    vectors = graph.op("Gather", graph.constant(table, layer.name), ids, axis=0)
    return graph.op("ReduceSum", vectors, graph.integers(-2), keepdims=0)


def dense(graph, layer, x, mask=None, as_weights=False):
    """(..., features) -> (..., units)."""
    if as_weights:
        raise InputError("ONNX: a one_to_many that runs freely is exported as its start and its step")
    y = graph.op("MatMul", x, graph.constant(_array(layer.kernel), f"{layer.name}_kernel"))
    if layer.bias is not None:
        y = graph.op("Add", y, graph.constant(_array(layer.bias), f"{layer.name}_bias"))
    return activate(graph, layer.activation, y)


def simple_rnn(graph, layer, x, initial_state=None, mask=None, training=None):
    """(batch, timesteps, features) -> as the layer says, every timestep's state or the last one, and the state."""
    if layer.go_backwards:
        raise InputError(f"ONNX: '{layer.name}' goes backwards by itself; expected it inside of Bidirectional")
    shown, states, state = _direction(graph, layer, x, _single(initial_state), mask, reverse=False)
    result = states if layer.return_sequences else shown
    return [result, state] if layer.return_state else result


def bidirectional(graph, layer, x, initial_state=None, mask=None, training=None):
    """Both directions, concatenated: [hf, hb] along the last axis."""
    if initial_state is not None or layer.merge_mode != "concat":
        raise InputError(f"ONNX: '{layer.name}': both directions are exported concatenated, and from states of zeros")
    runs = [
        _direction(graph, one, x, None, mask, reverse)
        for one, reverse in ((layer.forward_layer, False), (layer.backward_layer, True))
    ]
    result = graph.op("Concat", *(run[1 if layer.return_sequences else 0] for run in runs), axis=-1)
    return [result, *(run[2] for run in runs)] if layer.return_state else result


def _direction(graph, layer, x, initial_state, mask, reverse):
    """One pass over time.

    ONNX's RNN knows lengths, not masks: the timesteps that count are moved to the front, in order, and what comes out is
    moved back. At a masked timestep Keras shows the output before it, and zeros where there is none, or (inside of
    Bidirectional) always zeros.

    Returns:
        shown: (batch, units), the output at the last step.
        states: (batch, timesteps, units), in the order of the input.
        state: (batch, units), the last state.
    """
    packing = None if mask is None else _packing(graph, mask)
    lengths = None if mask is None else packing["lengths"]
    if packing:
        x = graph.op("GatherND", x, packing["order"], batch_dims=1)
    x = graph.op("Transpose", x, perm=[1, 0, 2])  # (timesteps, batch, features)
    weights = [_array(layer.cell.kernel).T, _array(layer.cell.recurrent_kernel).T]
    bias = np.zeros(layer.units, np.float32) if layer.cell.bias is None else _array(layer.cell.bias)
    run = _rnn if name_of(layer.activation) in BUILT_IN else _scan
    states, state = run(graph, layer, x, weights, bias, lengths, initial_state, reverse)  # (timesteps, batch, units)
    states = graph.op("Transpose", states, perm=[1, 0, 2])
    if packing is None:
        return state, states, state
    zero = graph.constant(np.float32(0))
    zeros = graph.constant(np.zeros((1, 1, layer.units), np.float32))
    zeros = graph.op("Expand", zeros, packing["one_step"])  # (batch, 1, units)
    # How many timesteps that count have come: the state at a timestep is the last of them, or the next one going back.
    padded = graph.op("Concat", *([states, zeros] if reverse else [zeros, states]), axis=1)
    states = graph.op("GatherND", padded, packing["before" if reverse else "upto"], batch_dims=1)
    shown = graph.op("Where", packing["any"], state, zero)
    # Of a row of nothing but padding the operator gives what it likes; its state is the one that it began with.
    state = graph.op("Where", packing["any"], state, initial_state or zero)
    if layer.zero_output_for_mask:
        states = graph.op("Where", graph.op("Unsqueeze", mask, graph.integers(-1)), states, zero)
        if not layer.return_sequences:
            shown = graph.op("Gather", states, graph.constant(np.int64(0 if reverse else -1)), axis=1)
    return shown, states, state


def _packing(graph, mask):
    """What moves timesteps that count to the front and back again; once for each mask."""
    if ("packing", mask) not in graph.memo:
        used = graph.op("Cast", mask, to=_INT64)  # (batch, timesteps)
        shape = graph.op("Shape", used)
        timesteps = graph.op("Gather", shape, graph.integers(1), axis=0)
        zero = graph.constant(np.int64(0))
        step = graph.op("Range", zero, graph.op("Squeeze", timesteps), graph.constant(np.int64(1)))
        # Those that count have larger keys than the others, the earlier the larger.
        key = graph.op("Sub", graph.op("Mul", used, timesteps), step)
        _, order = graph.op("TopK", key, timesteps, outputs=2, axis=1)
        upto = graph.op("CumSum", used, graph.constant(np.int64(1)))
        lengths = graph.op("ReduceSum", used, graph.integers(1), keepdims=0)
        batch = graph.op("Gather", shape, graph.integers(0), axis=0)
        graph.memo["packing", mask] = {
            "lengths": graph.op("Cast", lengths, to=_INT32),
            "any": graph.op("Greater", graph.op("Unsqueeze", lengths, graph.integers(1)), zero),
            "order": graph.op("Unsqueeze", order, graph.integers(-1)),
            "upto": graph.op("Unsqueeze", upto, graph.integers(-1)),
            "before": graph.op("Unsqueeze", graph.op("Sub", upto, used), graph.integers(-1)),
            "one_step": graph.op("Concat", batch, graph.integers(1, 1), axis=0),
        }
    return graph.memo["packing", mask]


def _rnn(graph, layer, x, weights, bias, lengths, initial_state, reverse):
    """The RNN operator: (timesteps, batch, features) -> states (timesteps, batch, units) and the last one."""
    kind, alpha, beta = BUILT_IN[name_of(layer.activation)]
    if initial_state is not None:
        initial_state = graph.op("Unsqueeze", initial_state, graph.integers(0))
    kernel, recurrent_kernel = (
        graph.constant(array[None], f"{layer.name}_{name}")
        for array, name in zip(weights, ("kernel", "recurrent_kernel"), strict=True)
    )
    states, state = graph.op(
        "RNN",
        x,
        kernel,
        recurrent_kernel,
        graph.constant(np.concatenate([bias, np.zeros_like(bias)])[None], f"{layer.name}_bias"),
        lengths,
        initial_state,
        outputs=2,
        activations=[kind],
        activation_alpha=[alpha],
        activation_beta=[beta],
        direction="reverse" if reverse else "forward",
        hidden_size=layer.units,
    )
    return graph.op("Squeeze", states, graph.integers(1)), graph.op("Squeeze", state, graph.integers(0))


def _scan(graph, layer, x, weights, bias, lengths, initial_state, reverse):
    """The same for activations that the RNN operator does not have: a Scan, step by step."""
    from onnx import TensorProto, helper

    projected = graph.op("MatMul", x, graph.constant(weights[0].T, f"{layer.name}_kernel"))
    projected = graph.op("Add", projected, graph.constant(bias, f"{layer.name}_bias"))
    shape = graph.op("Shape", projected)
    timesteps, batch = (graph.op("Gather", shape, graph.integers(i), axis=0) for i in (0, 1))
    step = graph.op("Range", *(graph.constant(np.int64(0)), graph.op("Squeeze", timesteps), graph.constant(np.int64(1))))
    step = graph.op("Unsqueeze", step, graph.integers(1))  # (timesteps, 1)
    if lengths is None:
        used = graph.op("Less", step, timesteps)
    else:
        used = graph.op("Less", step, graph.op("Cast", lengths, to=_INT64))  # (timesteps, batch)
    if initial_state is None:
        size = graph.op("Concat", batch, graph.integers(layer.units), axis=0)
        initial_state = graph.op("Expand", graph.constant(np.float32(0)), size)
    body = Graph(graph)
    before, x_t, used_t = (body.name(name) for name in ("state_before", "projected_t", "used_t"))
    recurrent_kernel = body.constant(weights[1].T, f"{layer.name}_recurrent_kernel")
    new = activate(body, layer.activation, body.op("Add", x_t, body.op("MatMul", before, recurrent_kernel)))
    counts = body.op("Unsqueeze", used_t, body.integers(-1))
    after = body.op("Where", counts, new, before)
    shown = body.op("Where", counts, new, body.constant(np.float32(0)))
    floats = [TensorProto.FLOAT, ["batch", layer.units]]
    inner = helper.make_graph(
        body.nodes,
        f"{layer.name}_step",
        [
            helper.make_tensor_value_info(before, *floats),
            helper.make_tensor_value_info(x_t, *floats),
            helper.make_tensor_value_info(used_t, TensorProto.BOOL, [None]),
        ],
        [helper.make_tensor_value_info(after, *floats), helper.make_tensor_value_info(shown, *floats)],
    )
    directions = {"scan_input_directions": [1, 1], "scan_output_directions": [1]} if reverse else {}
    state, states = graph.op("Scan", initial_state, projected, used, outputs=2, body=inner, num_scan_inputs=2, **directions)
    return states, state


def _single(state):
    return state[0] if isinstance(state, list | tuple) else state


def concatenate(graph, layer, tensors):
    return graph.op("Concat", *tensors, axis=layer.axis)


def dropout(graph, layer, x, training=None):
    return x


def masked_pooling(graph, layer, x, mask=None):
    """(batch, timesteps, width) -> the mean, the maximum and the last over the used timesteps, those that the layer has."""
    if mask is None:
        kinds = {"mean": "ReduceMean", "max": "ReduceMax"}
        found = [
            _last(graph, layer, x) if part == "last" else graph.op(kinds[part], x, axes=[1], keepdims=0)
            for part in layer.parts
        ]
        return found[0] if len(found) == 1 else graph.op("Concat", *found, axis=-1)
    used = graph.op("Unsqueeze", mask, graph.integers(-1))  # (batch, timesteps, 1)
    count = graph.op("ReduceSum", graph.op("Cast", used, to=_FLOAT), graph.integers(1), keepdims=0)  # (batch, 1)
    zero, found = graph.constant(np.float32(0)), []
    for part in layer.parts:
        if part == "mean":
            total = graph.op("ReduceSum", graph.op("Where", used, x, zero), graph.integers(1), keepdims=0)
            found.append(graph.op("Div", total, graph.op("Max", count, graph.constant(np.float32(1)))))
        elif part == "last":
            found.append(_last(graph, layer, x, mask))
        else:
            largest = graph.op("Where", used, x, graph.constant(np.float32(LEAST)))
            largest = graph.op("ReduceMax", largest, axes=[1], keepdims=0)
            found.append(graph.op("Where", graph.op("Greater", count, zero), largest, zero))
    return found[0] if len(found) == 1 else graph.op("Concat", *found, axis=-1)


def _last(graph, layer, x, mask=None):
    """(batch, width): what each direction ends with, the last used timestep's or the first one's."""
    halves = graph.op("Split", x, axis=-1, outputs=2) if layer.bidirectional else [x]
    if mask is None:
        found = [
            graph.op("Gather", half, graph.constant(np.int64(at)), axis=1) for half, at in zip(halves, (-1, 0), strict=False)
        ]
    else:
        used = graph.op("Cast", mask, to=_INT32)  # (batch, timesteps)
        so_far = graph.op("CumSum", used, graph.constant(np.int64(1)))
        ends = [graph.op("ReduceSum", used, graph.integers(1), keepdims=1), graph.constant(np.int32(1))]
        found, zero = [], graph.constant(np.float32(0))
        for half, end in zip(halves, ends, strict=False):
            at = graph.op("And", mask, graph.op("Equal", so_far, end))
            alone = graph.op("Where", graph.op("Unsqueeze", at, graph.integers(-1)), half, zero)
            found.append(graph.op("ReduceSum", alone, graph.integers(1), keepdims=0))
    return found[0] if len(found) == 1 else graph.op("Concat", *found, axis=-1)


def pooling_step(graph, layer, x, states):
    """What is pooled, and the new states."""
    before, *kept = states
    count, found, new = graph.op("Add", before, graph.constant(np.float32(1))), [], []
    for part in layer.parts:
        if part == "last":
            found.append(x)
            continue
        state = kept[len(new)]
        if part == "mean":
            new.append(graph.op("Add", state, x))
            found.append(graph.op("Div", new[-1], count))
        else:
            begun = graph.op("Greater", before, graph.constant(np.float32(0)))
            new.append(graph.op("Where", begun, graph.op("Max", state, x), x))
            found.append(new[-1])
    return [found[0] if len(found) == 1 else graph.op("Concat", *found, axis=-1), count, *new]


def beside_each(graph, layer, x, beside):
    """(batch, timesteps, width), (batch, more) -> (batch, timesteps, width + more)."""
    shape = graph.op("Slice", graph.op("Shape", x), graph.integers(0), graph.integers(2), graph.integers(0))
    shape = graph.op("Concat", shape, graph.integers(1), axis=0)
    every = graph.op("Expand", graph.op("Unsqueeze", beside, graph.integers(1)), shape)
    return graph.op("Concat", x, every, axis=-1)


def expand_dims(graph, operation, x):
    return graph.op("Unsqueeze", x, graph.integers(operation.axis))


def get_item(graph, operation, x, key):
    """`x[:, i]`."""
    whole, index = key if isinstance(key, tuple) and len(key) == 2 else (None, None)
    if whole != slice(None) or not isinstance(index, int):
        raise InputError(f"ONNX: the slice {key!r} cannot be exported; expected [:, i]")
    return graph.op("Gather", x, graph.constant(np.int64(index)), axis=1)


def cast(graph, operation, x):
    from onnx import helper

    return graph.op("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(operation.dtype)))


def subtract(graph, operation, x, number):
    """Token ids less a number."""
    return graph.op("Sub", x, graph.constant(np.int32(number)))


# `onnx.TensorProto`'s numbers, which are those of the format: onnx is not imported before it is needed.
_FLOAT, _INT32, _INT64 = 1, 6, 7

EMITTERS = {
    "PaddingMask": padding_mask,
    "OneHot": lambda graph, layer, x: (one_hot_ids if hasattr(layer, "depth") else one_hot)(graph, layer, x),
    "Embedding": embedding,
    "BagEmbedding": bag_embedding,
    "BesideEach": beside_each,
    "Dense": dense,
    "Readout": dense,
    "SimpleRNN": simple_rnn,
    "Bidirectional": bidirectional,
    "Concatenate": concatenate,
    "Dropout": dropout,
    "MaskedPooling": masked_pooling,
    "PoolingStep": pooling_step,
    "ExpandDims": expand_dims,
    "GetItem": get_item,
    "Cast": cast,
    "Subtract": subtract,
}
