"""The Elman recurrence as a Keras layer."""

import keras
import tensorflow as tf
from keras import ops

from rnnzoo.errors import InputError
from rnnzoo.layers import _loops
from rnnzoo.layers._keeping import kept
from rnnzoo.layers._recurrence import recurrence

# Up to this many timesteps the loop is written out in the graph where it is not compiled. Past it the graph grows (and
# takes longer to trace) faster than the steps get cheaper, and Keras's loop takes over.
UNROLLED_TIMESTEPS = 64
# In training, what has fewer multiplications a sequence (timesteps x units x (features + units)) is not worth the second
# that compiling takes.
WORTH_COMPILING = 2**14
# A step without a mask that has as many (batch x units x units) is nothing but its product, and TensorFlow's own is faster.
WHOLE_PRODUCTS = 2**23


@keras.saving.register_keras_serializable("rnnzoo")
class SimpleRNN(keras.layers.SimpleRNN):
    """(batch, timesteps, features) -> (batch, units), or (batch, timesteps, units) with `return_sequences=True`.

    h_t = activation(x_t W + h_{t-1} U + b) (Elman 1990, "Finding structure in time", Cognitive Science 14). A drop-in for
    `keras.layers.SimpleRNN`: same arguments, weights, config and results; faster on CPUs.

    In training (`training=True`, inside a `tf.function` such as `fit`'s, number of timesteps known, activation linear,
    relu, sigmoid or tanh, float32 or float64) the recurrence and its written-out backpropagation through time are compiled
    by XLA, once for each shape of the batch, in about a second; not where a step without a mask is nothing but its product,
    which TensorFlow makes faster. Elsewhere up to 64 known timesteps, and with `unroll=True` as many as there are, are
    written out in the graph behind one input projection; and what is left, recurrent dropout among it, is done as Keras
    does it.

    Weights: `kernel` (features, units), `recurrent_kernel` (units, units), `bias` (units,).

    Where `keep_gradient` is set, and not 0, training has a penalty of that weight on gradients whose norm changes from a
    timestep to the one before (Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks").
    It is an attribute and no argument: it belongs to a training and not to the layer that is saved.
    """

    keep_gradient = 0.0

    def inner_loop(self, sequences, initial_state, mask, training=False):
        state = initial_state[0] if isinstance(initial_state, (list, tuple)) else initial_state  # (batch, units)
        timesteps = sequences.shape[1]
        drops = training and (self.cell.dropout > 0 or self.cell.recurrent_dropout > 0)
        plain_mask = mask is None or len(mask.shape) == 2
        keeps = training and self.keep_gradient
        if keeps and not (plain_mask and self._knows(sequences)):
            raise InputError(
                f"{self.name}: keep_gradient needs a tf.function, timesteps that are known (2 or more), one of the "
                f"activations {', '.join(_loops.ACTIVATIONS)}, no recurrent dropout, a TensorFlow that has XLA, and no GPU"
            )
        if keeps or ((training or _loops.within_xla()) and plain_mask and self._compiles(sequences, mask)):
            return self._compiled(sequences, state, mask, training)
        if timesteps and (self.unroll or timesteps <= UNROLLED_TIMESTEPS) and not drops and plain_mask:
            return self._unrolled(sequences, state, mask)
        return super().inner_loop(sequences, initial_state, mask, training=training)

    def _compiles(self, sequences, mask):
        """Whether a training pass over these runs compiled, or one that is a part of what XLA compiles whole."""
        if not self._knows(sequences):
            return False
        timesteps, features = sequences.shape[1:]
        able = timesteps > UNROLLED_TIMESTEPS or timesteps * self.units * (features + self.units) >= WORTH_COMPILING
        if able and mask is None and (sequences.shape[0] or 0) * self.units**2 >= WHOLE_PRODUCTS:
            _loops.ask_for_tensorflow()
            return False
        return able

    def _knows(self, sequences):
        """Whether `recurrence` can make a pass over these."""
        cell, timesteps, features = self.cell, sequences.shape[1], sequences.shape[2]
        if not isinstance(sequences, tf.Tensor) or tf.executing_eagerly() or not timesteps or timesteps < 2 or not features:
            return False
        return (
            sequences.dtype in (tf.float32, tf.float64)
            and _name(cell.activation) in _loops.ACTIVATIONS
            and cell.recurrent_dropout == 0
            # The loops were measured on CPUs alone.
            and not tf.config.list_logical_devices("GPU")
            and tf.test.is_built_with_xla()
        )

    def _compiled(self, sequences, state, mask, training):
        """The pass of `_recurrence.recurrence`, its results in Keras's form."""
        cell = self.cell
        if training and cell.dropout > 0:
            sequences = sequences * tf.expand_dims(cell.get_dropout_mask(sequences[:, 0]), 1)
        if self.go_backwards:
            sequences, mask = tf.reverse(sequences, [1]), None if mask is None else tf.reverse(mask, [1])
        mask = None if mask is None else tf.cast(mask, tf.bool)
        weights = [None if w is None else ops.convert_to_tensor(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias)]
        activation, keeps = _name(cell.activation), training and self.keep_gradient
        states, final = recurrence(sequences, state, *weights, mask, activation, self.return_sequences or bool(keeps))
        if keeps:
            states, final = kept(states, final, weights[1], mask, activation, self.keep_gradient)
            states = states if self.return_sequences else None
        output, outputs = final, None if states is None else tf.transpose(states, [1, 0, 2])
        if mask is not None:
            zeros = tf.zeros_like(final)
            if outputs is not None:
                outputs = self._shown(outputs, final, mask)
            shown = mask[:, -1:] if self.zero_output_for_mask else tf.reduce_any(mask, axis=1, keepdims=True)
            output = tf.where(shown, final, zeros)
        return output, outputs if self.return_sequences else tf.expand_dims(output, 1), [final]

    def _shown(self, states, final, mask):
        """What Keras shows of (batch, timesteps, units) states: at a masked timestep the output before, or zeros."""
        zeros, timesteps = tf.zeros_like(states), tf.range(1, mask.shape[1] + 1)
        if self.zero_output_for_mask:
            return tf.where(mask[..., None], states, zeros)
        positions = tf.where(mask, timesteps, 0)
        over = timesteps > tf.reduce_max(positions, axis=1, keepdims=True)
        begun = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0  # before, zeros, whatever the state was
        return tf.where(begun[..., None], tf.where(over[..., None], final[:, None], states), zeros)

    def _unrolled(self, sequences, state, mask):
        """Step by step in the graph, behind one input projection."""
        cell, timesteps = self.cell, sequences.shape[1]
        projected = ops.matmul(sequences, cell.kernel)  # (batch, timesteps, units)
        if cell.bias is not None:
            projected = ops.add(projected, cell.bias)
        # Taken apart once: the gradient of a slice a step would be a tensor of all timesteps a step.
        steps = ops.unstack(projected, timesteps, axis=1)
        used = None if mask is None else ops.unstack(ops.expand_dims(mask, 2), timesteps, axis=1)  # (batch, 1) each

        zeros = ops.zeros_like(state)
        every = self.return_sequences or self.zero_output_for_mask
        output = zeros  # what Keras shows before the first step that counts, whatever the state was
        outputs = []
        for t in reversed(range(timesteps)) if self.go_backwards else range(timesteps):
            new_state = steps[t] + ops.matmul(state, cell.recurrent_kernel)
            if cell.activation is not None:
                new_state = cell.activation(new_state)
            if used is None:
                state = output = new_state
            else:
                if every:
                    output = ops.where(used[t], new_state, zeros if self.zero_output_for_mask else output)
                state = ops.where(used[t], new_state, state)
            if self.return_sequences:
                outputs.append(output)
        if used is not None and not every:
            output = ops.where(ops.any(mask, axis=1, keepdims=True), state, zeros)
        sequence = ops.stack(outputs, axis=1) if self.return_sequences else ops.expand_dims(output, 1)
        return output, sequence, [state]


def _name(activation):
    """The name of one of Keras's own activations, else `None`."""
    if activation is None:
        return "linear"
    name = getattr(activation, "__name__", "")
    return name if activation is getattr(keras.activations, name, None) else None
