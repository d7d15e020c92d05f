"""`PaddingMask`, `OneHot` and `Readout`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnzoo.layers import OneHot, PaddingMask, Readout

IDS = np.array([[3, 1, 0], [2, 0, 0], [0, 0, 0]])


def test_a_token_id_counts_unless_it_is_zero():
    mask = PaddingMask()(IDS)
    assert mask.dtype == tf.bool
    np.testing.assert_array_equal(mask, [[True, True, False], [True, False, False], [False, False, False]])


@pytest.mark.parametrize("mask_value", [0.0, -2.0, 1.5])
def test_a_vector_counts_unless_every_component_is_the_mask_value(mask_value):
    m, other = mask_value, mask_value + 1.0
    vectors = np.array([[[other, other], [m, other], [other, m], [m, m]]], "float32")
    mask = PaddingMask(mask_value)(vectors)
    assert mask.dtype == tf.bool
    np.testing.assert_array_equal(mask, [[True, True, True, False]])


def test_a_vector_of_zeros_counts_where_the_mask_value_is_another():
    assert PaddingMask(-2.0)(np.zeros((1, 3, 2), "float32")).numpy().all()


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
def test_one_hot_turns_id_k_into_unit_vector_k_minus_1(dtype):
    vectors = OneHot(3)(IDS.astype(dtype))
    assert vectors.dtype == tf.float32
    expected = np.concatenate([np.zeros((1, 3)), np.eye(3)])[IDS]
    np.testing.assert_array_equal(vectors, expected)
    np.testing.assert_array_equal(OneHot(3)(IDS[:, 0].astype(dtype)), expected[:, 0])


def test_one_hot_follows_the_precision():
    assert OneHot(3, dtype="float64")(IDS).dtype == tf.float64


def test_readout_is_a_dense_layer(rng):
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    layer = Readout(5, activation="tanh")
    y = layer(x)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    assert y.shape == (2, 3, 5)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(layer(x), np.tanh(x @ kernel + bias), rtol=1e-5, atol=1e-6)


def test_readout_attaches_the_mask_that_it_is_given():
    mask = tf.constant([[True, True, False], [True, False, False]])
    layer, x = Readout(5), tf.zeros((2, 3, 4))
    np.testing.assert_array_equal(layer(x, mask=mask)._keras_mask, mask)
    assert getattr(layer(x), "_keras_mask", None) is None


def test_readout_returns_its_weights_as_tensors(rng):
    layer = Readout(5)
    layer.build((None, 4))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    kernel, bias = layer(tf.zeros((2, 4)), as_weights=True)
    np.testing.assert_array_equal(kernel, layer.get_weights()[0])
    np.testing.assert_array_equal(bias, layer.get_weights()[1])
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(part) for part in layer(tf.zeros((2, 4)), as_weights=True))
    for gradient in tape.gradient(loss, layer.trainable_variables):
        np.testing.assert_array_equal(gradient, np.ones(gradient.shape))


@pytest.mark.parametrize(
    ("layer", "shape", "dtype"),
    [
        (PaddingMask(-2.0), (None,), "int32"),
        (PaddingMask(-2.0), (None, 3), "float32"),
        (OneHot(4), (None,), "int32"),
        (OneHot(4), (), "int32"),
        (Readout(2, activation="relu"), (None, 3), "float32"),
    ],
    ids=["mask of ids", "mask of vectors", "one-hot sequence", "one-hot token", "readout"],
)
def test_symbolic_and_actual_shapes_agree_and_files_keep_the_layer(layer, shape, dtype, tmp_path):
    layer = type(layer).from_config(layer.get_config())  # a fresh one: parametrised layers outlive a test
    inputs = keras.Input(shape, dtype=dtype)
    model = keras.Model(inputs, layer(inputs))
    sizes = [2, *(4 if size is None else size for size in shape)]
    x = np.arange(np.prod(sizes)).reshape(sizes).astype(dtype)
    actual = model(x)
    symbolic = model.outputs[0]
    assert symbolic.dtype == actual.dtype
    assert len(symbolic.shape) == len(actual.shape)
    assert all(a in (None, b) for a, b in zip(symbolic.shape, actual.shape, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), actual)
    assert loaded.layers[-1].get_config() == layer.get_config()
