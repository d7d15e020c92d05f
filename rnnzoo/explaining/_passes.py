"""The layers that the factories are made of, in NumPy: each forward, and the way back that it leaves behind.

A model is a graph of layers. Keras walks it; here each layer is replaced by a function of `Value`s that computes with the
NumPy reference, and puts its way back on a tape. The tape is then played from its end.
"""

import keras
import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.explaining._activations import named
from rnnzoo.explaining._parts import DenseTrace, RecurrentTrace
from rnnzoo.layers import (
    BagEmbedding,
    BesideEach,
    Dropout,
    FeedbackRNN,
    MaskedPooling,
    OneHot,
    PaddingMask,
    Readout,
    reference,
)


class Value:
    """An array of the graph, and the loss's gradient of it as it gathers."""

    def __init__(self, array):
        self.array, self.gradient = np.asarray(array), None

    def add(self, gradient):
        """Adds what arrives on one way."""
        self.gradient = gradient if self.gradient is None else self.gradient + gradient


class Tape:
    """One pass of a model: what its layers did, and what they have to do on the way back."""

    def __init__(self, model):
        self.model, self.layers, self.gradients, self._back = model, {}, {}, []

    def forward(self, inputs):
        """A list of arrays, one an input of the model -> the `Value` of its output."""
        try:
            walk = self.model._run_through_graph
        except AttributeError:
            raise not_functional(self.model) from None
        return walk([Value(array) for array in inputs], operation_fn=self._of)

    def backward(self):
        """Plays the tape from its end; the output's gradient must be there."""
        for back in reversed(self._back):
            back()

    def weight(self, variable):
        """A variable as an array of 64-bit floats."""
        return variable.numpy().astype(np.float64)

    def add_gradient(self, variable, gradient):
        """Adds to the gradient of a variable."""
        before = self.gradients.get(variable.path)
        self.gradients[variable.path] = gradient if before is None else before + gradient

    def _of(self, layer):
        """The function that does what a layer does."""
        for kind, run in _RUNS.items():
            if type(layer) is kind or (kind is keras.layers.SimpleRNN and isinstance(layer, kind)):
                return lambda *args, **kwargs: run(self, layer, *args, **kwargs)
        raise InputError(
            f"layer '{layer.name}' ({type(layer).__name__}) cannot be traced; what can are the layers of the factories: "
            f"{', '.join(sorted(kind.__name__ for kind in _RUNS))}"
        )


def _mask(tape, layer, inputs):
    return Value(reference.padding_mask(inputs.array, layer.mask_value))


def _one_hot(tape, layer, ids):
    return Value(np.eye(layer.depth + 1)[ids.array.astype(int)][..., 1:])


def _embedding(tape, layer, ids):
    table, rows = tape.weight(layer._embeddings), ids.array.astype(int)
    out = Value(table[rows])

    def back():
        gradient = np.zeros_like(table)
        np.add.at(gradient, rows, _arrived(out))
        tape.add_gradient(layer._embeddings, gradient)

    tape._back.append(back)
    return out


def _bag(tape, layer, ids):
    table, rows = tape.weight(layer._embeddings), ids.array.astype(int)  # (batch, timesteps, bag)
    used = (rows != 0)[..., None]
    out = Value((table[rows] * used).sum(axis=-2))

    def back():
        gradient = np.zeros_like(table)
        np.add.at(gradient, rows, _arrived(out)[..., None, :] * used)
        tape.add_gradient(layer._embeddings, gradient)

    tape._back.append(back)
    return out


def _beside(tape, layer, x, beside):
    width, timesteps = x.array.shape[-1], x.array.shape[1]
    out = Value(np.concatenate([x.array, np.repeat(beside.array[:, None], timesteps, axis=1)], axis=-1))

    def back():
        x.add(_arrived(out)[..., :width])
        beside.add(_arrived(out)[..., width:].sum(axis=1))

    tape._back.append(back)
    return out


def _dropout(tape, layer, x, training=False):
    return x  # what is traced is not training: nothing is dropped


def _concatenate(tape, layer, parts):
    out = Value(np.concatenate([part.array for part in parts], axis=-1))

    def back():
        ends = np.cumsum([part.array.shape[-1] for part in parts])[:-1]
        for part, gradient in zip(parts, np.split(_arrived(out), ends, axis=-1), strict=True):
            part.add(gradient)

    tape._back.append(back)
    return out


