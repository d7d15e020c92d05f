"""A train step of one recurrent layer: rnnzoo's against stock Keras, PyTorch and bare matrix products; and its memory.

A step is forward, backward and Adam on one batch of (batch, timesteps, features) through a layer of `units` and a dense
readout. "Fill" is the share of timesteps that the mask uses, right-padded, lengths uniform around it; PyTorch runs over
the padding and gathers the last valid state.
"""

import resource
from functools import partial
from pathlib import Path

SHAPES = [(32, 4, 12, 128), (64, 32, 32, 64), (64, 100, 64, 128), (64, 256, 128, 256), (32, 784, 1, 100), (1, 100, 64, 128)]
FILLS = [None, 0.75, 0.25]
# Where the states are what takes the memory.
LARGE = [((512, *shape[1:]), fill) for shape in (SHAPES[3], SHAPES[4]) for fill in (None, 0.75)]
QUICK = [(0, None), (1, None), (1, 0.25)]
# What was asked for, at one core: stock Keras over the layer at each fill, and PyTorch over it without a mask.
BARS = {
    (32, 4, 12, 128): (1.6, 2, 2, 1.5),
    (64, 32, 32, 64): (2, 3, 3, 2),
    (64, 100, 64, 128): (1.5, 1.8, 2.5, 2),
    (64, 256, 128, 256): (1.1, 1.3, 3, 2),
    (32, 784, 1, 100): (1.8, 2.6, 2.6, 2.2),
    (1, 100, 64, 128): (8, None, None, 5),
}


def cases(quick):
    """The comparisons, each for `measure.in_own_process("layer", case)`."""
    if quick:
        return [{"cores": 1, "shape": SHAPES[i], "fill": fill, "seconds": 0.25, "whole": True} for i, fill in QUICK]
    return [
        {"cores": cores, "shape": shape, "fill": fill, "seconds": 1.2, "whole": True}
        for cores in (1, 2)
        for shape in SHAPES
        for fill in (FILLS if shape[0] > 1 else [None])
    ]


def memory_cases(quick):
    """One process a side, since a process's peak cannot be told apart by sides."""
    shapes = [(SHAPES[4], None)] if quick else [(shape, None) for shape in SHAPES] + LARGE
    return [
        {"cores": 1, "shape": shape, "fill": fill, "memory": side} for shape, fill in shapes for side in ("rnnzoo", "keras")
    ]


def measure(case):
    """One comparison: the milliseconds of each side's step, "bare" being its matrix products; or one side's memory.

    "rnnzoo" is the layer in the same compiled train step as "keras"; "one_timestep" is that train step over one timestep
    only, and so what it costs beside the recurrence; "rnnzoo_fit" is a step of `rnnzoo.fit`, where a whole epoch is
    compiled; "torch" is missing where PyTorch is not installed.
    """
    import keras
    from measure import import_torch, interleaved

    from rnnzoo.layers import SimpleRNN

    if "memory" in case:
        return memory({"rnnzoo": SimpleRNN, "keras": keras.layers.SimpleRNN}[case["memory"]], case["shape"], case["fill"])
    x, y, lengths = batch(case["shape"], case["fill"])
    units = case["shape"][3]
    sides = {
        "rnnzoo": keras_step(SimpleRNN, x, y, lengths, units),
        "keras": keras_step(keras.layers.SimpleRNN, x, y, lengths, units),
        "bare": bare_products(case["shape"]),
        "one_timestep": keras_step(partial(keras.layers.SimpleRNN, unroll=True), x[:, :1], y, None, units),
    }
    torch = import_torch()
    if torch:
        sides["torch"] = torch_step(torch, x, y, lengths, units)
    # An epoch of many steps where they are short.
    steps = 200 if x.size * units < 1e8 else 10
    if case["whole"]:
        sides["rnnzoo_fit"] = compiled_epoch(SimpleRNN, x, y, lengths, units, steps)
    figures = interleaved(sides, case["seconds"])
    if case["whole"]:
        figures["rnnzoo_fit"] = {name: round(value / steps, 4) for name, value in figures["rnnzoo_fit"].items()}
    return figures


