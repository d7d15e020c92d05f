"""Drawing tokens inside a TensorFlow graph: the same seed draws the same ones, wherever it runs."""

import numpy as np
import tensorflow as tf


def log_softmax(logits):
    """(..., tokens) -> the logarithms of the probabilities, in NumPy."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class Sampler:
    """Draws a token a row, with probabilities softmax(logits / temperature) among those that are kept (see `kept`).

    Args:
        temperature: a float32 scalar tensor, 0 or more; at 0 the likeliest token is taken, which is greedy decoding.
        top_k: an int32 scalar tensor: from how many of the likeliest to draw; 0 for all.
        seed: an int64 scalar tensor. Rows of a batch are draws of their own, each what it is in any batch.
        top_p: a float32 scalar tensor, over 0 and at most 1: draws from the fewest of the likeliest that together have this
            probability; `None` for all.
    """

    def __init__(self, temperature, top_k, seed, top_p=None):
        checks = [
            tf.debugging.Assert(
                tf.math.is_finite(temperature) & (temperature >= 0),
                ["expected a temperature of 0 or more; got", temperature],
            ),
            tf.debugging.Assert(top_k >= 0, ["expected a top_k of 1 or more, or 0 for all; got", top_k]),
        ]
        if top_p is not None:
            checks.append(tf.debugging.Assert((top_p > 0) & (top_p <= 1), ["expected a top_p over 0 up to 1; got", top_p]))
        with tf.control_dependencies(checks):
            self.temperature, self.top_k, self.seed = tf.identity(temperature), tf.identity(top_k), tf.identity(seed)
            self.top_p = None if top_p is None else tf.identity(top_p)

    def __call__(self, logits, t):
        """logits (batch, tokens), and the number of the step -> (batch,) int32, which of the tokens each row draws."""
        shifted = logits - tf.reduce_max(logits, axis=1, keepdims=True)  # so that no division overflows upwards
        shifted /= tf.where(self.temperature > 0, self.temperature, 1.0)
        greedy = tf.argmax(logits, axis=1, output_type=tf.int32)
        keep = kept(shifted, self.top_k, self.top_p)
        uniform = tf.random.stateless_uniform(
            tf.shape(logits), tf.stack([self.seed, tf.cast(t, tf.int64)]), minval=1e-20, alg="philox"
        )
        # The largest of logits with Gumbel noise is distributed as a draw from their softmax.
        noisy = shifted - tf.math.log(-tf.math.log(uniform))
        drawn = tf.argmax(tf.where(keep, noisy, -float("inf")), axis=1, output_type=tf.int32)
        return tf.where(self.temperature > 0, drawn, greedy)


def kept(logits, top_k, top_p=None):
    """Which tokens may be drawn: the `top_k` likeliest, and of those the nucleus (Holtzman et al. 2020).

    Args:
        logits: (batch, tokens), divided by the temperature.
        top_k: an int32 scalar tensor; 0 for all.
        top_p: a float32 scalar tensor: the fewest of the likeliest whose probabilities among the `top_k` add up to it;
            `None` for all.

    Returns:
        (batch, tokens) bool; of equals, no more than were asked for, the first ones.
    """
    order = tf.argsort(-logits, axis=1, stable=True)
    ranks = tf.argsort(order, axis=1)  # not a threshold, which equals would pass together
    keep = (top_k == 0) | (ranks < top_k)
    if top_p is None:
        return keep
    probabilities = tf.nn.softmax(tf.where(keep, logits, -float("inf")), axis=1)
    likelier = tf.cumsum(tf.gather(probabilities, order, batch_dims=1), axis=1, exclusive=True)
    return keep & ((tf.gather(likelier, ranks, batch_dims=1) < top_p) | (top_p >= 1))
