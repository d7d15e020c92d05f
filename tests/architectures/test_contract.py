"""What every architecture that is found must keep: its arguments, its shapes, its names, and what it refuses."""

import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnzoo.building import factory
from rnnzoo.errors import InputError
from rnnzoo.layers import OneHot, SimpleRNN
from rnnzoo.registry import factory_arguments, list_architectures

SHARED = {
    "units": 32,
    "activation": "tanh",
    "use_bias": True,
    "recurrent_initializer": "orthogonal",
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
    "output_activation": None,
    "readout_bias": True,
    "layers": 1,
    "name": None,
}
# The table of factories in the design: how many axes each input and the output have, axes of open length as `None`.
TABLE = {
    "one_to_one": ([(2,)], (4,)),
    "one_to_many": ([(2,)], (6, 4)),
    "many_to_one": ([(None, 2)], (4,)),
    "many_to_many": ([(None, 2)], (None, 4)),
    "encoder_decoder": ([(None, 2), (None, 4)], (None, 4)),
    "bidirectional": ([(None, 2)], (None, 4)),
    "deep": ([(None, 2)], (4,)),
}


def test_the_designs_seven_are_found():
    assert set(TABLE) <= set(list_architectures())


# Arguments


def test_every_argument_is_keyword_only_and_annotated(architecture):
    for parameter in inspect.signature(factory(architecture)).parameters.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter
        assert parameter.annotation is not inspect.Parameter.empty, parameter


def test_shared_arguments_have_the_designs_defaults(architecture):
    parameters = inspect.signature(factory(architecture)).parameters
    expected = {**SHARED, "layers": 2} if architecture == "deep" else SHARED
    assert {name: parameters[name].default for name in SHARED} == expected
    if "bidirectional" in parameters:
        assert parameters["bidirectional"].default is False
    assert "seed" not in parameters


def test_the_registry_reads_the_same_signature(architecture):
    parameters = inspect.signature(factory(architecture)).parameters
    empty = inspect.Parameter.empty
    expected = {
        name: (
            parameter.annotation,
            None if parameter.default is empty else parameter.default,
            parameter.default is not empty,
        )
        for name, parameter in parameters.items()
    }
    assert factory_arguments(architecture) == expected


def test_the_docstring_explains_every_argument(architecture):
    create = factory(architecture)
    assert create.__module__ == f"rnnzoo.architectures.{architecture}"
    explained = inspect.getdoc(create).partition("Args:")[2].partition("Returns:")[0]  # dedented on every Python
    names = set(re.findall(r"\w+", " ".join(re.findall(r"^    ([\w, ]+):", explained, flags=re.MULTILINE))))
    assert names == set(inspect.signature(create).parameters)
    assert "InputError" in create.__doc__.partition("Raises:")[2]


# Models


@pytest.mark.parametrize("architecture", TABLE)
def test_shapes_are_those_of_the_designs_table(architecture):
    arguments = {"features": 2, "outputs": 4, **({"timesteps": 6} if architecture == "one_to_many" else {})}
    model = factory(architecture)(**arguments)
    inputs, output = TABLE[architecture]
    assert [tensor.shape[1:] for tensor in model.inputs] == inputs
    assert model.output_shape[1:] == output


def test_the_docstrings_shapes_are_true(variant, rng):
    """Its first paragraph maps shapes such as `(batch, timesteps, features) -> (batch, outputs)`."""
    mapped = variant.module.__dict__[variant.architecture].__doc__.split("\n\n")[0]
    taken, given = (re.findall(r"\(([\w, .]+)\)", part) for part in re.split(" -> ", mapped, maxsplit=1))
    inputs = variant.inputs(rng)
    sizes = {"batch": {4}, "outputs": {variant.arguments["outputs"]}, "...": set(range(100))}
    sizes["features"] = {variant.arguments.get("features")}
    sizes["timesteps"] = {variant.arguments.get("timesteps")}
    for name, array in inputs.items():
        sizes[f"{name}_timesteps"] = {array.shape[1]}
        if variant.model.get_layer(name).output.shape[1] is None:
            sizes["timesteps"] = {array.shape[1]}

    def documented(shape, shapes):
        for names in (text.split(", ") for text in shapes):
            if names[-1] == "...":
                names = names[:-1] + ["..."] * (len(shape) - len(names) + 1)
            if len(names) == len(shape) and all(size in sizes[name] for size, name in zip(shape, names, strict=True)):
                return True
        return False

    for array in inputs.values():
        # Token ids have no axis of features, or that of their bags, and need no map of their own.
        tokens = array.dtype == "int32" and (*array.shape[:2], variant.arguments.get("features"))
        assert documented(array.shape, taken) or documented(tokens, taken), (array.shape, taken)
    assert documented(variant.run(inputs).shape, given), (variant.model.output_shape, given)