def batch(shape, fill):
    """Random inputs (batch, timesteps, features), targets (batch, 1) and lengths (batch,), or `None` without a mask."""
    import numpy as np

    size, timesteps, features, _ = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size, timesteps, features)).astype("float32")
    y = rng.normal(size=(size, 1)).astype("float32")
    if fill is None:
        return x, y, None
    spread = timesteps * min(fill, 1 - fill)
    lengths = rng.uniform(timesteps * fill - spread, timesteps * fill + spread, size)
    return x, y, np.clip(np.round(lengths), 1, timesteps).astype(int)


def keras_model(layer, x, lengths, units):
    """The model, and its inputs: a mask beside the sequences where there are lengths."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    _, timesteps, features = x.shape
    inputs = keras.Input((timesteps, features))
    if lengths is None:
        model = keras.Model(inputs, keras.layers.Dense(1)(layer(units)(inputs)))
        data = x
    else:
        used = keras.Input((timesteps,), dtype="bool")
        model = keras.Model([inputs, used], keras.layers.Dense(1)(layer(units)(inputs, mask=used)))
        data = [x, np.arange(timesteps) < lengths[:, None]]
    model.compile("adam", "mse")
    return model, data


def keras_step(layer, x, y, lengths, units):
    """One call of the function that `model.fit` calls for each batch."""
    import keras
    import tensorflow as tf

    model, data = keras_model(layer, x, lengths, units)
    data = keras.tree.map_structure(tf.constant, (data, y))
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda data: model.train_step(data)["loss"])
    return lambda: step(data).numpy()


def compiled_epoch(layer, x, y, lengths, units, steps):
    """An epoch of `steps` steps through `rnnzoo.fit`."""
    import keras
    import numpy as np

    import rnnzoo

    model, data = keras_model(layer, x, lengths, units)
    data, y = keras.tree.map_structure(lambda array: np.concatenate([array] * steps), (data, y))
    return lambda: rnnzoo.fit(model, data, y, batch_size=len(x), verbose=0, shuffle=False)


def torch_step(torch, x, y, lengths, units):
    """The same train step in PyTorch."""
    rnn, readout = torch.nn.RNN(x.shape[2], units, batch_first=True), torch.nn.Linear(units, 1)
    optimizer = torch.optim.Adam([*rnn.parameters(), *readout.parameters()])
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    last = None if lengths is None else torch.from_numpy(lengths - 1)

    def step():
        optimizer.zero_grad()
        states, _ = rnn(x)
        state = states[:, -1] if last is None else states[torch.arange(len(x)), last]
        loss = torch.nn.functional.mse_loss(readout(state), y)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def bare_products(shape):
    """The matrix products of a step and nothing else, NumPy's: the input projection, each step there and back, the sums."""
    import numpy as np

    size, timesteps, features, units = shape
    rng = np.random.default_rng(0)
    x, z = (rng.normal(size=(timesteps * size, width)).astype("float32") for width in (features, units))
    kernel, recurrent = (rng.normal(size=(width, units)).astype("float32") for width in (features, units))
    states = list(z.reshape(timesteps, size, units))

    def products():
        x @ kernel
        for state in states:
            state @ recurrent
            state @ recurrent.T
        x.T @ z
        z.T @ z

    return products


def memory(layer, shape, fill):
    """MB of one side: the whole process's peak, and how far that is above what was there before the first step.

    TensorFlow keeps what it has freed, so a process's first steps show what all of them need.
    """
    x, y, lengths = batch(shape, fill)
    step = keras_step(layer, x, y, lengths, shape[3])
    before = status("VmRSS")
    for _ in range(3):
        step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak": round(peak, 1), "step": None if before is None else round(peak - before, 1)}


def status(key):
    """A figure of this process in MB; `None` where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024
