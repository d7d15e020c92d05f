"""A recurrence without input: each output is fed back as the next step's input."""

import keras
import tensorflow as tf
from keras import ops

from rnnzoo.layers.simple_rnn import SimpleRNN


@keras.saving.register_keras_serializable("rnnzoo")
class FeedbackRNN(keras.layers.Layer):
    """`layers` initial states (batch, units) -> hidden states (batch, timesteps, units).

    Step by step, y_t = output_activation(h_t V + c) with the readout's weights V and c, and y_t (or the one-hot vector of
    its largest component) is the input of step t + 1; the input of the first step is the zero vector. With `target` it is
    teacher-forced (Williams and Zipser 1989): the input of step t + 1 is the target of step t.

    Args:
        units: width of each recurrent layer.
        outputs: width of the readout.
        timesteps: how many steps to run where there is no target.
        layers: how many recurrent layers are stacked.
        feedback: "output" feeds y_t itself; "token" feeds the token whose id is y_t's largest component, id 0 excepted.
        output_activation: the readout's, needed inside the loop.
        The others are those of `SimpleRNN`.
    """

    def __init__(
        self,
        units,
        outputs,
        timesteps,
        layers=1,
        feedback="output",
        output_activation=None,
        activation="tanh",
        use_bias=True,
        recurrent_initializer="orthogonal",
        dropout=0.0,
        recurrent_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units, self.outputs, self.timesteps, self.layers = units, outputs, timesteps, layers
        self.feedback = feedback
        self.output_activation = keras.activations.get(output_activation)
        self.rnns = [
            SimpleRNN(
                units,
                activation=activation,
                use_bias=use_bias,
                recurrent_initializer=recurrent_initializer,
                dropout=dropout,
                recurrent_dropout=recurrent_dropout,
                return_sequences=True,
                return_state=True,
                dtype=self.dtype_policy,
                name="rnn" if i == 0 else f"rnn_{i + 1}",
            )
            for i in range(layers)
        ]

    @property
    def feedback_width(self):
        """Width of what is fed back: id 0 is padding and is never fed."""
        return self.outputs - 1 if self.feedback == "token" else self.outputs

    def build(self, states_shape, kernel_shape=None, bias_shape=None, target_shape=None):
        for i, rnn in enumerate(self.rnns):
            rnn.build((None, None, self.feedback_width if i == 0 else self.units))

    def call(self, states, kernel=None, bias=None, target=None, training=False):
        if target is None:
            return self._run_free(states, kernel, bias, training)
        hidden, _ = self.run(self._shifted(target), states, training=training)
        return hidden

    def run(self, inputs, states, training=False):
        """One pass of the stack: (batch, timesteps, feedback_width), states -> hidden states, new states."""
        new_states = []
        for rnn, state in zip(self.rnns, states, strict=True):
            inputs, new_state = rnn(inputs, initial_state=state, training=training)
            new_states.append(new_state)
        return inputs, new_states

    def encode(self, fed):
        """Token ids (...,) or vectors (..., outputs), as they are fed back -> (..., feedback_width)."""
        if self.feedback == "token":
            return ops.one_hot(ops.cast(fed, "int32") - 1, self.feedback_width, dtype=self.compute_dtype)
        return ops.cast(fed, self.compute_dtype)

    def _shifted(self, target):
        """Targets (batch, timesteps, ...) -> the inputs of each step: the target of the step before, zeros at the first."""
        encoded = self.encode(target)
        return ops.concatenate([ops.zeros_like(encoded[:, :1]), encoded[:, :-1]], axis=1)

    def _next_input(self, output):
        """(batch, outputs) -> (batch, feedback_width)."""
        if self.feedback == "token":
            return self.encode(ops.argmax(output[:, 1:], axis=-1) + 1)
        return output

    def _run_free(self, states, kernel, bias, training):
        batch = ops.shape(states[0])[0]
        fed = ops.zeros((batch, self.feedback_width), dtype=self.compute_dtype)
        hidden_states = tf.TensorArray(self.compute_dtype, size=self.timesteps, element_shape=(None, self.units))

        def step(t, fed, states, hidden_states):
            hidden, states = self.run(fed[:, None, :], states, training=training)
            hidden = hidden[:, 0]
            output = ops.matmul(hidden, kernel) + bias
            if self.output_activation is not None:
                output = self.output_activation(output)
            return t + 1, self._next_input(output), states, hidden_states.write(t, hidden)

        loop = (tf.constant(0), fed, list(states), hidden_states)
        *_, hidden_states = tf.while_loop(lambda t, *_: t < self.timesteps, step, loop, maximum_iterations=self.timesteps)
        return ops.transpose(hidden_states.stack(), (1, 0, 2))

    def compute_output_spec(self, states, kernel=None, bias=None, target=None, training=False):
        timesteps = self.timesteps if target is None else target.shape[1]
        return keras.KerasTensor((states[0].shape[0], timesteps, self.units), dtype=self.compute_dtype)

    def get_config(self):
        rnn = self.rnns[0].get_config()
        shared = ("activation", "use_bias", "recurrent_initializer", "dropout", "recurrent_dropout")
        return {
            **super().get_config(),
            "units": self.units,
            "outputs": self.outputs,
            "timesteps": self.timesteps,
            "layers": self.layers,
            "feedback": self.feedback,
            "output_activation": keras.activations.serialize(self.output_activation),
            **{key: rnn[key] for key in shared},
        }
