"""What a model is over time: nodes and the links between them, whatever the number of timesteps.

A layer is one node that stands for all its units, and a layer that reads both directions is two. Which nodes there are
follows from the model's own graph: Keras walks it, and each layer is replaced by a function that adds its node.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import keras

from rnnzoo.errors import InputError
from rnnzoo.explaining._passes import activation_name, not_functional
from rnnzoo.layers import FeedbackRNN, OneHot, PaddingMask, Readout


class Weight(NamedTuple):
    """A matrix on a link.

    Attributes:
        symbol: how it is written on the link, as U⁽²⁾.
        letter: W from below, U from the step before, V to the output; E of an embedding, A to an initial state, D to a
            dense layer between.
        layer: the layer it is of.
        shape: (rows, columns).
    """

    symbol: str
    letter: str
    layer: str
    shape: tuple[int, int]

    def __str__(self):
        """What it is, in words."""
        what = {"U": "recurrent kernel", "E": "embedding"}.get(self.letter, "kernel")
        return f"{self.layer}: {what}, {self.shape[0]} × {self.shape[1]}"


class Link(NamedTuple):
    """What feeds what.

    Attributes:
        source, target: names of parts.
        how: "step" at the same timestep; "recur" from a step to the next that the layer takes; "next" from a timestep to the
            one after; "final" from the last step that a layer takes; "initial" to the state before the first step.
        weight: a `Weight`, or `None` where nothing is multiplied.
    """

    source: str
    target: str
    how: str
    weight: Weight | None


@dataclass
class Part:
    """A node of the network: one, or one at each timestep.

    Attributes:
        name: the layer's name, with `/forward` or `/backward` where there are two directions.
        role: "input", "vectors" (of tokens), "state", "joined" (side by side), "dense", "initial" (a dense layer that gives
            a state to begin with) or "output".
        axis: the input whose timesteps it goes along, or the layer that counts its own; `None` for no time.
        letter: what it is called, as h; `symbol` says which layer's and direction's.
        detail: a few words on it.
        backwards: whether it runs from the last timestep to the first.
        masked: whether its state stands still at masked timesteps.
        shifted: whether it holds at each timestep what belongs to the one before.
        late: whether the model itself shifts it: its array is the one that belongs to each timestep.
        level: its height above the inputs.
        number: which of its kind it is, counted from 1; 0 where there is one.
        two_directions: whether there is one for each direction of time.
        side: "ᵉ" and "ᵈ" where there is an encoder and a decoder.
    """

    name: str
    role: str
    axis: str | None
    letter: str
    detail: str = ""
    backwards: bool = False
    masked: bool = False
    shifted: bool = False
    late: bool = False
    level: int = 0
    number: int = 0
    side: str = ""
    two_directions: bool = False

    def symbol(self, letter=None):
        """The letter with a mark for its direction, its side and its layer."""
        mark = ("\u20d6" if self.backwards else "\u20d7") if self.two_directions else ""
        return f"{letter or self.letter}{mark}{self.side if letter else ''}{superscript(self.number)}"

    def at(self, t):
        """The symbol at a timestep, a number or `t`."""
        mark = ("\u20d6" if self.backwards else "\u20d7") if self.two_directions else ""
        return f"{self.letter}{mark}{subscript(t)}{superscript(self.number)}"


def subscript(t):
    """`h₁₂`'s 12, and `hₜ₋₁`'s t-1."""
    return str(t).translate(str.maketrans("0123456789t-", "₀₁₂₃₄₅₆₇₈₉ₜ₋"))


def superscript(number):
    """`U⁽²⁾`'s (2); nothing for 0."""
    return f"⁽{str(number).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}⁾" if number else ""


@dataclass
class Network:
    """The parts of a model and their links.

    Attributes:
        parts: name -> `Part`, each after what feeds it.
        links: a list of `Link`.
        padding: axis -> the value that marks a vector as padding, or `None` for token ids; without what has no mask.
        timesteps: axis -> their number where the model fixes it.
    """

    parts: dict = field(default_factory=dict)
    links: list = field(default_factory=list)
    padding: dict = field(default_factory=dict)
    timesteps: dict = field(default_factory=dict)

    def axes(self):
        """The axes of time, in the order in which the model goes along them."""
        order = {}
        for role in ("state", None):  # an axis stands where it is first read by something that recurs
            for part in self.parts.values():
                if part.axis and role in (part.role, None):
                    order[part.axis] = None
        return list(order)

    def into(self, name, *hows):
        """The links that arrive at a part."""
        return [link for link in self.links if link.target == name and (not hows or link.how in hows)]


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
    _name(walker.found)
    _raise(walker.found)
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
        detail = "token ids" if tensor.dtype == "int32" else _plural(tensor.shape[-1], "feature")
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
    walker.found.padding[axis] = None if walker.found.parts[axis].detail == "token ids" else layer.mask_value
    return _Mask(axis)


def _one_hot(walker, layer, ids):
    walker.found.parts[ids.parts[0]].detail = f"token ids, one-hot, {layer.depth} wide"
    return ids