def _pooling(tape, layer, x, mask=None):
    used = np.ones(x.array.shape[:2], bool) if mask is None else mask.array.astype(bool)
    width, half = x.array.shape[-1], x.array.shape[-1] // 2
    pieces = []  # what is pooled how, in the order of the output
    for part in layer.parts:
        ends = part == "last" and layer.bidirectional
        pieces += [("last", slice(0, half)), ("first", slice(half, width))] if ends else [(part, slice(0, width))]
    found = [reference.pool(x.array[..., columns], part, used) for part, columns in pieces]
    out = Value(np.concatenate(found, axis=-1))

    def back():
        stops = np.cumsum([pooled.shape[-1] for pooled in found])[:-1]
        for (part, columns), pooled, gradient in zip(pieces, found, np.split(_arrived(out), stops, axis=-1), strict=True):
            d_x = np.zeros(x.array.shape)
            d_x[..., columns] = reference.pool_back(x.array[..., columns], pooled, gradient, part, used)
            x.add(d_x)

    tape._back.append(back)
    return out


def _dense(tape, layer, x, mask=None, as_weights=False):
    if as_weights:
        return _lent(tape, layer)
    kernel, bias = tape.weight(layer._kernel), None if layer.bias is None else tape.weight(layer.bias)
    act = activation(layer, layer.activation)
    z = x.array @ kernel
    z = z if bias is None else z + bias
    out = Value(act.value(z))
    traced = DenseTrace(layer.name, activation_name(layer.activation), kernel, bias, x.array, z, out.array)
    tape.layers[layer.name] = traced

    def back():
        traced.d_outputs = _arrived(out)
        traced.d_pre_activations = act.back(z, out.array, traced.d_outputs)
        traced.d_inputs = traced.d_pre_activations @ kernel.T
        x.add(traced.d_inputs)
        tape.add_gradient(layer._kernel, traced.kernel_shares.sum(0))
        if bias is not None:
            tape.add_gradient(layer.bias, traced.bias_shares.sum(0))

    tape._back.append(back)
    return out


def _lent(tape, layer):
    """The readout's weights, lent to a layer that feeds outputs back."""
    variables = layer._kernel, layer.bias
    lent = [Value(np.zeros(layer.units) if variable is None else tape.weight(variable)) for variable in variables]

    def back():
        for value, variable in zip(lent, variables, strict=True):
            if variable is not None:
                tape.add_gradient(variable, _arrived(value))

    tape._back.append(back)
    return tuple(lent)


class _Recurrence:
    """One recurrent layer in one direction: forward at once, backward at once."""

    def __init__(self, tape, layer, name):
        self.tape, self.layer, self.name = tape, layer, name
        cell = layer.cell
        self.act = activation(layer, cell.activation)
        self.kernel, self.recurrent_kernel = tape.weight(cell.kernel), tape.weight(cell.recurrent_kernel)
        self.bias = None if cell.bias is None else tape.weight(cell.bias)
        self.activation = activation_name(cell.activation)

    def forward(self, x, mask, initial, backwards):
        """Runs over x (batch, timesteps, features) and puts the trace down."""
        flip = (lambda array: array[:, ::-1]) if backwards else (lambda array: array)
        initial = np.zeros((len(x), self.kernel.shape[1])) if initial is None else initial
        self.weights = self.kernel, self.recurrent_kernel
        used = None if mask is None else flip(mask)
        states = reference.forward(flip(x), *self.weights, self.bias, self.act, used, initial)
        traced = RecurrentTrace(
            self.name,
            self.activation,
            backwards,
            *self.weights,
            self.bias,
            x,
            mask,
            initial,
            pre_activations=np.empty(0),
            states=flip(states),
            paths=tuple(variable.path for variable in self.layer.cell.weights),
        )
        z = x @ self.kernel + traced.states_before @ self.recurrent_kernel
        traced.pre_activations = z if self.bias is None else z + self.bias
        self.tape.layers[self.name] = self.traced = traced
        return traced

    def backward(self, d_from_output):
        """The way back from dL/dh_t as it arrives from above, (batch, timesteps, units)."""
        traced = self.traced
        flip = (lambda array: array[:, ::-1]) if traced.backwards else (lambda array: array)
        used = None if traced.mask is None else flip(traced.mask)
        found = reference.backward(
            *(flip(array) for array in (traced.inputs, traced.states, d_from_output)),
            *self.weights,
            self.act,
            used,
            traced.initial_state,
            flip(traced.pre_activations),
        )
        traced.d_from_output, traced.d_from_later = d_from_output, flip(found["later"])
        traced.d_pre_activations, traced.d_inputs = flip(found["z"]), flip(found["x"])
        traced.d_initial_state = found["initial_state"]
        self.add_gradients(found["kernel"], found["recurrent_kernel"], found["bias"])

    def add_gradients(self, kernel, recurrent_kernel, bias):
        """Adds to the gradients of the layer's variables."""
        cell = self.layer.cell
        self.tape.add_gradient(cell.kernel, kernel)
        self.tape.add_gradient(cell.recurrent_kernel, recurrent_kernel)
        if cell.bias is not None:
            self.tape.add_gradient(cell.bias, bias)


