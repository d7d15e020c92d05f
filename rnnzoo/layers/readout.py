"""The layer that turns hidden states into outputs."""

import keras


@keras.saving.register_keras_serializable("rnnzoo")
class Readout(keras.layers.Dense):
    """(batch, timesteps, units) -> (batch, timesteps, outputs): a `Dense` at every timestep that carries the mask.

    `mask` (batch, timesteps), given explicitly, is attached to the output, so that the losses and metrics of `fit` and
    `evaluate` skip padding without anything leaning on Keras's implicit propagation.

    With `as_weights=True` it returns its `kernel` (units, outputs) and `bias` (outputs,), zeros where it has none, as
    tensors: a layer that feeds outputs back needs them inside its loop, and a functional model can hand over tensors, not
    layers.
    """

    def call(self, inputs, mask=None, as_weights=False):
        if as_weights:
            # Added zero: a bare variable is no tensor of this call, and a functional model could not trace it.
            bias = keras.ops.zeros((self.units,), self.compute_dtype) if self.bias is None else self.bias + 0.0
            return self.kernel + 0.0, bias
        return super().call(inputs)

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask

    def compute_output_spec(self, inputs, mask=None, as_weights=False):
        if as_weights:
            return (
                keras.KerasTensor(self.kernel.shape, dtype=self.compute_dtype),
                keras.KerasTensor((self.units,), dtype=self.compute_dtype),
            )
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
