"""A penalty on gradients that vanish or explode on their way back through time."""

import tensorflow as tf

from rnnzoo.layers import _loops


def kept(states, final, recurrent_kernel, used, activation, weight):
    """States and final state as they are; on their way back, the recurrent kernel's gradient gets the penalty's added.

    The penalty is the mean of (|dE/dz_t dz_t/dz_{t-1}| / |dE/dz_t| - 1)^2 over all timesteps but the first of each sequence
    at which the error has a gradient, z being the pre-activations (Pascanu, Mikolov and Bengio 2013, "On the difficulty of
    training recurrent neural networks", equation 9). As there, z_{t-1} and dE/dz_t count as constants when it is derived.

    Args:
        states: (timesteps, batch, units); what they are where a timestep is not used does not matter.
        final: (batch, units).
        recurrent_kernel: (units, units).
        used: (batch, timesteps) bool, True where the timestep counts; `None` if all do.
        activation: a key of `_loops.ACTIVATIONS`.
        weight: of the penalty.

    Returns:
        states and final.
    """

    @tf.custom_gradient
    def pass_on(states, final, recurrent_kernel):
        def backward(d_states, d_final):
            mask = None if used is None else tf.transpose(used)
            slope = _penalty_gradient(states, mask, d_states, d_final, recurrent_kernel, activation)
            return d_states, d_final, tf.cast(weight, slope.dtype) * slope

        return (tf.identity(states), tf.identity(final)), backward

    return pass_on(states, final, recurrent_kernel)


@_loops.compiled
def _penalty_gradient(states, used, d_states, d_final, recurrent_kernel, activation):
    """(units, units), the penalty's gradient; everything time-major."""
    _, slope = _loops.ACTIVATIONS[activation]
    timesteps = states.shape[0]
    counts = tf.ones_like(states[..., :1], tf.bool) if used is None else used[..., None]  # (timesteps, batch, 1)
    begun = tf.cumsum(tf.cast(counts, tf.int32), 0, exclusive=True) > 0
    nothing, tiny = (tf.constant(number, states.dtype) for number in (0.0, 1e-12))

    def direction(vectors):
        """(rows, units) of norm 1 and whether they have one; the largest first, since squares of what has vanished are 0."""
        largest = tf.reduce_max(tf.abs(vectors), 1, keepdims=True)
        there = largest > 0
        vectors = vectors / tf.where(there, largest, tf.ones_like(largest))
        norm = tf.norm(vectors, axis=1, keepdims=True)
        return vectors / tf.where(there, norm, tf.ones_like(norm)), there

    def one_step(t, d_state, total, number):
        d_state = d_state + d_states[t]
        d_z = tf.where(counts[t], d_state * slope(states[t]), nothing)
        back = tf.matmul(d_z, recurrent_kernel, transpose_b=True) + tf.where(counts[t], nothing, d_state)
        # The step before that was used has left the state that stands there.
        before = slope(states[tf.maximum(t - 1, 0)])
        unit, there = direction(d_z)
        there = there & counts[t] & begun[t]
        carried = before * tf.matmul(unit, recurrent_kernel, transpose_b=True)
        norm = tf.norm(carried, axis=1, keepdims=True)
        factor = tf.where(there, 2.0 * (norm - 1.0) / tf.maximum(norm, tiny), nothing)
        total = total + tf.matmul(factor * before * carried, unit, transpose_a=True)
        return t - 1, back, total, number + tf.reduce_sum(tf.cast(there, states.dtype))

    start = (timesteps - 1, d_final, tf.zeros_like(recurrent_kernel), tf.zeros([], states.dtype))
    _, _, total, number = tf.while_loop(lambda t, *_: t > 0, one_step, start, maximum_iterations=timesteps)
    return total / tf.maximum(number, 1.0)
