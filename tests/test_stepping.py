"""One timestep at a time gives what the whole sequence gives."""

import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.stepping import step_model

MODELS = {
    "many to many": lambda: rnnzoo.many_to_many(features=3, outputs=2, units=4, layers=2, output_activation="sigmoid"),
    "many to one": lambda: rnnzoo.many_to_one(features=3, outputs=2, units=4, mask_value=-1.0),
    "token ids": lambda: rnnzoo.many_to_many(vocabulary_size=6, outputs=2, units=4),
    "embedding": lambda: rnnzoo.many_to_one(vocabulary_size=6, embedding=3, outputs=2, layers=3, units=4, use_bias=False),
    "deep": lambda: rnnzoo.deep(features=3, outputs=2, units=4, dense=(5, 4), dropout=0.2),
    "deep, sequences": lambda: rnnzoo.deep(vocabulary_size=6, outputs=2, units=4, return_sequences=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_steps_are_the_whole_sequence(name, rng):
    model = MODELS[name]()
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    ids = len(model.input_shape) == 2
    x = rng.integers(1, 6, (2, 5)).astype("int32") if ids else rng.normal(size=(2, 5, 3)).astype("float32")
    step = step_model(model)
    states = {n: tf.zeros((2, *t.shape[1:])) for n, t in step.input.items() if n != "inputs"}
    for t in range(5):
        found = dict(step({"inputs": tf.constant(x[:, t]), **states}))
        output = found.pop("outputs").numpy()
        states = found
        whole = model(x[:, : t + 1]).numpy()
        np.testing.assert_allclose(output, whole[:, -1] if whole.ndim == 3 else whole, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: rnnzoo.bidirectional(features=3, outputs=2), "needs the whole sequence"),
        (lambda: rnnzoo.many_to_one(features=3, outputs=2, bidirectional=True), "needs the whole sequence"),
        (lambda: rnnzoo.one_to_one(features=3, outputs=2), "takes no steps"),
        (lambda: rnnzoo.encoder_decoder(features=3, outputs=2), "takes no steps"),
        (lambda: rnnzoo.one_to_many(features=3, outputs=2, timesteps=3), "takes no steps"),
    ],
)
def test_models_without_steps(model, said):
    with pytest.raises(rnnzoo.InputError, match=said):
        step_model(model())
