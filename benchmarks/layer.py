"""The recurrent layer against stock Keras, and PyTorch where it is installed: whole train steps on pinned cores.

    python benchmarks/layer.py                 # one core, then two; about ten minutes
    python benchmarks/layer.py --quick         # one core, a fifth of the time
    python benchmarks/layer.py -o table.md     # the table into a file

A step is forward, backward and Adam on one batch, `train_on_batch` with Keras's defaults; each figure is the median over
interleaved runs, in milliseconds, and each ratio is what the other side takes over what rnnzoo takes. "Fill" is the share
of timesteps that the mask uses, right-padded.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

SHAPES = [(32, 4, 12, 128), (64, 32, 32, 64), (64, 100, 64, 128), (64, 256, 128, 256), (32, 784, 1, 100), (1, 100, 64, 128)]
FILLS = [None, 0.75, 0.25]


def main():
    """Parses the command line; each comparison runs in a process of its own that is pinned before TensorFlow starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one core, a fifth of the time")
    parser.add_argument("-o", "--output", type=Path, help="write the table there instead of to standard output")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # CORES,SHAPE,FILL,SECONDS: one comparison, in this process
    arguments = parser.parse_args()
    if arguments.case:
        compare(*(None if part == "None" else float(part) for part in arguments.case.split(",")))
        return
    lines = [f"{platform.machine()}, {processor()}, Python {platform.python_version()}, {versions()}", ""]
    lines += ["| cores | batch, timesteps, features, units | fill | rnnzoo ms | Keras ms | ratio | PyTorch ms | ratio |"]
    lines += [f"|{' --- |' * 9}"]
    for cores in (1,) if arguments.quick else (1, 2):
        for shape in range(len(SHAPES)):
            for fill in FILLS if SHAPES[shape][0] > 1 else [None]:
                case = f"{cores},{shape},{fill},{0.4 if arguments.quick else 2}"
                command = [sys.executable, __file__, "--case", case]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                lines.append(done.stdout.strip().splitlines()[-1])
                print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text)


def compare(cores, shape, fill, seconds):
    """Prints one row of the table."""
    cores, shape = int(cores), SHAPES[int(shape)]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", OMP_NUM_THREADS=str(cores))
    import keras
    import numpy as np
    import tensorflow as tf

    from rnnzoo.layers import SimpleRNN

    tf.config.threading.set_intra_op_parallelism_threads(cores)
    tf.config.threading.set_inter_op_parallelism_threads(cores)
    batch, timesteps, features, units = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, timesteps, features)).astype("float32")
    y = rng.normal(size=(batch, 1)).astype("float32")
    # Uniform lengths around the mean that gives the fill.
    spread = timesteps * min(fill or 1, 1 - (fill or 1))
    lengths = rng.uniform(timesteps * (fill or 1) - spread, timesteps * (fill or 1) + spread, batch)
    lengths = np.clip(np.round(lengths), 1, timesteps).astype(int)
    mask = np.arange(timesteps) < lengths[:, None]

    def keras_step(layer):
        inputs = keras.Input((timesteps, features)), keras.Input((timesteps,), dtype="bool")
        hidden = layer(units)(inputs[0], mask=inputs[1] if fill else None)
        model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
        model.compile("adam", "mse")
        data = [tf.constant(x), tf.constant(mask)], tf.constant(y)
        return lambda: model.train_on_batch(*data)

    steps = {"rnnzoo": keras_step(SimpleRNN), "keras": keras_step(keras.layers.SimpleRNN)}
    torch_step = make_torch_step(x, y, lengths if fill else None, units, cores)
    if torch_step:
        steps["torch"] = torch_step
    figures = medians(steps, seconds)
    cells = [cores, ", ".join(map(str, shape)), "no mask" if fill is None else f"{fill:.0%}", f"{figures['rnnzoo']:.2f}"]
    for other in ("keras", "torch"):
        known = other in figures
        cells += [f"{figures[other]:.2f}", f"{figures[other] / figures['rnnzoo']:.2f}"] if known else ["not installed", ""]
    print(f"| {' | '.join(map(str, cells))} |")


def make_torch_step(x, y, lengths, units, cores):
    """The same train step in PyTorch: padded, the last valid state gathered; `None` where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(cores)
    rnn, readout = torch.nn.RNN(x.shape[2], units, batch_first=True), torch.nn.Linear(units, 1)
    parameters = [*rnn.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    last = None if lengths is None else torch.from_numpy(lengths - 1)

    def step():
        optimizer.zero_grad()
        states, _ = rnn(x)
        state = states[:, -1] if last is None else states[torch.arange(len(x)), last]
        loss = torch.nn.functional.mse_loss(readout(state), y)
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def medians(steps, seconds):
    """Each step's median time in ms, the steps taking turns."""
    taken = {name: [] for name in steps}
    for step in steps.values():
        step(), step()
    end = time.perf_counter() + seconds * len(steps)
    while time.perf_counter() < end or min(map(len, taken.values())) < 5:
        # In turns that are reversed every time: what runs before it leaves its traces in the caches.
        steps = dict(reversed(steps.items()))
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - begin)
    return {name: sorted(times)[len(times) // 2] * 1e3 for name, times in taken.items()}


def processor():
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def versions():
    """The versions that are compared."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in ("rnnzoo", "keras", "tensorflow", "torch"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


if __name__ == "__main__":
    main()
