"""From a model to its network: Keras walks the graph, and each layer is replaced by a function that adds its nodes."""

from dataclasses import dataclass

import keras

from rnnzoo.errors import InputError
from rnnzoo.explaining._network import Link, Network, Part, Weight, plural
from rnnzoo.explaining._network_names import name_all, raise_all
from rnnzoo.explaining._passes import activation_name, not_functional
from rnnzoo.layers import BesideEach, FeedbackRNN, MaskedPooling, OneHot, PaddingMask, Readout


def network(model):
    """The `Network` of a functional model of the factories.

    Raises:
        InputError: it is no such model, or holds a layer that no factory makes.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"expected a keras.Model, not {type(model).__name__}")
    try:
        walk, inputs = model._run_through_graph, model.inputs
    except AttributeError:
        raise not_functional(model, "drawn") from None
    walker = _Walker(tensor._keras_history.operation.name for tensor in model.outputs)
    walk([walker.input(tensor) for tensor in inputs], operation_fn=walker.of)
    name_all(walker.found)
    raise_all(walker.found)
    return walker.found


@dataclass(frozen=True)
class _Signal:
    """What stands for a tensor: the parts that are side by side in it, at each step or each at its last."""

    parts: tuple
    final: bool = False


@dataclass(frozen=True)
class _Mask:
    """What stands for a mask: the axis that it is of."""

    axis: str


class _Walker:
    def __init__(self, outputs):
        self.found, self.outputs, self.fed_back = Network(), set(outputs), {}

    def input(self, tensor):
        timed = tensor.dtype == "int32" or len(tensor.shape) == 3
        detail = "token ids" if tensor.dtype == "int32" else plural(tensor.shape[-1], "feature")
        detail = f"bags of {tensor.shape[-1]} ids" if tensor.dtype == "int32" and len(tensor.shape) == 3 else detail
        part = self.part(tensor.name, "input", tensor.name if timed else None, "x", detail)
        return _Signal((part.name,))

    def of(self, layer):
        """The function that adds what a layer does."""
        for kinds, add in _ADDS.items():
            if isinstance(layer, kinds):
                return lambda *args, **kwargs: add(self, layer, *args, **kwargs)
        raise InputError(
            f"layer '{layer.name}' ({type(layer).__name__}) cannot be drawn over time; what can are the layers of the "
            f"factories: {', '.join(sorted(kind.__name__ for kinds in _ADDS for kind in kinds))}"
        )

    def part(self, name, role, axis, letter, detail="", **more):
        part = self.found.parts[name] = Part(name, role, axis, letter, detail, **more)
        return part

    def link(self, source, target, how="step", letter=None, shape=None, layer=None):
        weight = None if letter is None else Weight("", letter, layer or target, tuple(shape))
        self.found.links.append(Link(source, target, how, weight))

    def one(self, signal):
        """The one part that a signal comes from, and how it is linked; parts side by side are joined first."""
        how = "final" if signal.final else "step"
        if len(signal.parts) == 1:
            return signal.parts[0], how
        name = "[" + ", ".join(signal.parts) + "]" + (" final" if signal.final else "")
        if name not in self.found.parts:
            axis = None if signal.final else self.found.parts[signal.parts[0]].axis
            self.part(name, "joined", axis, "")
            for part in signal.parts:
                self.link(part, name, how)
        return name, "step"

    def axis(self, signal):
        return None if signal.final else self.found.parts[signal.parts[0]].axis


def _mask(walker, layer, inputs):
    axis = walker.axis(inputs)
    walker.found.padding[axis] = None if "ids" in walker.found.parts[axis].detail else layer.mask_value
    return _Mask(axis)


def _one_hot(walker, layer, ids):
    walker.found.parts[ids.parts[0]].detail = f"token ids, one-hot, {layer.depth} wide"
    return ids


def _embedding(walker, layer, ids):
    (source,) = ids.parts
    walker.part(layer.name, "vectors", walker.axis(ids), "e", f"{layer.output_dim} wide")
    walker.link(source, layer.name, "step", "E", (layer.input_dim, layer.output_dim))
    return _Signal((layer.name,))


def _beside(walker, layer, x, beside):
    """What is the same at every timestep is told of, and not drawn from where it comes to each of them."""
    part, width = walker.found.parts[x.parts[0]], layer._inbound_nodes[0].input_tensors[1].shape[-1]
    part.detail += f", beside the encoder's final state, {width} wide"
    return x


def _same(walker, layer, x, training=False):
    return x


def _concatenate(walker, layer, signals):
    return _Signal(tuple(part for signal in signals for part in signal.parts), signals[0].final)


def _pooling(walker, layer, x, mask=None):
    source, _ = walker.one(x)
    walker.part(layer.name, "pooled", None, "p", " and ".join(layer.parts) + " over time")
    walker.link(source, layer.name, "pool")
    return _Signal((layer.name,))


def _dense(walker, layer, x, mask=None, as_weights=False):
    if as_weights:  # it is lent to a layer that feeds outputs back
        return None, None
    source, how = walker.one(x)
    is_output = layer.name in walker.outputs
    kind = ("output", "y") if is_output else ("dense", "d")
    what = "output" if is_output else "unit"
    detail = plural(layer.units, what) + _and_activation(layer.activation, plain=is_output)
    walker.part(layer.name, kind[0], walker.axis(x), kind[1], detail)
    walker.link(source, layer.name, how, "V" if is_output else "D", layer._kernel.shape)
    for target, (states, letter, shape) in walker.fed_back.items():
        if is_output and target == walker.axis(x):
            walker.link(layer.name, states, "next", letter, shape)
    return _Signal((layer.name,))


def _state(walker, layer, name, axis, mask, initial, two_directions=False):
    """The part of a recurrent layer in one direction."""
    detail = plural(layer.units, "unit") + _and_activation(layer.activation)
    more = {"backwards": layer.go_backwards, "masked": mask is not None, "two_directions": two_directions}
    walker.part(name, "state", axis, "h", detail, **more)
    walker.link(name, name, "recur", "U", layer.cell.recurrent_kernel.shape)
    if initial is not None:
        source, how = walker.one(initial)
        walker.link(source, name, "initial" if how == "final" or walker.axis(initial) is None else how, None)


def _simple_rnn(walker, layer, x, initial_state=None, mask=None, training=False, name=None, two_directions=False):
    name = name or layer.name
    if layer.stateful or (layer.go_backwards and layer.return_sequences and not two_directions):
        what = "stateful" if layer.stateful else "giving its states from the last timestep to the first"
        raise InputError(f"layer '{layer.name}' cannot be drawn over time: it is {what}, which no factory makes")
    initial = initial_state[0] if isinstance(initial_state, list | tuple) else initial_state
    source, how = walker.one(x)
    _state(walker, layer, name, walker.axis(x), mask, initial, two_directions)
    walker.link(source, name, how, "W", layer.cell.kernel.shape)
    out = _Signal((name,), final=not layer.return_sequences)
    return [out, _Signal((name,), final=True)] if layer.return_state else out


def _bidirectional(walker, layer, x, initial_state=None, mask=None, training=False):
    if layer.merge_mode != "concat" or initial_state is not None:
        raise InputError(f"layer '{layer.name}' cannot be drawn over time: only directions that are concatenated can")
    outs, states = [], []
    for direction, rnn in (("forward", layer.forward_layer), ("backward", layer.backward_layer)):
        name = f"{layer.name}/{direction}"
        result = _simple_rnn(walker, rnn, x, mask=mask, name=name, two_directions=True)
        out, *state = result if isinstance(result, list) else [result]
        outs.append(out)
        states += state
    merged = _concatenate(walker, layer, outs)
    return [merged, *states] if states else merged


def _feedback(walker, layer, states, kernel=None, bias=None, target=None, training=False):
    """`FeedbackRNN`: what it is fed is the target of the step before, or its own output."""
    if target is None:
        axis = layer.name
        walker.found.timesteps[axis] = layer.timesteps
    else:
        axis = walker.axis(target)
        walker.found.parts[axis].shifted = walker.found.parts[axis].late = True
    below = None if target is None else target.parts[0]
    for rnn, state in zip(layer.rnns, states, strict=True):
        name = f"{layer.name}/{rnn.name}"
        _state(walker, rnn, name, axis, None, state)
        if below is None:
            walker.fed_back[axis] = (name, "W", rnn.cell.kernel.shape)
        else:
            walker.link(below, name, "step", "W", rnn.cell.kernel.shape)
        below = name
    return _Signal((below,))


_ADDS = {
    (PaddingMask,): _mask,
    (OneHot,): _one_hot,
    (keras.layers.Embedding,): _embedding,
    (BesideEach,): _beside,
    (keras.layers.Dropout,): _same,
    (keras.layers.Concatenate,): _concatenate,
    (MaskedPooling,): _pooling,
    (keras.layers.Dense, Readout): _dense,
    (keras.layers.Bidirectional,): _bidirectional,
    (FeedbackRNN,): _feedback,
    (keras.layers.SimpleRNN,): _simple_rnn,
}


def _and_activation(function, plain=False):
    name = activation_name(function)
    return "" if plain and name == "linear" else f", {name}"
