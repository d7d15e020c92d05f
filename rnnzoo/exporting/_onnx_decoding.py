"""Greedy decoding as an ONNX Loop around the step of a model that writes."""

import numpy as np

from rnnzoo.exporting._onnx_graph import Graph, add_model


def add_decoder(graph, decoder, source):
    """Adds what a `Decoder` of tokens does: it writes until every row has ended, or `max_length` steps.

    Args:
        graph: a `Graph`.
        decoder: the `Decoder`.
        source: the name of the model's input.

    Returns:
        The names of `written` (batch, steps) int32, and `outputs` (batch, steps, ids) float32, both 0 after the end token.
    """
    from onnx import TensorProto, helper

    state_names = list(decoder.start.output)
    states = add_model(graph, list(decoder.start.output.values()), [(decoder.start.inputs[0], source)])
    batch = graph.op("Gather", graph.op("Shape", states[0]), graph.integers(0), axis=0)
    fed = graph.op("Expand", graph.constant(np.int32(decoder.start_token)), batch)
    done = graph.op("Expand", graph.constant(np.bool_(False)), batch)

    body = Graph(graph)
    t, going, done_before, fed_before = (body.name(name) for name in ("t", "going", "done_before", "fed"))
    before = [body.name("state_before") for _ in state_names]
    inputs = decoder.step.input
    given = [(inputs["fed"], fed_before), *zip((inputs[name] for name in state_names), before, strict=True)]
    wanted = [decoder.step.output[name] for name in ("outputs", *state_names)]
    output, *after = add_model(body, wanted, given)
    # What a step leaves as it is, too, comes out under a name of its own.
    after = [body.op("Identity", name) if name in before else name for name in after]
    # Id 0 is padding, which nothing writes.
    tokens = body.op("Slice", output, body.integers(1), body.integers(decoder.outputs), body.integers(1))
    token = body.op("Cast", body.op("ArgMax", tokens, axis=1, keepdims=0), to=TensorProto.INT32)
    token = body.op("Add", token, body.constant(np.int32(1)))
    written = body.op("Where", done_before, body.constant(np.int32(0)), token)
    done_after = body.op("Or", done_before, body.op("Equal", token, body.constant(np.int32(decoder.end_token))))
    count = body.op(
        "ReduceSum", body.op("Cast", body.op("Not", done_after), to=TensorProto.INT32), body.integers(0), keepdims=0
    )
    goes_on = body.op("Greater", count, body.constant(np.int32(0)))
    shown = body.op("Identity", written)
    ended = body.op("Unsqueeze", done_before, body.integers(1))
    behind = body.op("Where", ended, body.constant(np.float32(0)), output)

    def info(name, kind, *shape):
        return helper.make_tensor_value_info(name, kind, shape)

    units = [decoder.step.input[name].shape[1] for name in state_names]
    inner = helper.make_graph(
        body.nodes,
        "write_token",
        [
            info(t, TensorProto.INT64),
            info(going, TensorProto.BOOL),
            info(done_before, TensorProto.BOOL, "batch"),
            info(fed_before, TensorProto.INT32, "batch"),
            *(info(name, TensorProto.FLOAT, "batch", n) for name, n in zip(before, units, strict=True)),
        ],
        [
            info(goes_on, TensorProto.BOOL),
            info(done_after, TensorProto.BOOL, "batch"),
            info(written, TensorProto.INT32, "batch"),
            *(info(name, TensorProto.FLOAT, "batch", n) for name, n in zip(after, units, strict=True)),
            info(shown, TensorProto.INT32, "batch"),
            info(behind, TensorProto.FLOAT, "batch", decoder.outputs),
        ],
    )
    limit, begin = graph.constant(np.int64(decoder.max_length)), graph.constant(np.bool_(True))
    *_, tokens, outputs = graph.op("Loop", limit, begin, done, fed, *states, outputs=4 + len(states), body=inner)
    return [graph.op("Transpose", tokens, perm=[1, 0]), graph.op("Transpose", outputs, perm=[1, 0, 2])]
