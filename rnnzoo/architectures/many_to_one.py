"""A sequence in, one output: the final hidden state is read out, or the mean or maximum of all of them."""

import keras

from rnnzoo.architectures._parts import (
    check_names,
    check_pooling,
    check_rates,
    check_sizes,
    drop_before_readout,
    recurrent_stack,
)
from rnnzoo.layers import MaskedPooling


def many_to_one(
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
    pooling: str = "last",
    readout_dropout: float = 0.0,
    output_activation: str | None = None,
    readout_bias: bool = True,
    name: str | None = None,
):
    """(batch, timesteps, features) -> (batch, outputs), or (batch, timesteps) token ids -> (batch, outputs).

    h_t = activation(x_t W + h_{t-1} U + b), y = output_activation(p V + c) (Elman 1990), where p is h_T, the state at the
    last timestep T that the mask uses, or what `pooling` makes of the states at all timesteps that it uses.

    Args:
        outputs: width of the output.
        features: width of each timestep's real vector.
        vocabulary_size: how many token ids there are, padding (id 0, masked) included; instead of `features`.
        embedding: width of a trained embedding of the ids; one-hot vectors if `None`.
        bag: how many ids a timestep has, whose embeddings are added, 0 adding nothing; one, without an axis, if `None`.
        mask_value: a timestep whose every feature equals it is padding; `None` skips nothing.
        units: width of each recurrent layer (and direction).
        layers: how many recurrent layers are stacked.
        bidirectional: reads both directions of time and concatenates the two final states.
        activation: of the recurrent layers.
        use_bias: whether the recurrent layers have one.
        recurrent_initializer: of the recurrent kernels.
        dropout: share of each recurrent layer's inputs dropped in training.
        recurrent_dropout: share of the hidden state dropped between steps in training.
        pooling: what is read out: "last", the final state; "mean" or "max", each unit's mean or maximum over time; or
            "mean_max" or "last_mean", both side by side.
        readout_dropout: share of the readout's inputs dropped in training.
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
    check_pooling(pooling)
    inputs, x, mask = recurrent_stack(
        features=features,
        vocabulary_size=vocabulary_size,
        embedding=embedding,
        bag=bag,
        mask_value=mask_value,
        layers=layers,
        bidirectional=bidirectional,
        return_sequences=pooling != "last",
        units=units,
        activation=activation,
        use_bias=use_bias,
        recurrent_initializer=recurrent_initializer,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )
    if pooling != "last":
        x = MaskedPooling(pooling, bidirectional, name="pooling")(x, mask=mask)
    if readout_dropout:
        x = drop_before_readout(x, readout_dropout)
    y = keras.layers.Dense(outputs, activation=output_activation, use_bias=readout_bias, name="readout")(x)
    return keras.Model(inputs, y, name=name or "many_to_one")
