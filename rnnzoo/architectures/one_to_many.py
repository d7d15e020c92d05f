"""One input, a sequence out: the input sets the state, and each output feeds the next step."""

import keras

from rnnzoo.architectures._parts import (
    check_names,
    check_rates,
    check_sizes,
    drop_before_readout,
    numbered,
    one_step,
    state_models,
)
from rnnzoo.errors import InputError
from rnnzoo.layers import FeedbackRNN, PaddingMask, Readout


def one_to_many(
    *,
    features: int,
    outputs: int,
    timesteps: int,
    feedback: str = "output",
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
    """(batch, features) -> (batch, timesteps, outputs).

    h_0 = activation(x A + a), h_t = activation(y_{t-1} W + h_{t-1} U + b), y_t = output_activation(h_t V + c), with y_0 = 0.

    The model runs freely: it eats its own outputs, in `fit` too. `teacher_forced(model)` is a twin on the same layers that
    eats the targets instead, and `inference(model)` takes one step at a time.

    Args:
        features: width of the input.
        outputs: width of each output; with `feedback="token"` the number of token ids, padding (id 0) included.
        timesteps: how many outputs the free-running model gives.
        feedback: "output" feeds y_t back as it is; "token" feeds the one-hot vector of its likeliest token.
        units: width of each recurrent layer.
        layers: how many recurrent layers are stacked; the input sets the state of each.
        activation: of the recurrent layers, and of the layer that sets their state.
        use_bias: whether the recurrent layers have one; what sets their states always has.
        recurrent_initializer: of the recurrent kernels.
        dropout: share of each recurrent layer's inputs dropped in training.
        recurrent_dropout: share of the hidden state dropped between steps in training.
        readout_dropout: share of the readout's inputs dropped in training, the same ones at all timesteps.
        output_activation: of the readout.
        readout_bias: whether the readout has one.
        name: the model's name.

    Returns:
        A `keras.Model` with layers `encoder`, `encoder_2`, ... (one a recurrent layer), `decoder` and `readout`; its input
        is named `inputs`.

    Raises:
        InputError: an argument is out of range or unknown.
    """
    check_sizes(features=features, outputs=outputs, timesteps=timesteps, units=units, layers=layers)
    check_rates(dropout=dropout, recurrent_dropout=recurrent_dropout, readout_dropout=readout_dropout)
    check_names(recurrent_initializer, activation=activation, output_activation=output_activation)
    if feedback not in ("output", "token"):
        raise InputError(f"feedback must be 'output' or 'token', not {feedback!r}")
    if feedback == "token" and outputs < 2:
        raise InputError("outputs must be at least 2 with feedback='token': id 0 is padding, and one token")
    inputs = keras.Input((features,), name="inputs")
    states = [keras.layers.Dense(units, activation=activation, name=numbered("encoder", i))(inputs) for i in range(layers)]
    decoder = FeedbackRNN(
        units,
        outputs,
        timesteps,
        layers=layers,
        feedback=feedback,
        output_activation=output_activation,
        activation=activation,
        use_bias=use_bias,
        recurrent_initializer=recurrent_initializer,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        name="decoder",
    )
    readout = Readout(outputs, activation=output_activation, use_bias=readout_bias, name="readout")
    kernel, bias = readout(states[-1], as_weights=True)
    hidden = decoder(states, kernel=kernel, bias=bias)
    if readout_dropout:
        hidden = drop_before_readout(hidden, readout_dropout)
    y = readout(hidden)
    return keras.Model(inputs, y, name=name or "one_to_many")


def teacher_forced(model):
    """The twin that is trained with targets: (batch, features), (batch, timesteps, ...) -> (batch, timesteps, outputs).

    Its inputs are named `inputs` and `target`: token ids (batch, timesteps), or vectors (batch, timesteps, outputs). Step
    t + 1 is fed the target of step t, step 1 zeros; what the target holds at a step never reaches that step's own output.
    It shares every weight with `model`.
    """
    decoder, readout = model.get_layer("decoder"), model.get_layer("readout")
    tokens = decoder.feedback == "token"
    target = keras.Input((None,) if tokens else (None, decoder.outputs), dtype="int32" if tokens else None, name="target")
    mask = PaddingMask(name="target_mask")(target) if tokens else None
    hidden = decoder(_states(model), target=target)
    if "readout_dropout" in {layer.name for layer in model.layers}:
        hidden = model.get_layer("readout_dropout")(hidden)
    y = readout(hidden, mask=mask)
    return keras.Model({"inputs": model.inputs[0], "target": target}, y, name=f"{model.name}_teacher_forced")


def inference(model):
    """The pair that generates step by step, without going over the prefix again.

    Returns:
        start: `keras.Model`, (batch, features) -> a dict of states `state`, `state_2`, ... (batch, units), one a recurrent
            layer.
        step: `keras.Model`, a dict of `fed` and the states -> a dict of `outputs` (batch, outputs) and the new states.
            `fed` is what the step before gave: a token id (batch,) (0 at the first step), or a vector (batch, outputs)
            (zeros at the first step).
    """
    decoder, readout = model.get_layer("decoder"), model.get_layer("readout")
    tokens = decoder.feedback == "token"
    fed = keras.Input(() if tokens else (decoder.outputs,), dtype="int32" if tokens else None, name="fed")
    names = [numbered("state", i) for i in range(decoder.layers)]
    states = [keras.Input((decoder.units,), name=name) for name in names]
    x, new_states = decoder.run(one_step(decoder.encode(fed)), states)
    y = readout(x)[:, 0]
    return state_models(model.inputs[0], names, _states(model), fed, states, y, new_states)


def _states(model):
    layers = model.get_layer("decoder").layers
    return [model.get_layer(numbered("encoder", i)).output for i in range(layers)]
