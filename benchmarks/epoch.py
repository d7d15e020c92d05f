"""An epoch of training: rnnzoo's compiled one against Keras's `fit` with its stock layer, and a PyTorch loop.

"digits" is the case of a small model on small data, 10,000 strings of four digits; "addition" is what `rnnzoo train
addition` runs, against the same model with stock layers and the same recipe through `model.fit`. Each side is compiled and
warmed up before it is measured; how long that took is told beside.
"""

import statistics
import time

# What was asked for: stock Keras over rnnzoo, PyTorch over rnnzoo.
BARS = {"digits": (10, 3.5), "addition": (2.5, None)}
EXAMPLES, DIGITS, ALPHABET, UNITS, BATCH = 10_000, 4, 12, 128, 32


def cases(quick):
    """The comparisons, each for `measure.in_own_process("epoch", case)`."""
    if quick:
        return [{"name": "digits", "cores": 1, "epochs": 5}]
    return [{"name": name, "cores": cores, "epochs": 15} for cores in (1, 2) for name in ("digits", "addition")]


def measure(case):
    """One comparison.

    Returns:
        A dict: for "rnnzoo", "keras" and "torch" the milliseconds of an epoch (median, quartiles `low` and `high`) and the
        seconds of the first one, in which it is compiled; "torch" is `None` where it is not installed; and "keras_ratio" and
        "torch_ratio", what the others take over what rnnzoo takes.
    """
    sides = {"digits": digits, "addition": addition}[case["name"]]()
    first = {name: seconds(side) for name, side in sides.items()}
    taken = {name: [] for name in sides}
    for _ in range(case["epochs"]):
        # In turns: what else the machine does meets all sides alike.
        for name, side in sides.items():
            taken[name].append(seconds(side) * 1e3)
    figures = {name: {**summary(taken[name]), "first_seconds": round(first[name], 2)} for name in sides}
    median = {name: figure["median"] for name, figure in figures.items()}
    ratios = {
        f"{name}_ratio": round(median[name] / median["rnnzoo"], 2) if name in median else None for name in ("keras", "torch")
    }
    return {"torch": None, **figures, **ratios, "epochs": case["epochs"]}


def seconds(function):
    """How long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def summary(times):
    """Median and quartiles."""
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return {"median": round(median, 2), "low": round(low, 2), "high": round(high, 2)}


def digits():
    """name -> a function that trains one epoch of one-hot digit strings (10000, 4, 12) -> their sums (10000, 1)."""
    import keras
    import numpy as np
    from measure import import_torch

    import rnnzoo
    from rnnzoo.layers import SimpleRNN

    keras.utils.set_random_seed(0)
    strings = np.random.default_rng(0).integers(0, 10, (EXAMPLES, DIGITS))
    x, y = np.eye(ALPHABET, dtype="float32")[strings], strings.sum(axis=1, keepdims=True).astype("float32")

    def model(layer):
        inputs = keras.Input((DIGITS, ALPHABET))
        made = keras.Model(inputs, keras.layers.Dense(1)(layer(UNITS)(inputs)))
        made.compile("adam", "mse")
        return made

    ours, stock = model(SimpleRNN), model(keras.layers.SimpleRNN)
    sides = {
        "rnnzoo": lambda: rnnzoo.fit(ours, x, y, batch_size=BATCH, verbose=0),
        "keras": lambda: stock.fit(x, y, batch_size=BATCH, verbose=0),
    }
    torch = import_torch()
    return sides if torch is None else {**sides, "torch": torch_digits(torch, x, y)}


def torch_digits(torch, x, y):
    """The same in PyTorch: batches by index from a permutation of tensors in memory, fused Adam."""
    rnn, readout = torch.nn.RNN(ALPHABET, UNITS, batch_first=True), torch.nn.Linear(UNITS, 1)
    optimizer = torch.optim.Adam([*rnn.parameters(), *readout.parameters()], fused=True)
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def epoch():
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            states, _ = rnn(x[batch])
            torch.nn.functional.mse_loss(readout(states[:, -1]), y[batch]).backward()
            optimizer.step()

    return epoch


def addition():
    """name -> a function that trains one epoch of the preset `addition`."""
    import keras
    import numpy as np

    import rnnzoo
    from rnnzoo.architectures import _parts, encoder_decoder
    from rnnzoo.building import build, create_task
    from rnnzoo.recipes import prepare

    preset = rnnzoo.load_preset("addition")
    task = create_task(preset)
    training = task.train()
    epochs = prepare(preset, build(preset, seed=0), task, training)

    # The same factory with Keras's own layer in its place.
    own = _parts.SimpleRNN
    for module in (_parts, encoder_decoder):
        if hasattr(module, "SimpleRNN"):
            module.SimpleRNN = keras.layers.SimpleRNN
    try:
        recipe = prepare(preset, build(preset, seed=0), task, training)
    finally:
        for module in (_parts, encoder_decoder):
            if hasattr(module, "SimpleRNN"):
                module.SimpleRNN = own
    stock = recipe.model
    kinds = {type(layer) for layer in stock._flatten_layers() if isinstance(layer, keras.layers.SimpleRNN)}
    assert kinds == {keras.layers.SimpleRNN}, kinds
    stock.compile(recipe.optimizer, recipe.loss)
    inputs, targets, weights = keras.tree.map_structure(lambda tensor: tensor.numpy(), recipe.data)
    rng = np.random.default_rng(0)
    return {
        "rnnzoo": lambda: epochs.run(rng.permutation(epochs.examples)),
        "keras": lambda: stock.fit(inputs, targets, sample_weight=weights, batch_size=preset.training.batch_size, verbose=0),
    }
