"""Exports: one sample at (1, 100, 64, 128), batch, timesteps, features and units, in the formats that run elsewhere.

`cases` lists what is measured; `measure` measures one case, in a process of its own where `measure.in_own_process` calls it.

    python benchmarks/exports.py             # prints the figures as JSON
    python benchmarks/exports.py --quick     # the same in a few seconds

- keras: a `tf.function` of the stock `keras.layers.SimpleRNN` with an input signature, which is what a call after another
  costs at the least. litert: the same weights through `rnnzoo.layers.SimpleRNN`, written by what `rnnzoo export --format
  litert` writes whole sequences with, and run by `ai-edge-litert` from array to array.
"""

import json
import sys
import tempfile
from pathlib import Path

import measure as shared

# What was asked for of a single sample: stock Keras's compiled function over LiteRT.
BARS = {"litert": 9}
TIMESTEPS, FEATURES, UNITS = 100, 64, 128
# So many calls in a row are one measurement, as in `prediction.py`.
REPEATS = 10


def cases(quick):
    """The dicts that `measure` takes; shorter where it is to be quick."""
    return [{"cores": 1, "seconds": 1 if quick else 5}]


def measure(case):
    """Interleaved medians and quartiles in milliseconds, how far the two differ, and the file's size in bytes."""
    import keras
    import numpy as np
    import tensorflow as tf

    from rnnzoo.exporting._tflite import tflite
    from rnnzoo.layers import SimpleRNN
    from rnnzoo.running._litert import LiteRTModel

    keras.utils.set_random_seed(0)
    layers = {"keras": keras.layers.SimpleRNN(UNITS), "litert": SimpleRNN(UNITS)}
    models = {}
    for name, layer in layers.items():
        inputs = keras.Input((TIMESTEPS, FEATURES), name="inputs")
        models[name] = keras.Model(inputs, layer(inputs))
    layers["litert"].set_weights(layers["keras"].get_weights())
    spec = [tf.TensorSpec([1, TIMESTEPS, FEATURES], tf.float32)]
    function = tf.function(lambda x: models["keras"](x, training=False), input_signature=spec)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(tflite(models["litert"], TIMESTEPS))
        size, written = path.stat().st_size, LiteRTModel(path, threads=case["cores"])
    sample = np.random.default_rng(0).normal(size=(1, TIMESTEPS, FEATURES)).astype(np.float32)
    steps = {"keras": lambda: function(sample).numpy(), "litert": lambda: written.run({"inputs": sample})["outputs"]}
    difference = float(np.abs(steps["keras"]() - steps["litert"]()).max())
    repeated = {name: (lambda step=step: [step() for _ in range(REPEATS)]) for name, step in steps.items()}
    timed = shared.interleaved(repeated, case["seconds"], least=10)
    figures = {name: {key: round(value / REPEATS, 4) for key, value in times.items()} for name, times in timed.items()}
    return {
        **figures,
        "times_keras": round(figures["keras"]["median"] / figures["litert"]["median"], 2),
        "largest_difference": difference,
        "bytes": size,
    }


if __name__ == "__main__":
    for one in cases("--quick" in sys.argv):
        print(json.dumps([one, shared.in_own_process("exports", one)], indent=1))