def _simple_rnn(tape, layer, x, initial_state=None, mask=None, training=False, name=None):
    """Keras's layer: its output is zeros until the first used timestep, then at masked ones the output before.

    With `zero_output_for_mask`, which `Bidirectional` sets, it is zeros at every masked timestep.
    """
    if layer.stateful:
        raise InputError(f"layer '{layer.name}' cannot be traced: it is stateful, which no factory makes")
    run = _Recurrence(tape, layer, name or layer.name)
    initial = initial_state[0] if isinstance(initial_state, list | tuple) else initial_state
    used = None if mask is None else mask.array.astype(bool)
    traced = run.forward(x.array, used, None if initial is None else initial.array, layer.go_backwards)
    states = traced.states[:, traced.order]  # as they come
    seen = np.ones(states.shape[:2], bool) if used is None else used[:, traced.order]
    seen = seen if layer.zero_output_for_mask else np.cumsum(seen, axis=1) > 0
    shown = np.where(seen[..., None], states, 0.0)
    out = Value(shown if layer.return_sequences else shown[:, -1])
    final = Value(states[:, -1])

    def back():
        d_shown = np.zeros_like(states)
        if out.gradient is not None:
            if layer.return_sequences:
                d_shown += out.gradient
            else:
                d_shown[:, -1] += out.gradient
        d_shown = np.where(seen[..., None], d_shown, 0.0)
        if final.gradient is not None:
            d_shown[:, -1] += final.gradient
        run.backward(d_shown[:, np.argsort(traced.order)])
        x.add(traced.d_inputs)
        if initial is not None:
            initial.add(traced.d_initial_state)

    tape._back.append(back)
    return [out, final] if layer.return_state else out


def _bidirectional(tape, layer, x, initial_state=None, mask=None, training=False):
    if layer.merge_mode != "concat" or initial_state is not None:
        raise InputError(f"layer '{layer.name}' cannot be traced: only directions that are concatenated can")
    outputs, states = [], []
    for direction, rnn in (("forward", layer.forward_layer), ("backward", layer.backward_layer)):
        result = _simple_rnn(tape, rnn, x, mask=mask, name=f"{layer.name}/{direction}")
        out, *state = result if isinstance(result, list) else [result]
        outputs.append(_in_time(tape, out) if rnn.go_backwards and rnn.return_sequences else out)
        states += state
    merged = _concatenate(tape, layer, outputs)
    return [merged, *states] if states else merged


def _in_time(tape, value):
    """What came from the last timestep to the first, turned round."""
    out = Value(value.array[:, ::-1])
    tape._back.append(lambda: value.add(_arrived(out)[:, ::-1]))
    return out


def _feedback(tape, layer, states, kernel=None, bias=None, target=None, training=False):
    """`FeedbackRNN`: with a target a stack like any other; without, each output is fed to the next step."""
    tokens = layer.feedback == "token"
    runs = [_Recurrence(tape, rnn, f"{layer.name}/{rnn.name}") for rnn in layer.rnns]

    def encode(fed):
        return np.eye(layer.feedback_width + 1)[fed.astype(int)][..., 1:] if tokens else fed

    if target is not None:
        x = np.zeros((*target.array.shape[:2], layer.feedback_width))
        x[:, 1:] = encode(target.array)[:, :-1]
        for run, state in zip(runs, states, strict=True):
            x = run.forward(x, None, state.array, False).states
    else:
        x = _run_free(layer, runs, states, kernel, bias, encode)
    out = Value(x)

    def back():
        d_top = _arrived(out)
        if target is None and not tokens:
            _back_through_feedback(layer, runs, kernel, bias, d_top)
        else:  # what is fed is a choice, which has no gradient
            for run in reversed(runs):
                run.backward(d_top)
                d_top = run.traced.d_inputs
        for run, state in zip(runs, states, strict=True):
            state.add(run.traced.d_initial_state)

    tape._back.append(back)
    return out


