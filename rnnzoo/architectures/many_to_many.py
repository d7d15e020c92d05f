"""A sequence in, an aligned sequence out: every hidden state is read out."""

import keras

from rnnzoo.architectures._parts import (
    check_names,
    check_rates,
    check_sizes,
    drop_before_readout,
    is_numbered,
    numbered,
    recurrent_stack,
)
from rnnzoo.errors import InputError
from rnnzoo.layers import Readout


def many_to_many(
    *,
    outputs: int,
    features: int | None = None,
    vocabulary_size: int | None = None,
    embedding: int | None = None,
    bag: int | None = None,
    mask_value: float | None = None,
    units: int = 32,
    layers: int = 1,
    bidirectional: bool = False,
    activation: str = "tanh",
    use_bias: bool = True,
    recurrent_initializer: str = "orthogonal",
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    input_dropout: float | None = None,
    readout_dropout: float = 0.0,
    output_activation: str | None = None,
    readout_bias: bool = True,
    name: str | None = None,
):
    """(batch, timesteps, features) -> (batch, timesteps, outputs), or (batch, timesteps) token ids -> the same.

    h_t = activation(x_t W + h_{t-1} U + b), y_t = output_activation(h_t V + c) (Elman 1990). The mask stays attached to
    the output, so that `fit` and `evaluate` skip padding.

    Args:
        outputs: width of the output at each timestep.
        features: width of each timestep's real vector.
        vocabulary_size: how many token ids there are, padding (id 0, masked) included; instead of `features`.
        embedding: width of a trained embedding of the ids; one-hot vectors if `None`.
        bag: how many ids a timestep has, whose embeddings are added, 0 adding nothing; one, without an axis, if `None`.
        mask_value: a timestep whose every feature equals it is padding; `None` skips nothing.
        units: width of each recurrent layer (and direction).
        layers: how many recurrent layers are stacked.
        bidirectional: every output sees the whole sequence, not only what came before it.
        activation: of the recurrent layers.
        use_bias: whether the recurrent layers have one.
        recurrent_initializer: of the recurrent kernels.
        dropout: share of each recurrent layer's inputs dropped in training.
        recurrent_dropout: share of the hidden state dropped between steps in training.
        input_dropout: share of the first layer's inputs dropped in training; `dropout` if `None`.
        readout_dropout: share of the readout's inputs dropped in training, the same ones at all timesteps.
        output_activation: of the readout.
        readout_bias: whether the readout has one.
        name: the model's name.

    Returns:
        A `keras.Model` with layers `hidden`, `hidden_2`, ... and `readout`; its input is named `inputs`.

    Raises:
        InputError: an argument is out of range or unknown.
    """
    check_sizes(outputs=outputs)
    check_rates(readout_dropout=readout_dropout)
    check_names(output_activation=output_activation)
    inputs, x, mask = recurrent_stack(
        features=features,
        vocabulary_size=vocabulary_size,
        embedding=embedding,
        bag=bag,
        mask_value=mask_value,
        layers=layers,
        bidirectional=bidirectional,
        return_sequences=True,
        units=units,
        activation=activation,
        use_bias=use_bias,
        recurrent_initializer=recurrent_initializer,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        input_dropout=input_dropout,
    )
    if readout_dropout:
        x = drop_before_readout(x, readout_dropout)
    y = Readout(outputs, activation=output_activation, use_bias=readout_bias, name="readout")(x, mask=mask)
    return keras.Model(inputs, y, name=name or "many_to_many")


def carried(model):
    """The twin that reads a piece of a sequence: it takes the states that the piece before left, and gives those it leaves.

    It shares every weight with `model`. Padding stands at a piece's end, if anywhere; of a row that is nothing but padding
    no sequence may go on.

    Args:
        model: a model of this architecture, of one direction.

    Returns:
        A `keras.Model`, a dict of `inputs` (batch, timesteps, ...) and the states `state`, `state_2`, ... (batch, units),
        one a recurrent layer -> a dict of `outputs` (batch, timesteps, outputs) and the new states.

    Raises:
        InputError: it runs in both directions.
    """
    layers = {layer.name: layer for layer in model.layers}
    hidden = [layer for name, layer in layers.items() if is_numbered("hidden", name)]
    if any(isinstance(layer, keras.layers.Bidirectional) for layer in hidden):
        raise InputError(f"'{model.name}' runs in both directions: no state is carried from a piece to the next")
    x = inputs = model.inputs[0]
    mask = layers["inputs_mask"](inputs) if "inputs_mask" in layers else None
    if len(inputs.shape) == 2:
        x = (layers.get("inputs_one_hot") or layers["inputs_embedding"])(inputs)
    states = [keras.Input((layer.units,), name=numbered("state", i)) for i, layer in enumerate(hidden)]
    new_states = {}
    for layer, state in zip(hidden, states, strict=True):
        x = layer(x, initial_state=state, mask=mask)
        new_states[state.name] = x[:, -1]  # padding repeats the output before it
    if "readout_dropout" in layers:
        x = layers["readout_dropout"](x)
    outputs = layers["readout"](x, mask=mask)
    return keras.Model(
        {"inputs": inputs, **{state.name: state for state in states}},
        {"outputs": outputs, **new_states},
        name=f"{model.name}_carried",
    )
