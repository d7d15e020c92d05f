"""Step-by-step decoding of the models that write: from the initial state, without going over the prefix again."""

import keras
import tensorflow as tf

from rnnzoo.architectures import encoder_decoder, one_to_many
from rnnzoo.architectures._parts import check_sizes
from rnnzoo.errors import InputError
from rnnzoo.layers import FeedbackRNN


class Decoder:
    """Greedy decoding of a model of `one_to_many` or `encoder_decoder`, batched, usable inside a TensorFlow graph.

    Args:
        model: the model; a loaded one too.
        max_length: how many steps are taken at the most.
        start_token: what is fed at the first step (tokens only): nothing (0) for `one_to_many`, the token that the targets
            of training began with for `encoder_decoder`.
        end_token: a row is finished once it has written it; `None` for none.

    Raises:
        InputError: the model is of no architecture that writes, its outputs are of another width than its target, or a
            token or length is out of range.

    Attributes:
        start: `keras.Model`, inputs -> states.
        step: `keras.Model`, what was fed and states -> outputs and new states.
        vocabulary_size: how many token ids can be fed, padding included; `None` where vectors are.
    """

    def __init__(self, model, *, max_length, start_token=0, end_token=None):
        check_sizes(max_length=max_length)
        module = _module(model)
        self.start, self.step = module.inference(model)
        self.max_length, self.start_token, self.end_token = max_length, start_token, end_token
        fed = self.step.input["fed"]
        self.tokens, self.width = len(fed.shape) == 1, None if len(fed.shape) == 1 else fed.shape[1]
        self.outputs = self.step.output["outputs"].shape[-1]
        # What softmax would turn into the outputs, for those who draw.
        probabilities = model.get_layer("readout").activation is keras.activations.softmax
        self.logits = tf.math.log if probabilities else tf.identity
        self._check(model, module)

    def _check(self, model, module):
        """Refuses what the model could not have been trained to begin with, or cannot be fed."""
        layers = {layer.name: layer for layer in model.layers}
        ids = _vocabulary_size(layers) if self.tokens else self.outputs
        self.vocabulary_size = ids if self.tokens else None
        if ids < self.outputs or (not self.tokens and self.width != self.outputs):
            raise InputError(f"'{model.name}' cannot be fed its own {self.outputs} outputs: its target is of another width")
        if not self.tokens:
            mask = layers.get("target_mask")
            if mask is not None and mask.mask_value == 0:
                raise InputError(
                    f"'{model.name}' takes the zeros that decoding begins with for padding: build it with another "
                    "target_mask_value"
                )
            return
        # Id 0 is padding: an encoder-decoder skips it in training, a one-to-many begins with it.
        first = 0 if module is one_to_many else 1
        if not first <= self.start_token < ids:
            raise InputError(
                f"start_token={self.start_token}: expected the token id that the targets of training begin with, from "
                f"{first} to {ids - 1}"
            )
        if self.end_token is not None and not 1 <= self.end_token < self.outputs:
            raise InputError(f"end_token={self.end_token}: expected a token id from 1 to {self.outputs - 1}")

    def __call__(self, inputs, choose=None, max_length=None):
        """inputs (batch, ...) -> what was written, and the outputs behind it.

        Args:
            choose: a function: logits (batch, tokens) without id 0, and the number of the step -> (batch,) int32, which of
                them to write (see `rnnzoo.sampling.Sampler`); the likeliest if `None`.
            max_length: how many steps are taken at the most, an int32 scalar tensor; as was decided above if `None`.

        Returns:
            written: token ids (batch, steps), 0 after the end token, the end token included; or vectors
                (batch, steps, outputs). `steps` is as many as the longest row took.
            outputs: (batch, steps, outputs), 0 after a row's end token, so that they depend on no other row.
        """
        max_length = self.max_length if max_length is None else max_length
        states = self.start(inputs)
        batch = tf.shape(next(iter(states.values())))[0]
        if self.tokens:
            fed = tf.fill([batch], tf.constant(self.start_token, tf.int32))
            written = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[None])
        else:
            fed = tf.zeros([batch, self.width])
            written = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[None, self.outputs])
        outputs = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[None, self.outputs])
        done = tf.zeros([batch], tf.bool)

        def going(t, done, *_):
            return (t == 0) | ((t < max_length) & ~tf.reduce_all(done))

        def step(t, done, fed, states, written, outputs):
            result = dict(self.step({"fed": fed, **states}))
            output = result.pop("outputs")
            shown = tf.where(done[:, None], 0.0, output)
            if self.tokens:
                # Id 0 is padding, which nothing writes.
                if choose is None:
                    token = tf.argmax(output[:, 1:], axis=-1, output_type=tf.int32) + 1
                else:
                    token = choose(self.logits(output)[:, 1:], t) + 1
                fed = tf.where(done, 0, token)
                if self.end_token is not None:
                    done = done | (token == self.end_token)
            else:
                fed = output
            return t + 1, done, fed, result, written.write(t, fed), outputs.write(t, shown)

        loop = (tf.constant(0), done, fed, dict(states), written, outputs)
        *_, written, outputs = tf.while_loop(going, step, loop)
        order = [1, 0] if self.tokens else [1, 0, 2]
        return tf.transpose(written.stack(), order), tf.transpose(outputs.stack(), [1, 0, 2])


def decode(model, inputs, *, max_length, start_token=0, end_token=None):
    """What a model of `one_to_many` or `encoder_decoder` writes, greedily, for a batch.

    Args:
        model: the model; a loaded one too.
        inputs: (batch, features) for `one_to_many`; the source (batch, source_timesteps, ...) for `encoder_decoder`.
        max_length: how many steps are taken at the most.
        start_token: what is fed at the first step (tokens only): nothing (0) for `one_to_many`, the token that the targets
            of training began with for `encoder_decoder`.
        end_token: a row is finished once it has written it; `None` for none.

    Returns:
        A NumPy array: token ids (batch, steps), 0 after the end token, the end token included; or vectors
        (batch, steps, outputs).

    Raises:
        InputError: the model is of no architecture that writes, or a token or length is out of range.
    """
    decoder = Decoder(model, max_length=max_length, start_token=start_token, end_token=end_token)
    return tf.function(decoder, autograph=False)(tf.convert_to_tensor(inputs))[0].numpy()


def _vocabulary_size(layers):
    """How many token ids the decoder among these layers can be fed, padding included."""
    if "target_embedding" in layers:
        return layers["target_embedding"].input_dim
    return layers["target_one_hot"].depth + 1 if "target_one_hot" in layers else layers["decoder"].outputs


def _module(model):
    names = {layer.name for layer in model.layers}
    if "decoder" not in names:
        raise InputError(f"'{model.name}' has no decoder; expected a model of one_to_many or encoder_decoder")
    return one_to_many if isinstance(model.get_layer("decoder"), FeedbackRNN) else encoder_decoder
