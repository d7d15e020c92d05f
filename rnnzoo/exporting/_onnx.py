"""ONNX models: token ids or vectors in, numbers out, with all that is around them described beside."""

import json
from typing import NamedTuple

import numpy as np

from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.exporting._onnx_decoding import add_decoder
from rnnzoo.exporting._onnx_graph import OPSET, Graph, add_model
from rnnzoo.exporting._spec import describe, write_description
from rnnzoo.running._onnx import seal
from rnnzoo.stepping import step_model


class Part(NamedTuple):
    """One model of an export: its graph and the shapes and dtypes of what goes in and comes out, by name."""

    graph: Graph
    inputs: dict
    outputs: dict


def require():
    """Raises `MissingExtraError` where what writes the format is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise MissingExtraError("ONNX models are written by onnx: pip install 'rnnzoo[onnx]'") from None


def write(predictor, path, proof=None):
    """Writes a `Predictor` as ONNX models, each checked by `onnx.checker`.

    A path that ends in `.onnx` becomes one file, the model of whole sequences. A folder holds it as `model.onnx`; beside it
    `step.onnx`, one timestep and the states in, outputs and new states out, where the model runs in one direction;
    `start.onnx`, the states that a model that writes begins with; and `rnnzoo.json`, which describes them all (see
    `_spec.describe`, and `models` and `files` in it, with the sha256 of each). Every model has the description, without
    those two, in its own metadata, under `rnnzoo`; and as its last bytes, under `rnnzoo_sha256`, the checksum of all bytes
    before.

    `model.onnx` takes `inputs` (`source` of an encoder-decoder): int32 token ids (batch, timesteps), padded with 0, or
    float32 vectors (batch, features) or (batch, timesteps, features), padded with the description's `input.padding` where it
    has one. It gives `outputs`, and where it writes its answer also `written`, int32 token ids (batch, steps), 0 after the
    end token. Batch and time are of any size.

    Args:
        predictor: a `Predictor`.
        path: a `pathlib.Path`: an empty folder, or a file that is not there.
        proof: what the models must give (see `_proof.draw`), kept as `proof.json`; of one file as its metadata's
            `rnnzoo_proof`; `None` for none.

    Raises:
        InputError: a layer or an activation cannot be exported.
    """
    decoder = predictor.serving.decoder
    description = {**describe(predictor, "onnx"), "opset": OPSET}
    parts = {"model": _whole(predictor.model, decoder)}
    if path.suffix == ".onnx":
        path.write_bytes(_sealed(parts["model"], "model", description, proof))
        return
    parts |= _steps(predictor.model, decoder)
    models = {}
    for role, part in parts.items():
        (path / f"{role}.onnx").write_bytes(_sealed(part, role, description))
        models[role] = {"file": f"{role}.onnx", "inputs": _plain(part.inputs), "outputs": _plain(part.outputs)}
    write_description(path, {**description, "models": models}, proof)


def _plain(tensors):
    return {name: {"shape": list(shape), "dtype": np.dtype(dtype).name} for name, (shape, dtype) in tensors.items()}


def _sealed(part, role, description, proof=None):
    """The bytes of a model's file."""
    import onnx

    metadata = {"rnnzoo": json.dumps({**description, "role": role}, ensure_ascii=False)}
    if proof is not None:
        metadata["rnnzoo_proof"] = json.dumps(proof, ensure_ascii=False)
    model = part.graph.model(role, part.inputs, part.outputs, metadata)
    model.producer_version = description["rnnzoo_version"]
    model.doc_string = description["description"]
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # what the checker raises is no single class of errors
        raise InputError(f"{description['preset']}: the ONNX model is not valid: {str(error).splitlines()[0]}") from None
    data = model.SerializeToString()
    return data + seal(data)


def _whole(model, decoder):
    """The model of whole sequences, or what it writes for whole inputs."""
    if decoder is None:
        return _part({model.inputs[0].name: model.inputs[0]}, {"outputs": model.outputs[0]}, guarded=True)
    graph, source = Graph(), model.inputs[0]
    given, batch = _some_rows(graph, source)
    outputs = add_decoder(graph, decoder, given)
    _name(graph, {"written": outputs[0], "outputs": outputs[1]}, batch)
    written, numbers = (["batch", "steps"], np.int32), (["batch", "steps", decoder.outputs], np.float32)
    return Part(graph, {source.name: _sizes(source)}, {"written": written, "outputs": numbers})


def _steps(model, decoder):
    """The models of one timestep: `step`, and `start` where there is something to write; none where time has no order."""
    if decoder is not None:
        start, step = decoder.start, decoder.step
        source = start.inputs[0]
        return {"start": _part({source.name: source}, start.output, guarded=True), "step": _step(step)}
    try:
        return {"step": _step(step_model(model))}
    except InputError:  # both directions, or no timesteps
        return {}


def _step(step):
    # No two tensors of a graph have one name: a state that comes out is called new.
    new = {name if name == "outputs" else f"new_{name}": tensor for name, tensor in step.output.items()}
    return _part(dict(step.input), new)


def _part(inputs, outputs, guarded=False):
    """The model of named Keras tensors; with `guarded`, of one input, it is safe from a batch of no rows."""
    graph, batch = Graph(), None
    given = {name: name for name in inputs}
    if guarded:
        ((name, tensor),) = inputs.items()
        given[name], batch = _some_rows(graph, tensor)
    names = add_model(graph, list(outputs.values()), [(tensor, given[name]) for name, tensor in inputs.items()])
    _name(graph, dict(zip(outputs, names, strict=True)), batch)
    return Part(
        graph,
        {name: _sizes(tensor) for name, tensor in inputs.items()},
        {name: _sizes(tensor) for name, tensor in outputs.items()},
    )


def _some_rows(graph, source):
    """An input, with a row of zeros where it has none: of no rows onnxruntime before 1.32 is wrong, or crashes.

    Returns:
        Its name, and that of the number of rows that there were.
    """
    shape = graph.op("Shape", source.name)
    batch = graph.op("Gather", shape, graph.integers(0), axis=0)
    rest = graph.op("Slice", shape, graph.integers(1), graph.integers(len(source.shape)), graph.integers(0))
    none = graph.op("Cast", graph.op("Equal", batch, graph.integers(0)), to=7)  # as int64: 1 or 0
    row = graph.op("Expand", graph.constant(np.zeros((), source.dtype)), graph.op("Concat", none, rest, axis=0))
    return graph.op("Concat", source.name, row, axis=0), batch


def _name(graph, outputs, batch):
    """Gives the outputs of a graph their names, and as many rows as its input had."""
    for key, name in outputs.items():
        if batch is None:
            graph.op_named(key, "Identity", name)
        else:
            graph.op_named(key, "Slice", name, graph.integers(0), batch, graph.integers(0))


def _sizes(tensor):
    names = ("batch", "timesteps")
    return [names[i] if size is None else size for i, size in enumerate(tensor.shape)], np.dtype(tensor.dtype)
