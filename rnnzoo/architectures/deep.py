"""Depth twice over: stacked recurrent layers, and a dense net as the output layers."""

import keras

from rnnzoo.architectures._parts import check_names, check_sizes, dense_stack, recurrent_stack
from rnnzoo.layers import Readout


def deep(
    *,
    outputs: int,
    features: int | None = None,
    vocabulary_size: int | None = None,
    embedding: int | None = None,
    bag: int | None = None,
    mask_value: float | None = None,
    return_sequences: bool = False,
    dense: tuple[int, ...] = (32,),
    dense_activation: str = "relu",
    units: int = 32,
    layers: int = 2,
    bidirectional: bool = False,
    activation: str = "tanh",
    use_bias: bool = True,
    recurrent_initializer: str = "orthogonal",
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    output_activation: str | None = None,
    readout_bias: bool = True,
    name: str | None = None,
):
    """(batch, timesteps, features) -> (batch, outputs), or (batch, timesteps, outputs) with `return_sequences=True`.

    Each recurrent layer reads the hidden states of the one below it, and a dense net turns the top one's state into the
    output: the stacked RNN with a deep output of Pascanu et al. 2014, "How to Construct Deep Recurrent Neural Networks".

    Args:
        outputs: width of the output (at each timestep).
        features: width of each timestep's real vector.
        vocabulary_size: how many token ids there are, padding (id 0, masked) included; instead of `features`.
        embedding: width of a trained embedding of the ids; one-hot vectors if `None`.
        bag: how many ids a timestep has, whose embeddings are added, 0 adding nothing; one, without an axis, if `None`.
        mask_value: a timestep whose every feature equals it is padding; `None` skips nothing.
        return_sequences: an output at every timestep, or one for the whole sequence.
        dense: widths of the dense layers between the top recurrent layer and the readout; `()` for none.
        dense_activation: of the dense layers.
        units: width of each recurrent layer (and direction).
        layers: how many recurrent layers are stacked.
        bidirectional: every recurrent layer reads both directions of time.
        activation: of the recurrent layers.
        use_bias: whether the recurrent layers have one; the dense layers always have.
        recurrent_initializer: of the recurrent kernels.
        dropout: share of each recurrent layer's inputs, and of each dense layer's outputs, dropped in training.
        recurrent_dropout: share of the hidden state dropped between steps in training.
        output_activation: of the readout.
        readout_bias: whether the readout has one.
        name: the model's name.

    Returns:
        A `keras.Model` with layers `hidden`, `hidden_2`, ..., `dense`, `dense_2`, ... and `readout`; its input is named
        `inputs`.

    Raises:
        InputError: an argument is out of range or unknown.
    """
    check_sizes(outputs=outputs)
    check_names(dense_activation=dense_activation, output_activation=output_activation)
    inputs, x, mask = recurrent_stack(
        features=features,
        vocabulary_size=vocabulary_size,
        embedding=embedding,
        bag=bag,
        mask_value=mask_value,
        layers=layers,
        bidirectional=bidirectional,
        return_sequences=return_sequences,
        units=units,
        activation=activation,
        use_bias=use_bias,
        recurrent_initializer=recurrent_initializer,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )
    x = dense_stack(x, name="dense", widths=dense, activation=dense_activation, dropout=dropout)
    y = Readout(outputs, activation=output_activation, use_bias=readout_bias, name="readout")(
        x, mask=mask if return_sequences else None
    )
    return keras.Model(inputs, y, name=name or "deep")
