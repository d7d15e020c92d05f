"""Drawing tokens inside a TensorFlow graph: the same seed draws the same ones, wherever it runs."""

import numpy as np
import tensorflow as tf


def log_softmax(logits):
    """(..., tokens) -> the logarithms of the probabilities, in NumPy."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class Sampler:
    """Draws a token a row, with probabilities softmax(logits / temperature) among the `top_k` likeliest.

    Args:
        temperature: a float32 scalar tensor, 0 or more; at 0 the likeliest token is taken, which is greedy decoding.
        top_k: an int32 scalar tensor: from how many of the likeliest to draw; 0 for all.
        seed: an int64 scalar tensor. Rows of a batch are draws of their own, each what it is in any batch.
    """

    def __init__(self, temperature, top_k, seed):
        checks = [
            tf.debugging.Assert(
                tf.math.is_finite(temperature) & (temperature >= 0),
                ["expected a temperature of 0 or more; got", temperature],
            ),
            tf.debugging.Assert(top_k >= 0, ["expected a top_k of 1 or more, or 0 for all; got", top_k]),
        ]
        with tf.control_dependencies(checks):
            self.temperature, self.top_k, self.seed = tf.identity(temperature), tf.identity(top_k), tf.identity(seed)

    def __call__(self, logits, t):
        """logits (batch, tokens), and the number of the step -> (batch,) int32, which of the tokens each row draws."""
        shifted = logits - tf.reduce_max(logits, axis=1, keepdims=True)  # so that no division overflows upwards
        greedy = tf.argmax(logits, axis=1, output_type=tf.int32)
        # Ranks, not a threshold: of equals, no more are kept than were asked for.
        ranks = tf.argsort(tf.argsort(-logits, axis=1, stable=True), axis=1)
        keep = (self.top_k == 0) | (ranks < self.top_k)
        uniform = tf.random.stateless_uniform(
            tf.shape(logits), tf.stack([self.seed, tf.cast(t, tf.int64)]), minval=1e-20, alg="philox"
        )
        # The largest of logits with Gumbel noise is distributed as a draw from their softmax.
        noisy = shifted / tf.where(self.temperature > 0, self.temperature, 1.0) - tf.math.log(-tf.math.log(uniform))
        drawn = tf.argmax(tf.where(keep, noisy, -float("inf")), axis=1, output_type=tf.int32)
        return tf.where(self.temperature > 0, drawn, greedy)
