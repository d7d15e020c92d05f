"""The Elman recurrence as a Keras layer."""

import keras
from keras import ops

# Up to this many timesteps the loop is written out in the graph. Past it the graph grows (and takes longer to compile)
# faster than the steps get cheaper, and Keras's loop takes over.
UNROLLED_TIMESTEPS = 64


@keras.saving.register_keras_serializable("rnnzoo")
class SimpleRNN(keras.layers.SimpleRNN):
    """(batch, timesteps, features) -> (batch, units), or (batch, timesteps, units) with `return_sequences=True`.

    h_t = activation(x_t W + h_{t-1} U + b) (Elman 1990, "Finding structure in time", Cognitive Science 14). A drop-in for
    `keras.layers.SimpleRNN`: same arguments, weights, config and results. Where the number of timesteps is known and at
    most 64, the input projection of all timesteps is one matrix product and the loop is written out; elsewhere, and in
    training with dropout, it does what Keras does.

    Weights: `kernel` (features, units), `recurrent_kernel` (units, units), `bias` (units,).
    """

    def inner_loop(self, sequences, initial_state, mask, training=False):
        timesteps = sequences.shape[1]
        drops = training and (self.cell.dropout > 0 or self.cell.recurrent_dropout > 0)
        if not timesteps or timesteps > UNROLLED_TIMESTEPS or drops or (mask is not None and len(mask.shape) != 2):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        cell = self.cell
        projected = ops.matmul(sequences, cell.kernel)  # (batch, timesteps, units)
        if cell.bias is not None:
            projected = ops.add(projected, cell.bias)
        # Taken apart once: the gradient of a slice a step would be a tensor of all timesteps a step.
        steps = ops.unstack(projected, timesteps, axis=1)
        used = None if mask is None else ops.unstack(ops.expand_dims(mask, 2), timesteps, axis=1)  # (batch, 1) each

        state = initial_state[0] if isinstance(initial_state, (list, tuple)) else initial_state  # (batch, units)
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
