"""A sequence in, a sequence of another length out: one network reads, another writes from its final state."""

import keras

from rnnzoo.architectures._parts import (
    check_names,
    check_optional_sizes,
    check_rates,
    check_sizes,
    concatenated,
    dense_stack,
    drop_before_readout,
    is_numbered,
    numbered,
    recurrent_layer,
    sequence_input,
    state_models,
    step_input,
)
from rnnzoo.errors import InputError
from rnnzoo.layers import BesideEach, Readout, SimpleRNN


def encoder_decoder(
    *,
    outputs: int,
    features: int | None = None,
    vocabulary_size: int | None = None,
    embedding: int | None = None,
    mask_value: float | None = None,
    target_features: int | None = None,
    target_vocabulary_size: int | None = None,
    target_embedding: int | None = None,
    target_mask_value: float | None = None,
    encoder_units: int | None = None,
    encoder_activation: str | None = None,
    encoder_use_bias: bool | None = None,
    encoder_recurrent_initializer: str | None = None,
    hidden: tuple[int, ...] = (),
    hidden_activation: str = "relu",
    context: bool = False,
    units: int = 32,
    layers: int = 1,
    bidirectional: bool = False,
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
    """source (batch, source_timesteps, ...), target (batch, target_timesteps, ...) -> (batch, target_timesteps, outputs).

    The encoder's final state is the decoder's initial one (Cho et al. 2014; Sutskever et al. 2014). `target` is the
    teacher-forcing input: at each step what should have been written at the step before, beginning with a start token.
    Decode with `rnnzoo.decode`, which goes on from the encoder's state one step at a time.

    Args:
        outputs: width of the output at each step; for tokens the number of target ids, padding (id 0) included.
        features: width of each source timestep's real vector.
        vocabulary_size: how many source token ids there are, padding (id 0, masked) included; instead of `features`.
        embedding: width of a trained embedding of the source ids; one-hot vectors if `None`.
        mask_value: a source timestep whose every feature equals it is padding; `None` skips nothing.
        target_features, target_vocabulary_size, target_embedding, target_mask_value: the same of the target. If neither of
            the first two is given, the target is of the source's kind and `outputs` wide.
        encoder_units, encoder_activation, encoder_use_bias, encoder_recurrent_initializer: the encoder's, where they are
            not those of the decoder.
        hidden: widths of dense layers between the encoder's state and the decoder's.
        hidden_activation: of those dense layers.
        context: whether the encoder's final state is also an input of the decoder, beside what was written, at every step,
            so that it need not be remembered (Cho et al. 2014).
        units: width of each recurrent layer.
        layers: how many recurrent layers are stacked, in the encoder and in the decoder.
        bidirectional: the encoder reads both directions of time; the decoder cannot.
        activation: of the recurrent layers.
        use_bias: whether the recurrent layers have one; what sets their states always has.
        recurrent_initializer: of the recurrent kernels.
        dropout: share of each recurrent layer's inputs dropped in training.
        recurrent_dropout: share of the hidden state dropped between steps in training.
        readout_dropout: share of the readout's inputs dropped in training, the same at all steps.
        output_activation: of the readout.
        readout_bias: whether the readout has one.
        name: the model's name.

    Returns:
        A `keras.Model` with layers `encoder`, `encoder_2`, ..., `decoder`, `decoder_2`, ... and `readout`, inputs named
        `source` and `target`. Where the encoder's state cannot be the decoder's as it is (other widths, two directions, or
        `hidden`), dense layers `hidden`, ... and `state`, ... (one a decoder layer) stand between them.

    Raises:
        InputError: an argument is out of range or unknown.
    """
    check_sizes(outputs=outputs, units=units, layers=layers)
    check_optional_sizes(encoder_units=encoder_units)
    check_rates(dropout=dropout, recurrent_dropout=recurrent_dropout, readout_dropout=readout_dropout)
    check_names(
        recurrent_initializer,
        activation=activation,
        output_activation=output_activation,
        encoder_activation=encoder_activation,
        hidden_activation=hidden_activation,
    )
    check_names(encoder_recurrent_initializer)
    if target_features is None and target_vocabulary_size is None:
        target_features, target_vocabulary_size = (outputs, None) if vocabulary_size is None else (None, outputs)
    source, x, source_mask = sequence_input("source", features, vocabulary_size, embedding, mask_value=mask_value)
    target, fed, target_mask = sequence_input(
        "target",
        target_features,
        target_vocabulary_size,
        target_embedding,
        mask_value=target_mask_value,
        prefix="target_",
    )
    drops = {"dropout": dropout, "recurrent_dropout": recurrent_dropout}
    encoder = {
        "units": encoder_units or units,
        "activation": encoder_activation or activation,
        "use_bias": use_bias if encoder_use_bias is None else encoder_use_bias,
        "recurrent_initializer": encoder_recurrent_initializer or recurrent_initializer,
        **drops,
    }
    encoded = []  # each layer's final state, (batch, width)
    for i in range(layers):
        layer = recurrent_layer(
            numbered("encoder", i), bidirectional, return_sequences=i < layers - 1, return_state=True, **encoder
        )
        x, *final = layer(x, mask=source_mask)
        encoded.append(concatenated(final, numbered("both_directions", i)))
    summary = encoded[-1]
    if hidden or bidirectional or encoder["units"] != units:
        top = dense_stack(encoded[-1], name="hidden", widths=hidden, activation=hidden_activation)
        encoded = [keras.layers.Dense(units, activation=activation, name=numbered("state", i))(top) for i in range(layers)]
    if context:
        fed = BesideEach(name="with_context")(fed, summary)
    for i in range(layers):
        fed, _ = SimpleRNN(
            units,
            activation=activation,
            use_bias=use_bias,
            recurrent_initializer=recurrent_initializer,
            return_sequences=True,
            return_state=True,
            name=numbered("decoder", i),
            **drops,
        )(fed, initial_state=encoded[i], mask=target_mask)
    if readout_dropout:
        fed = drop_before_readout(fed, readout_dropout)
    y = Readout(outputs, activation=output_activation, use_bias=readout_bias, name="readout")(fed, mask=target_mask)
    return keras.Model({"source": source, "target": target}, y, name=name or "encoder_decoder")


def inference(model):
    """The pair that decodes step by step from the encoder's state, without going over the prefix again.

    Returns:
        start: `keras.Model`, source (batch, source_timesteps, ...) -> a dict of states `state`, `state_2`, ...
            (batch, units), one a decoder layer; and of `context` (batch, width), which no step changes, where there is one.
        step: `keras.Model`, a dict of `fed` and the states -> a dict of `outputs` (batch, outputs) and the new states.
            `fed` is a token id (batch,) or a vector (batch, target_features).
    """
    layers = {layer.name: layer for layer in model.layers}
    decoders = [layer for name, layer in layers.items() if is_numbered("decoder", name)]
    names = [numbered("state", i) for i in range(len(decoders))]
    # Without a bridge, each encoder layer's state is handed on as it is.
    initial = [(layers.get(name) or layers[numbered("encoder", i)]).output for i, name in enumerate(names)]
    initial = [output[-1] if isinstance(output, list | tuple) else output for output in initial]
    fed, x = step_input(layers, "target", name="fed")
    states = [keras.Input((decoder.units,), name=name) for decoder, name in zip(decoders, names, strict=True)]
    new_states = []
    if "with_context" in layers:
        summary = _summary(layers)
        context = keras.Input(summary.shape[1:], name="context")
        x = layers["with_context"](x, context)
    for decoder, state in zip(decoders, states, strict=True):
        x, new_state = decoder(x, initial_state=state)
        new_states.append(new_state)
    if "with_context" in layers:
        names, initial = [*names, "context"], [*initial, summary]
        states, new_states = [*states, context], [*new_states, context]
    y = layers["readout"](x)[:, 0]
    return state_models(layers["source"].output, names, initial, fed, states, y, new_states)


def _summary(layers):
    """What the decoder is given at every step."""
    return layers["with_context"]._inbound_nodes[0].input_tensors[1]


def reading(model):
    """One timestep of the encoder: a source of any length is read by it, one timestep after the other.

    Returns:
        `keras.Model`, a dict of `source` (a token id (batch,) or a vector (batch, features)) and the encoder's states
        `encoder_state`, `encoder_state_2`, ... (batch, encoder_units), zeros at first -> a dict of the new ones under the
        same names, and `state`, `state_2`, ... (batch, units), what the decoder would begin with if the source ended here;
        and `context`, the last of the encoder's states, where the decoder is given one.

    Raises:
        InputError: the encoder reads both directions of time.
    """
    layers = {layer.name: layer for layer in model.layers}
    encoders = [layer for name, layer in layers.items() if is_numbered("encoder", name)]
    if any(isinstance(layer, keras.layers.Bidirectional) for layer in encoders):
        raise InputError(f"'{model.name}' reads its source in both directions: it needs the whole of it")
    source, x = step_input(layers, "source")
    states = [keras.Input((layer.units,), name=numbered("encoder_state", i)) for i, layer in enumerate(encoders)]
    read = []
    for layer, state in zip(encoders, states, strict=True):
        x, *final = layer(x, initial_state=state)
        read += final or [x]
    names = [numbered("state", i) for i in range(sum(is_numbered("decoder", name) for name in layers))]
    begin = list(read)
    if "state" in layers:  # a bridge
        top = read[-1]
        for name, layer in layers.items():
            top = layer(top) if is_numbered("hidden", name) else top
        begin = [layers[name](top) for name in names]
    if "with_context" in layers:
        names, begin = [*names, "context"], [*begin, read[-1]]
    return keras.Model(
        {"source": source, **{state.name: state for state in states}},
        {**{state.name: new for state, new in zip(states, read, strict=True)}, **dict(zip(names, begin, strict=True))},
        name="read",
    )
