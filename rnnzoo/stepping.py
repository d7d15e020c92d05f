"""One timestep at a time: what a model of a causal architecture does between one state and the next."""

import keras

from rnnzoo.architectures._parts import is_numbered, numbered, step_input
from rnnzoo.errors import InputError
from rnnzoo.layers import PoolingStep


def step_model(model):
    """The model of one timestep that a recurrent model is made of, on the same weights.

    Applied timestep by timestep from states of zeros it gives what the whole sequence gives: at every timestep of a
    `many_to_many`, and of a `many_to_one` what it would answer if the sequence ended there.

    Args:
        model: a model of `many_to_one`, `many_to_many` or `deep`, of one direction; a loaded one too.

    Returns:
        A `keras.Model`, a dict of `inputs` (a token id (batch,) or a vector (batch, features)) and the states `state`,
        `state_2`, ... (batch, units), one a recurrent layer -> a dict of `outputs` (batch, outputs) and the new states.
        Where the model reads out what is pooled over time, `pooling_count` (batch, 1), `pooling_sum` and `pooling_max`
        (batch, width) are states, too; see `rnnzoo.layers.PoolingStep`.

    Raises:
        InputError: the model is of another architecture, or runs in both directions: it needs the whole sequence.
    """
    layers = {layer.name: layer for layer in model.layers}
    hidden, dense = ([layer for name, layer in layers.items() if is_numbered(stem, name)] for stem in ("hidden", "dense"))
    if any(isinstance(layer, keras.layers.Bidirectional) for layer in hidden):
        raise InputError(f"'{model.name}' runs in both directions: its every output needs the whole sequence")
    recurs = "inputs" in layers and hidden and all(isinstance(layer, keras.layers.SimpleRNN) for layer in hidden)
    if not recurs or "readout" not in layers:
        raise InputError(f"'{model.name}' takes no steps; expected a model of many_to_one, many_to_many or deep")
    inputs, x = step_input(layers, "inputs")
    states = [keras.Input((layer.units,), name=numbered("state", i)) for i, layer in enumerate(hidden)]
    new_states = []
    for layer, state in zip(hidden, states, strict=True):
        x = layer(x, initial_state=state)
        new_states.append(x[:, 0] if layer.return_sequences else x)
    if "pooling" in layers:
        x, more, new = _pooled(layers, x)
        states, new_states = [*states, *more], [*new_states, *new]
    for layer in [*dense, layers["readout"]]:
        x = layer(x)
    return keras.Model(
        {"inputs": inputs, **{state.name: state for state in states}},
        {
            "outputs": x[:, 0] if len(x.shape) == 3 else x,
            **{state.name: new for state, new in zip(states, new_states, strict=True)},
        },
        name="step",
    )


def _pooled(layers, x):
    """What is pooled once the timestep (batch, 1, width) is in, the states before, and the new ones."""
    x = x[:, 0]
    step = PoolingStep(layers["pooling"].how, name="pooling_step")
    states = [keras.Input((width,), name=f"pooling_{name}") for name, width in step.widths(x.shape[-1]).items()]
    pooled, *new = step(x, states)
    return pooled, states, new