def test_it_is_a_plain_functional_model(variant):
    model, x = variant.model, keras.Input((1,))
    assert type(model) is type(keras.Model(x, x))
    for layer in model._flatten_layers():
        assert not isinstance(layer, keras.layers.Lambda)
        assert layer is model or isinstance(layer, keras.layers.InputLayer) or not isinstance(layer, keras.Model)


def test_the_output_is_named_readout_and_the_model_as_asked(plain):
    assert plain.model.output_names == ["readout"]
    assert plain.model.name == plain.architecture
    assert plain.fresh(name="mine").name == "mine"


def test_names_are_given_not_counted(variant):
    """Two builds have the same names of layers and weights, and the same config."""
    one, two = variant.model, variant.fresh()
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]
    assert [tensor.name for tensor in one.inputs] == [tensor.name for tensor in two.inputs]
    assert [weight.path for weight in one.weights] == [weight.path for weight in two.weights]
    assert one.to_json() == two.to_json()


def test_layer_names_are_the_designs_words_and_the_docstrings(variant):
    documented = set(re.findall(r"`(\w+)`", variant.module.__dict__[variant.architecture].__doc__))
    stems = {
        re.sub(r"_\d+$", "", layer.name)
        for layer in variant.model.layers
        if layer.weights and not isinstance(layer, keras.layers.Embedding)
    }
    assert "readout" in stems
    assert stems & {"hidden", "encoder", "decoder"}
    assert stems <= documented


def test_stacks_are_as_deep_as_asked_and_numbered_from_two(variant):
    names = {layer.name for layer in variant.model.layers}
    stem = "encoder" if "encoder" in names else "hidden"
    depth = variant.given["layers"]
    expected = [stem if i == 0 else f"{stem}_{i + 1}" for i in range(depth)]
    assert sorted(name for name in names if re.fullmatch(rf"{stem}(_\d+)?", name)) == expected
    for name in expected:
        layer = variant.model.get_layer(name)
        widths = [weight.shape[-1] for weight in layer.weights]
        assert set(widths) == {variant.given.get("encoder_units") or variant.given["units"]}


def test_the_arguments_of_the_recurrence_reach_it(plain):
    model = plain.fresh(recurrent_initializer="identity", use_bias=False, activation="relu", layers=2)
    hidden = [layer for layer in model._flatten_layers() if isinstance(layer, SimpleRNN)]
    for layer in hidden:
        np.testing.assert_array_equal(layer.cell.recurrent_kernel, np.eye(plain.given["units"]))
    for layer in hidden or [model.get_layer("hidden"), model.get_layer("hidden_2")]:
        assert layer.use_bias is False
        assert layer.activation is keras.activations.relu
    assert model.get_layer("readout").use_bias
    assert not plain.fresh(readout_bias=False).get_layer("readout").use_bias


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
def test_dropout_drops_in_training_alone(plain, rng, rate):
    model = plain.fresh(**{rate: 0.5})
    model.set_weights([rng.uniform(-0.9, 0.9, weight.shape) for weight in model.weights])
    feed = plain.feed(plain.inputs(rng))
    moved = np.abs(model(feed, training=True) - model(feed)).max()
    np.testing.assert_array_equal(model(feed), model(feed))
    recurs = any(isinstance(layer, SimpleRNN) for layer in model._flatten_layers())
    if rate == "recurrent_dropout" and not recurs:
        assert moved == 0, "nothing recurs, so nothing is dropped"
    else:
        assert moved > 1e-3


def test_dropout_before_the_readout(plain, rng):
    """In each direction, and in both."""
    if "readout_dropout" not in plain.given:
        return
    for both in [{}, {"bidirectional": True}] if "bidirectional" in plain.given else [{}]:
        model, feed = plain.fresh(readout_dropout=0.5, **both), plain.feed(plain.inputs(rng))
        outputs = model(feed)
        assert np.abs(model(feed, training=True) - outputs).max() > 1e-3
        np.testing.assert_array_equal(model(feed), outputs)


def test_every_parameter_gets_a_gradient(variant, rng):
    inputs = variant.inputs(rng)
    used = variant.used(inputs)
    with tf.GradientTape() as tape:
        output = variant.model(variant.feed(inputs), training=True)
        loss = tf.reduce_sum((output - rng.normal(size=output.shape)) ** 2 * used[..., None])
    weights = variant.model.trainable_weights
    assert len(weights) == len(variant.model.weights)
    one_hot = [layer for layer in variant.model.layers if isinstance(layer, OneHot)]
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        gradient = np.array(tf.convert_to_tensor(gradient))
        assert np.abs(gradient).max() > 1e-7, weight.path
        if weight.path.endswith("_embedding/embeddings"):
            assert not gradient[0].any(), "the row of padding has none"
            # Behind a relu a row's units may all be off; elsewhere every token's row has one.
            assert "relu" in variant.model.to_json() or np.abs(gradient[1:]).max(axis=-1).min() > 0
        elif weight.shape[0] in [layer.depth for layer in one_hot]:
            assert np.abs(gradient).max(axis=-1).min() > 0, "no row waits for a token that never comes"


