"""What the factories share: checked arguments, sequence inputs with their mask, stacks of recurrent layers."""

import keras
from keras import ops

from rnnzoo.errors import InputError, nearest
from rnnzoo.layers import BagEmbedding, Dropout, OneHot, PaddingMask, SimpleRNN, initializers
from rnnzoo.layers.pooling import POOLINGS


def numbered(name, index):
    """`hidden`, `hidden_2`, `hidden_3`: the first of a stack has the plain name."""
    return name if index == 0 else f"{name}_{index + 1}"


def is_numbered(stem, name):
    """Whether `numbered` gives that name to a layer of the stack."""
    return name == stem or (name.startswith(f"{stem}_") and name.removeprefix(f"{stem}_").isdigit())


def check_sizes(**sizes):
    """Refuses sizes that are no positive integers."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(f"{name} must be a positive integer, not {size!r}")


def check_optional_sizes(**sizes):
    """The same for arguments that may be `None`."""
    check_sizes(**{name: size for name, size in sizes.items() if size is not None})


def check_rates(**rates):
    """Refuses rates outside 0 <= rate < 1."""
    for name, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise InputError(f"{name} must be a number from 0 up to but not including 1, not {rate!r}")


def check_names(recurrent_initializer=None, **activations):
    """Refuses activations and initialisers that Keras does not know, and names the nearest that it does."""
    for argument, name in activations.items():
        _resolve(argument, name, keras.activations, "activation")
    _resolve("recurrent_initializer", recurrent_initializer, keras.initializers, "initializer")


def check_pooling(pooling):
    """Refuses a pooling that is none, and names the nearest that is one."""
    known = ["last", *POOLINGS]
    if pooling not in known:
        hint = nearest(pooling, known) if isinstance(pooling, str) else ""
        raise InputError(f"pooling={pooling!r}: expected one of {', '.join(known)}{hint}")


def _resolve(argument, name, registry, kind):
    try:
        registry.get(name)
    except (ValueError, TypeError):
        known = [entry for entry in dir(registry) if entry[0].islower() and entry not in ("get", "serialize", "deserialize")]
        known += [*initializers.NAMES] * (kind == "initializer")
        raise InputError(f"{argument}={name!r} is no {kind} that Keras knows{nearest(name, known)}") from None


def sequence_input(name, features=None, vocabulary_size=None, embedding=None, bag=None, mask_value=None, prefix=""):
    """The input of a sequence, its vectors and its mask.

    Args:
        name: the input's name.
        features: width of real vectors, or `None` for token ids.
        vocabulary_size: how many token ids there are, padding (0) included.
        embedding: width of a trained embedding of the ids; one-hot vectors if `None`.
        bag: how many ids a timestep has, whose embeddings are added; one, without an axis for them, if `None`.
        mask_value: the value that marks padding in vectors; `None` skips nothing.
        prefix: stands before "features" and the like where an error names an argument.

    Returns:
        input: (batch, timesteps) or (batch, timesteps, bag) ids, or (batch, timesteps, features).
        vectors: (batch, timesteps, width).
        mask: (batch, timesteps) bool, True where the timestep is used, or `None`.
    """
    if (features is None) == (vocabulary_size is None):
        raise InputError(
            f"give either {prefix}features (a sequence of real vectors) or {prefix}vocabulary_size (a sequence of token ids)"
        )
    check_optional_sizes(**{f"{prefix}features": features, f"{prefix}embedding": embedding, f"{prefix}bag": bag})
    if features is not None:
        for argument, value in (("embedding", embedding), ("bag", bag)):
            if value is not None:
                raise InputError(f"{prefix}{argument} goes with {prefix}vocabulary_size, not with {prefix}features")
        inputs = keras.Input((None, features), name=name)
        mask = None if mask_value is None else PaddingMask(mask_value, name=f"{name}_mask")(inputs)
        return inputs, inputs, mask
    check_sizes(**{f"{prefix}vocabulary_size": vocabulary_size})
    if vocabulary_size < 2:
        raise InputError(f"{prefix}vocabulary_size must be at least 2: id 0 is padding, and one token")
    if mask_value is not None:
        raise InputError(f"{prefix}mask_value goes with {prefix}features; of token ids, id 0 is padding")
    if bag is not None and embedding is None:
        raise InputError(f"{prefix}bag goes with {prefix}embedding: it is embeddings that are added")
    inputs = keras.Input((None,) if bag is None else (None, bag), dtype="int32", name=name)
    mask = PaddingMask(name=f"{name}_mask")(inputs)
    return inputs, token_layer(name, vocabulary_size, embedding, bag)(inputs), mask


def token_layer(name, vocabulary_size, embedding, bag=None):
    """The layer that turns token ids into vectors: `NAME_embedding` or `NAME_one_hot`."""
    if embedding is None:
        return OneHot(vocabulary_size - 1, name=f"{name}_one_hot")
    if bag is not None:
        return BagEmbedding(vocabulary_size, embedding, name=f"{name}_embedding")
    return keras.layers.Embedding(vocabulary_size, embedding, name=f"{name}_embedding")


def recurrent_stack(
    *,
    features,
    vocabulary_size,
    embedding,
    bag,
    mask_value,
    units,
    layers,
    bidirectional,
    return_sequences,
    activation,
    use_bias,
    recurrent_initializer,
    dropout,
    recurrent_dropout,
    input_dropout=None,
):
    """The input named `inputs` and the stack of recurrent layers above it, each given the mask explicitly.

    Returns:
        inputs: see `sequence_input`.
        x: (batch, timesteps, width), or (batch, width) of the top layer's final state; width is units, doubled where both
            directions are concatenated.
        mask: (batch, timesteps) bool or `None`.
    """
    check_sizes(units=units, layers=layers)
    input_dropout = dropout if input_dropout is None else input_dropout
    check_rates(dropout=dropout, recurrent_dropout=recurrent_dropout, input_dropout=input_dropout)
    check_names(recurrent_initializer, activation=activation)
    inputs, x, mask = sequence_input("inputs", features, vocabulary_size, embedding, bag, mask_value)
    for i in range(layers):
        x = recurrent_layer(
            numbered("hidden", i),
            bidirectional,
            units=units,
            activation=activation,
            use_bias=use_bias,
            recurrent_initializer=recurrent_initializer,
            dropout=dropout if i else input_dropout,
            recurrent_dropout=recurrent_dropout,
            return_sequences=return_sequences or i < layers - 1,
        )(x, mask=mask)
    return inputs, x, mask


def recurrent_layer(name, bidirectional, **rnn):
    """One `SimpleRNN`, or one for each direction of time."""
    if bidirectional:
        # Not go_backwards by hand: stacking on its reversed output would meet a mask that nothing has reversed.
        return keras.layers.Bidirectional(SimpleRNN(name=name, **rnn), merge_mode="concat", name=name)
    return SimpleRNN(name=name, **rnn)


def drop_before_readout(x, rate):
    """(batch, timesteps, width) -> the same, or (batch, width) -> the same: dropout, by a layer called `readout_dropout`.

    What is dropped is the same at all timesteps, as in the recurrent layers (Gal and Ghahramani 2016): a number drawn for
    each of them took five times as long as all the rest of a training step.
    """
    noise_shape = (None, 1, x.shape[-1]) if len(x.shape) == 3 else None
    return Dropout(rate, noise_shape=noise_shape, name="readout_dropout")(x)


def dense_stack(x, *, name, widths, activation, dropout=0.0):
    """A stack of `Dense` layers, each behind dropout where there is any."""
    check_sizes(**{f"{name}[{i}]": width for i, width in enumerate(widths)})
    for i, width in enumerate(widths):
        x = keras.layers.Dense(width, activation=activation, name=numbered(name, i))(x)
        if dropout:
            x = Dropout(dropout, name=numbered(f"{name}_dropout", i))(x)
    return x


def concatenated(tensors, name):
    """The tensors side by side; one tensor is itself."""
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name=name)(tensors)


def one_step(x):
    """(batch, width) -> (batch, 1, width)."""
    return ops.expand_dims(x, axis=1)


def step_input(layers, key, name=None):
    """One timestep of a model's sequence input: its `keras.Input`, and (batch, 1, width) what a recurrent layer takes.

    Args:
        layers: name -> layer of the model.
        key: the name of the sequence input.
        name: what the new input is called; the same if `None`.
    """
    whole = layers[key].output  # (batch, timesteps), or (batch, timesteps, features) or of bags of ids
    step = keras.Input(whole.shape[2:], dtype=whole.dtype, name=name or key)
    x = one_step(step)
    if whole.dtype == "int32":
        x = (layers.get(f"{key}_one_hot") or layers[f"{key}_embedding"])(x)
    return step, x


def state_models(inputs, names, initial, fed, states, outputs, new_states):
    """The two models of step-by-step decoding: inputs -> states; what was fed and states -> outputs and new states."""
    start = keras.Model(inputs, dict(zip(names, initial, strict=True)), name="start")
    step = keras.Model(
        {"fed": fed, **dict(zip(names, states, strict=True))},
        {"outputs": outputs, **dict(zip(names, new_states, strict=True))},
        name="step",
    )
    return start, step