def _run_free(layer, runs, states, kernel, bias, encode):
    """Each output fed to the next step; the traces are put down as if all inputs had been known."""
    act = activation(layer, layer.output_activation)
    batch = len(states[0].array)
    fed, now = np.zeros((batch, layer.feedback_width)), [state.array for state in states]
    inputs = []
    for _ in range(layer.timesteps):
        inputs.append(fed)
        x = fed
        for i, run in enumerate(runs):
            x = now[i] = reference.forward(x[:, None], *_three(run), run.act, None, now[i])[:, 0]
        output = act.value(x @ kernel.array + bias.array)
        fed = encode(np.argmax(output[:, 1:], axis=-1) + 1) if layer.feedback == "token" else output
    x = np.stack(inputs, axis=1)
    for run, state in zip(runs, states, strict=True):
        x = run.forward(x, None, state.array, False).states
    return x


def _three(run):
    return run.kernel, run.recurrent_kernel, run.bias


def _back_through_feedback(layer, runs, kernel, bias, d_top):
    """The way back where the gradient of a step's input goes on into the output of the step before."""
    act = activation(layer, layer.output_activation)
    top = runs[-1].traced
    z = top.states @ kernel.array + bias.array
    outputs = act.value(z)
    timesteps = top.states.shape[1]
    arrived = [np.zeros_like(run.traced.states) for run in runs]
    later, d_z = ([np.zeros_like(run.traced.states) for run in runs] for _ in range(2))
    now = [np.zeros_like(run.traced.initial_state) for run in runs]
    d_inputs = [np.zeros_like(run.traced.inputs) for run in runs]
    d_kernel, d_bias = np.zeros_like(kernel.array), np.zeros_like(bias.array)
    for t in reversed(range(timesteps)):
        above = d_top[:, t]
        if t < timesteps - 1:  # this step's output was the next one's input
            d_output = act.back(z[:, t], outputs[:, t], d_inputs[0][:, t + 1])
            d_kernel += top.states[:, t].T @ d_output
            d_bias += d_output.sum(0)
            above = above + d_output @ kernel.array.T
        for i in reversed(range(len(runs))):
            arrived[i][:, t], later[i][:, t] = above, now[i]
            traced = runs[i].traced
            d_z[i][:, t] = runs[i].act.back(traced.pre_activations[:, t], traced.states[:, t], above + now[i])
            now[i] = d_z[i][:, t] @ runs[i].recurrent_kernel.T
            above = d_inputs[i][:, t] = d_z[i][:, t] @ runs[i].kernel.T
    kernel.add(d_kernel)
    bias.add(d_bias)
    for i, run in enumerate(runs):
        traced = run.traced
        traced.d_from_output, traced.d_from_later, traced.d_pre_activations = arrived[i], later[i], d_z[i]
        traced.d_inputs, traced.d_initial_state = d_inputs[i], now[i]
        run.add_gradients(traced.kernel_shares.sum(0), traced.recurrent_kernel_shares.sum(0), traced.bias_shares.sum(0))


_RUNS = {
    PaddingMask: _mask,
    OneHot: _one_hot,
    keras.layers.Embedding: _embedding,
    BagEmbedding: _bag,
    BesideEach: _beside,
    keras.layers.Dropout: _dropout,
    Dropout: _dropout,
    keras.layers.Concatenate: _concatenate,
    MaskedPooling: _pooling,
    keras.layers.Dense: _dense,
    Readout: _dense,
    keras.layers.Bidirectional: _bidirectional,
    FeedbackRNN: _feedback,
    keras.layers.SimpleRNN: _simple_rnn,
}


def not_functional(model, done="traced"):
    """The error for a model whose graph of layers is not known."""
    return InputError(f"'{model.name}' is no functional model: only those of the factories can be {done}")


def activation(layer, function):
    """The `Activation` of a layer's function."""
    name = activation_name(function)
    found = named(name)
    if found is None or (function is not None and function is not keras.activations.get(name)):
        raise InputError(f"layer '{layer.name}' cannot be traced: its activation {name} is none of Keras's own")
    return found


def activation_name(function):
    """What an activation is called."""
    return "linear" if function is None else getattr(function, "__name__", type(function).__name__)


def _arrived(value):
    """The gradient that has arrived; zeros where nothing asked for the value."""
    return np.zeros(value.array.shape) if value.gradient is None else value.gradient