def _embedding(walker, layer, ids):
    (source,) = ids.parts
    walker.part(layer.name, "vectors", walker.axis(ids), "e", f"{layer.output_dim} wide")
    walker.link(source, layer.name, "step", "E", (layer.input_dim, layer.output_dim))
    return _Signal((layer.name,))


def _same(walker, layer, x, training=False):
    return x


def _concatenate(walker, layer, signals):
    return _Signal(tuple(part for signal in signals for part in signal.parts), signals[0].final)


def _dense(walker, layer, x, mask=None, as_weights=False):
    if as_weights:  # it is lent to a layer that feeds outputs back
        return None, None
    source, how = walker.one(x)
    is_output = layer.name in walker.outputs
    kind = ("output", "y") if is_output else ("dense", "d")
    what = "output" if is_output else "unit"
    detail = _plural(layer.units, what) + _and_activation(layer.activation, plain=is_output)
    walker.part(layer.name, kind[0], walker.axis(x), kind[1], detail)
    walker.link(source, layer.name, how, "V" if is_output else "D", layer._kernel.shape)
    for target, (states, letter, shape) in walker.fed_back.items():
        if is_output and target == walker.axis(x):
            walker.link(layer.name, states, "next", letter, shape)
    return _Signal((layer.name,))


def _state(walker, layer, name, axis, mask, initial, two_directions=False):
    """The part of a recurrent layer in one direction."""
    detail = _plural(layer.units, "unit") + _and_activation(layer.activation)
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
    (keras.layers.Dropout,): _same,
    (keras.layers.Concatenate,): _concatenate,
    (keras.layers.Dense, Readout): _dense,
    (keras.layers.Bidirectional,): _bidirectional,
    (FeedbackRNN,): _feedback,
    (keras.layers.SimpleRNN,): _simple_rnn,
}


def _name(found):
    """Gives parts their letters and numbers, and weights their symbols."""
    parts, axes = found.parts, found.axes()
    recurs = [axis for axis in axes if any(part.role == "state" and part.axis == axis for part in parts.values())]
    for link in found.links:
        source = parts[link.source]
        if link.how == "initial" and source.axis is None and source.role == "dense":
            source.role = "initial"
    for part in parts.values():
        if part.role == "state" and len(recurs) > 1:
            part.side = "ᵉᵈ"[min(recurs.index(part.axis), 1)]
            part.letter = "hs"[min(recurs.index(part.axis), 1)]
        elif part.role == "dense" and not recurs:
            part.letter = "h"
        elif part.role == "input" and part.axis and (part.shifted or (len(recurs) > 1 and part.axis == recurs[-1])):
            part.letter, part.shifted = "y*", True  # the teacher's: what should have been written at the step before
    groups = {}
    for part in parts.values():
        if part.role in ("state", "dense", "vectors"):
            side = part.axis if part.role != "dense" else None
            layer = part.name.partition("/")[0] if part.two_directions else part.name
            groups.setdefault((part.role, side), {}).setdefault(layer, []).append(part)
    for layers in groups.values():
        for number, members in enumerate(layers.values(), 1):
            for part in members:
                part.number = number if len(layers) > 1 else 0
    for link in found.links:
        if link.how == "initial" and parts[link.source].role == "initial":
            source, target = parts[link.source], parts[link.target]
            source.letter, source.number = target.letter, target.number
    embeddings = [part for part in parts.values() if part.role == "vectors"]
    for part in embeddings:
        part.side = "ᵉᵈ"[recurs.index(part.axis) > 0] if len(embeddings) > 1 else ""
    for i, link in enumerate(found.links):
        if link.weight is None:
            continue
        letter, target = link.weight.letter, parts[link.target]
        if letter == "D":
            letter = "A" if target.role == "initial" else "D" if recurs else "W"
        found.links[i] = link._replace(weight=link.weight._replace(symbol=target.symbol(letter), letter=letter))


def _raise(found):
    """Gives parts their levels: each above what feeds it, and the recurrent ones of all axes on common ones."""
    parts = found.parts
    embedded = {part.axis for part in parts.values() if part.role == "vectors"}
    base = 2 if embedded else 1
    for part in parts.values():
        below = [parts[link.source].level for link in found.into(part.name, "step", "final")]
        if part.role == "input":
            part.level = base - 1 - (part.axis in embedded)
        elif part.role == "state":
            part.level = max([base, *(level + 1 for level in below)])
            if part.backwards and part.two_directions:
                part.level += 1
        else:
            part.level = max(below) + 1
    for part in parts.values():
        if part.role == "initial":
            part.level = next(parts[link.target].level for link in found.links if link.source == part.name)
        elif part.role == "dense" and leads_to_state(found, part.name):
            part.level = max(parts[link.source].level for link in found.into(part.name))


def leads_to_state(found, name):
    """Whether a part without time is on the way to a state to begin with."""
    return found.parts[name].axis is None and any(
        link.how == "initial" or leads_to_state(found, link.target) for link in found.links if link.source == name
    )


def _plural(count, what):
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _and_activation(function, plain=False):
    name = activation_name(function)
    return "" if plain and name == "linear" else f", {name}"