def test_rows_of_a_batch_do_not_touch_each_other(variant, rng):
    inputs = variant.inputs(rng)
    together = variant.run(inputs)
    order = rng.permutation(len(together))
    moved = variant.run({name: array[order] for name, array in inputs.items()})
    np.testing.assert_allclose(moved, together[order], rtol=1e-5, atol=1e-6)
    for row in (1, 2):
        alone = variant.run({name: array[row : row + 1] for name, array in inputs.items()})
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-6)


def test_the_summary_prints(variant):
    lines = []
    variant.model.summary(print_fn=lines.append, line_length=120)
    text = "\n".join(lines)
    assert variant.architecture in text
    assert all(layer.name in text for layer in variant.model.layers)


# Refusals


def message(architecture, arguments):
    """The text of the `InputError` that the arguments raise: one line."""
    with pytest.raises(InputError) as caught:
        factory(architecture)(**arguments)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


def numbers(architecture, kind):
    """The names of a factory's arguments of that type."""
    return [
        name for name, (annotation, _, _) in factory_arguments(architecture).items() if annotation in (kind, kind | None)
    ]


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "3"])
def test_sizes_must_be_positive_integers(plain, size):
    for name in numbers(plain.architecture, int):
        arguments = {**plain.arguments, name: size}
        # An argument of tokens goes with tokens.
        prefix = name.removesuffix("vocabulary_size").removesuffix("embedding")
        if prefix != name:
            arguments = {key: value for key, value in arguments.items() if key not in ("features", "mask_value")}
            arguments = {key: value for key, value in arguments.items() if key != "target_mask_value"}
            arguments = {**arguments, "vocabulary_size": 5, f"{prefix}vocabulary_size": 5, name: size}
        text = message(plain.architecture, arguments)
        assert name in text
        assert repr(size) in text


def test_sizes_that_are_needed_cannot_be_none(plain):
    for name, (annotation, _, _) in factory_arguments(plain.architecture).items():
        if annotation is int:
            assert name in message(plain.architecture, {**plain.arguments, name: None})


@pytest.mark.parametrize("width", [0, -1, 1.5])
def test_widths_of_stacks_must_be_positive_integers(plain, width):
    for name, (annotation, _, _) in factory_arguments(plain.architecture).items():
        if getattr(annotation, "__origin__", None) is tuple:
            assert name in message(plain.architecture, {**plain.arguments, name: (3, width)})


@pytest.mark.parametrize("rate", [1.0, 1, -0.1, "0.5", None, True, float("nan")])
def test_rates_must_lie_between_0_and_1(plain, rate):
    for name in numbers(plain.architecture, float):
        means_another = rate is None and name == "input_dropout"
        if not name.endswith("mask_value") and not means_another:
            text = message(plain.architecture, {**plain.arguments, name: rate})
            assert name in text
            assert repr(rate) in text


def test_unknown_activations_come_with_a_suggestion(plain):
    names = [name for name in plain.given if name.endswith("activation")]
    for name in names:
        text = message(plain.architecture, {**plain.arguments, name: "tahn"})
        assert f"{name}='tahn'" in text
        assert "did you mean 'tanh'?" in text


def test_unknown_initializers_come_with_a_suggestion(plain):
    names = [name for name in plain.given if name.endswith("initializer")]
    for name in names:
        text = message(plain.architecture, {**plain.arguments, name: "orthogonl"})
        assert "recurrent_initializer='orthogonl'" in text
        assert "did you mean 'orthogonal'?" in text


@pytest.fixture(params=[name for name in list_architectures() if "vocabulary_size" in factory_arguments(name)])
def reader(request):
    """Every architecture that reads sequences of vectors or tokens."""
    return request.param


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "features"),
        ({"features": 2, "vocabulary_size": 5}, "vocabulary_size"),
        ({"features": 2, "embedding": 3}, "embedding goes with vocabulary_size"),
        ({"vocabulary_size": 5, "mask_value": 0.0}, "mask_value goes with features"),
        ({"vocabulary_size": 1}, "vocabulary_size must be at least 2"),
    ],
    ids=["neither", "both", "embedding of vectors", "mask value of tokens", "padding alone"],
)
def test_vectors_and_tokens_do_not_mix(reader, arguments, said):
    assert said in message(reader, {"outputs": 3, **arguments})
    if "target_features" in factory_arguments(reader):
        target = {f"target_{name}": value for name, value in arguments.items()}
        if target:
            said = said.replace("goes with ", "goes with target_")
            assert f"target_{said}" in message(reader, {"outputs": 3, "features": 2, **target})


def test_feedback_must_be_known():
    for architecture in list_architectures():
        if "feedback" in factory_arguments(architecture):
            arguments = {"features": 2, "outputs": 3, "timesteps": 4}
            assert "'tokens'" in message(architecture, {**arguments, "feedback": "tokens"})
            assert "outputs" in message(architecture, {**arguments, "feedback": "token", "outputs": 1})
