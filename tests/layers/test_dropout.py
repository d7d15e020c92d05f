"""Dropout: Keras's numbers, and as many zeros in graphs that XLA compiles."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.layers import Dropout

X = np.arange(1, 601, dtype=np.float32).reshape(20, 30)


def drawn(layer, jit):
    """Two calls in training, one after the other."""
    call = tf.function(lambda x: layer(x, training=True), jit_compile=jit, autograph=False)
    return [call(tf.constant(X)).numpy() for _ in range(2)]


@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_keras_numbers(noise_shape):
    expected = drawn(keras.layers.Dropout(0.3, noise_shape=noise_shape, seed=5), jit=False)
    found = drawn(Dropout(0.3, noise_shape=noise_shape, seed=5), jit=False)
    np.testing.assert_array_equal(found, expected)


def test_in_xla():
    """Others each time, the same of the same seed."""
    first, second = drawn(Dropout(0.3, seed=5), jit=True)
    np.testing.assert_array_equal(drawn(Dropout(0.3, seed=5), jit=True), [first, second])
    for found in (first, second):
        kept = found != 0
        np.testing.assert_allclose(found[kept], X[kept] / 0.7, rtol=1e-6)
        assert 0.63 < kept.mean() < 0.77
    assert 0.3 < ((first != 0) != (second != 0)).mean() < 0.55  # 2 * 0.3 * 0.7 of independent ones


def test_nothing_is_dropped_where_nothing_is_trained():
    layer = Dropout(0.5, seed=1)
    np.testing.assert_array_equal(layer(X), X)
    np.testing.assert_array_equal(Dropout(0.0)(X, training=True), X)


def test_it_is_saved_with_its_model(tmp_path):
    model = rnnzoo.one_to_one(features=3, outputs=2, dropout=0.5)
    assert type(model.get_layer("dropout")) is Dropout
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("dropout")) is Dropout and loaded.get_layer("dropout").rate == 0.5
