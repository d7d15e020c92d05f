"""One input, one output: the feed-forward network that an RNN is over one timestep."""

import keras

from rnnzoo.architectures._parts import check_names, check_rates, check_sizes, numbered
from rnnzoo.layers import Dropout


def one_to_one(
    *,
    features: int,
    outputs: int,
    units: int = 32,
    layers: int = 1,
    activation: str = "tanh",
    use_bias: bool = True,
    recurrent_initializer: str = "orthogonal",
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    output_activation: str | None = None,
    readout_bias: bool = True,
    name: str | None = None,
):
    """(batch, features) -> (batch, outputs).

    h = activation(x W + b), y = output_activation(h V + c): over one timestep from h_0 = 0 the recurrent term vanishes.

    Args:
        features: width of the input.
        outputs: width of the output.
        units: width of each hidden layer.
        layers: how many hidden layers are stacked.
        activation: of the hidden layers.
        use_bias: whether the hidden layers have one.
        recurrent_initializer: as in every factory; nothing recurs here, so it changes nothing.
        dropout: share of each hidden layer's inputs dropped in training.
        recurrent_dropout: as in every factory; nothing recurs here, so it changes nothing.
        output_activation: of the readout.
        readout_bias: whether the readout has one.
        name: the model's name.

    Returns:
        A `keras.Model` with layers `hidden`, `hidden_2`, ... and `readout`.

    Raises:
        InputError: an argument is out of range or unknown.
    """
    check_sizes(features=features, outputs=outputs, units=units, layers=layers)
    check_rates(dropout=dropout, recurrent_dropout=recurrent_dropout)
    check_names(recurrent_initializer, activation=activation, output_activation=output_activation)
    inputs = x = keras.Input((features,), name="inputs")
    for i in range(layers):
        if dropout:
            x = Dropout(dropout, name=numbered("dropout", i))(x)
        x = keras.layers.Dense(units, activation=activation, use_bias=use_bias, name=numbered("hidden", i))(x)
    y = keras.layers.Dense(outputs, activation=output_activation, use_bias=readout_bias, name="readout")(x)
    return keras.Model(inputs, y, name=name or "one_to_one")
