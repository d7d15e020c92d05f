"""Both directions of time, concatenated."""

import keras

from rnnzoo.architectures._parts import check_names, check_rates, check_sizes, drop_before_readout, recurrent_stack
from rnnzoo.layers import Readout


def bidirectional(
    *,
    outputs: int,
    features: int | None = None,
    vocabulary_size: int | None = None,
    embedding: int | None = None,
    bag: int | None = None,
    mask_value: float | None = None,
    return_sequences: bool = True,
    units: int = 32,
    layers: int = 1,
    activation: str = "tanh",
    use_bias: bool = True,
    recurrent_initializer: str = "orthogonal",
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    readout_dropout: float = 0.0,
    output_activation: str | None = None,
    readout_bias: bool = True,
    name: str | None = None,
):
    """(batch, timesteps, features) -> (batch, timesteps, outputs), or (batch, outputs) with `return_sequences=False`.

    y_t = output_activation([hf_t, hb_t] V + c), where hf runs from the first timestep to t and hb from the last one to t
    (Schuster and Paliwal 1997). With `return_sequences=False` the two final states are read out: hf at the last timestep
    and hb at the first.

    Args:
        outputs: width of the output (at each timestep).
        features: width of each timestep's real vector.
        vocabulary_size: how many token ids there are, padding (id 0, masked) included; instead of `features`.
        embedding: width of a trained embedding of the ids; one-hot vectors if `None`.
        bag: how many ids a timestep has, whose embeddings are added, 0 adding nothing; one, without an axis, if `None`.
        mask_value: a timestep whose every feature equals it is padding; `None` skips nothing.
        return_sequences: an output at every timestep, or one for the whole sequence.
        units: width of each recurrent layer in each direction.
        layers: how many bidirectional layers are stacked.
        activation: of the recurrent layers.
        use_bias: whether the recurrent layers have one.
        recurrent_initializer: of the recurrent kernels.
        dropout: share of each recurrent layer's inputs dropped in training.
        recurrent_dropout: share of the hidden state dropped between steps in training.
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
        bidirectional=True,
        return_sequences=return_sequences,
        units=units,
        activation=activation,
        use_bias=use_bias,
        recurrent_initializer=recurrent_initializer,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )
    if readout_dropout:
        x = drop_before_readout(x, readout_dropout)
    y = Readout(outputs, activation=output_activation, use_bias=readout_bias, name="readout")(
        x, mask=mask if return_sequences else None
    )
    return keras.Model(inputs, y, name=name or "bidirectional")
