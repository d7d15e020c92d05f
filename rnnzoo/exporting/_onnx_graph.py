"""ONNX graphs in the making, and the walk that turns a functional Keras model into one."""

import keras
import numpy as np

from rnnzoo.errors import InputError

# Read by every onnxruntime since 1.12, and by what else reads ONNX; nothing newer is needed.
OPSET, IR_VERSION = 17, 8


class Graph:
    """Nodes and constants, and the names of what they give.

    Args:
        parent: the graph around it where this is the body of a loop: it sees all that the parent has, and its constants
            are the parent's, so that they are kept once.

    Attributes:
        nodes: `onnx.NodeProto`s, each after those that it reads.
        constants: `onnx.TensorProto`s.
        memo: what was made once and is used again.
    """

    def __init__(self, parent=None):
        self.nodes, self.memo = [], {}
        self.constants = parent.constants if parent else []
        self._counts = parent._counts if parent else {}  # a name is one thing in the whole model
        self._known = parent._known if parent else {}

    def op(self, kind, *inputs, outputs=1, **attributes):
        """A node: the name of its output, or a list of names where there are several. `None` is an input left out."""
        names = [self.name(kind) for _ in range(outputs)]
        self._node(kind, inputs, names, attributes)
        return names[0] if outputs == 1 else names

    def op_named(self, name, kind, *inputs, **attributes):
        """A node whose output has a name of its own: an output of the model."""
        self._node(kind, inputs, [name], attributes)

    def _node(self, kind, inputs, names, attributes):
        from onnx import helper

        inputs = ["" if name is None else name for name in inputs]
        while inputs and not inputs[-1]:
            inputs.pop()
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[0], **attributes))

    def constant(self, value, name="constant"):
        """The name of a constant; the same value is kept once."""
        from onnx import numpy_helper

        value = np.array(value, order="C")
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._known:
            self._known[key] = self.name(name)
            self.constants.append(numpy_helper.from_array(value, self._known[key]))
        return self._known[key]

    def integers(self, *values):
        """The name of a constant (n,) of int64: axes, shapes and the like."""
        return self.constant(np.array(values, np.int64))

    def name(self, stem):
        """A name that nothing else has."""
        self._counts[stem] = self._counts.get(stem, 0) + 1
        return f"{stem}_{self._counts[stem]}"

    def model(self, name, inputs, outputs, metadata):
        """The `onnx.ModelProto`.

        Args:
            name: what the graph is called.
            inputs, outputs: name -> (shape, NumPy dtype); a string in a shape is a dimension of any size.
            metadata: strings to strings.
        """
        from onnx import helper

        def infos(tensors):
            return [
                helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
                for key, (shape, dtype) in tensors.items()
            ]

        graph = helper.make_graph(self.nodes, name, infos(inputs), infos(outputs), self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rnnzoo"
        )
        helper.set_model_props(model, metadata)
        return model


def add_model(graph, outputs, fed):
    """Adds to a graph what computes tensors of a functional Keras model.

    Args:
        graph: a `Graph`.
        outputs: a list of Keras tensors.
        fed: pairs of a Keras tensor and the name of what takes its place: the model's inputs.

    Returns:
        The names of the outputs.

    Raises:
        InputError: a layer is none of the zoo's.
    """
    from rnnzoo.exporting._onnx_layers import EMITTERS

    names = {id(tensor): name for tensor, name in fed}

    def named(value):
        return name_of(value) if isinstance(value, keras.KerasTensor) else value

    def name_of(tensor):
        if id(tensor) not in names:
            operation, index, _ = tensor._keras_history
            node = operation._inbound_nodes[index]
            args, kwargs = keras.tree.map_structure(named, (node.arguments.args, node.arguments.kwargs))
            kind = type(operation).__name__
            if kind not in EMITTERS:
                raise InputError(f"ONNX: the layer '{operation.name}' ({kind}) is none of the zoo's and cannot be exported")
            results = EMITTERS[kind](graph, operation, *args, **kwargs)
            results = results if isinstance(results, list) else [results]
            names.update(zip(map(id, node.output_tensors), results, strict=True))
        return names[id(tensor)]

    return [name_of(tensor) for tensor in outputs]
