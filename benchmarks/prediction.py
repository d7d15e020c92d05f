"""Prediction: a single sample again and again, text written step by step, and many lines from a file.

`cases` lists what is measured; `measure` measures one case, in a process of its own where `measure.in_own_process` calls it.

- single: milliseconds for one text of 100 digits at (1, 100, 64, 128), batch, timesteps, features and units: `zoo.predict`,
  `keras.Model.predict` on the same token ids, and where they are installed PyTorch and ONNX Runtime on the same ids. rnnzoo
  alone begins at the text.
- generation: milliseconds a step costs around step 10 and around step 10,000, from the difference between two lengths.
- stream: `rnnzoo predict PRESET FILE` over ragged digit strings of 1 to 100 digits: seconds and peak memory, start included.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure as shared

# What was asked for of a single sample: `keras.Model.predict` over rnnzoo, PyTorch over rnnzoo.
BARS = {"keras": 20, "torch": 1.5, "onnx": None}
UNITS, FEATURES, TIMESTEPS = 128, 64, 100
# So many predictions in a row are one measurement: what is asked for is a prediction after another.
REPEATS = 10
# The command, and what Linux says of its own memory: what `resource` says includes the process that started it.
COMMAND = """import sys
from pathlib import Path
from rnnzoo.cli.main import cli
cli(["predict", "digit-sum", sys.argv[1]], standalone_mode=False)
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line), file=sys.stderr)"""


def cases(quick):
    """The dicts that `measure` takes; fewer and shorter where it is to be quick."""
    if quick:
        return [{"kind": "single", "cores": 1, "seconds": 0.5}, {"kind": "stream", "cores": 1, "lines": 20_000}]
    return [
        {"kind": kind, "cores": cores, "seconds": 4, "lines": 100_000}
        for cores in (1, 2)
        for kind in ("single", "generation", "stream")
    ]


def measure(case):
    """The figures of one case, a dict that JSON can hold."""
    return {"single": single, "generation": generation, "stream": stream}[case["kind"]](case)


def single(case):
    """Interleaved medians and quartiles in milliseconds; `None` for what is not installed."""
    import numpy as np

    from rnnzoo.building import build, create_task
    from rnnzoo.predicting import Predictor
    from rnnzoo.registry import load_preset, override

    sizes = [f"model.embedding={FEATURES}", f"model.units={UNITS}", "model.activation=tanh", "model.use_bias=true"]
    preset = override(load_preset("digit-sum"), sizes)
    zoo = Predictor(build(preset, seed=0), preset, create_task(preset))
    text = "1234567890" * (TIMESTEPS // 10)
    ids = zoo.task.input.front(zoo.task.input.tensor([text])).numpy()
    steps = {
        "rnnzoo": lambda: zoo.predict([text]),
        "keras": lambda: zoo.model.predict(ids, verbose=0),
        "torch": torch_step(ids.astype(np.int64)),
        "onnx": onnx_step(zoo.model, ids, case["cores"]),
    }
    begin = time.perf_counter()
    for _ in range(3):  # the third call in a row compiles
        zoo.predict([text])
    first = round(time.perf_counter() - begin, 3)
    timed = shared.interleaved({name: repeated(step) for name, step in steps.items() if step}, case["seconds"], least=10)
    figures = dict.fromkeys(steps)
    for name, times in timed.items():
        figures[name] = {key: round(value / REPEATS, 4) for key, value in times.items()}
    return {
        **figures,
        "first_three_seconds": first,
        "times_keras": ratio(figures, "keras"),
        "times_torch": ratio(figures, "torch"),
        "times_onnx": ratio(figures, "onnx"),
    }


def repeated(step):
    """The step `REPEATS` times over."""
    return lambda: [step() for _ in range(REPEATS)]


def ratio(figures, other):
    """How many times as long the other takes; `None` where it was not measured."""
    return figures[other] and round(figures[other]["median"] / figures["rnnzoo"]["median"], 2)


def torch_step(ids):
    """Embedding, recurrence and readout of the same sizes in PyTorch, from ids that are a tensor already."""
    torch = shared.import_torch()
    if not torch:
        return None
    embedding, rnn = torch.nn.Embedding(11, FEATURES, padding_idx=0), torch.nn.RNN(FEATURES, UNITS, batch_first=True)
    readout, ids = torch.nn.Linear(UNITS, 1), torch.from_numpy(ids)

    def step():
        with torch.no_grad():
            return readout(rnn(embedding(ids))[1][0]).round().tolist()

    return step


def onnx_step(model, ids, cores):
    """The same model in ONNX Runtime, where it and tf2onnx are installed."""
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError:
        return None
    model(ids)  # Keras exports to ONNX what has been called
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        model.export(path, format="onnx", verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = cores
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: ids})[0].round().tolist()


def generation(case):
    """Milliseconds a step, of a model that writes tokens and of one that writes vectors."""
    import tensorflow as tf

    import rnnzoo

    return {
        "tokens": per_step(
            rnnzoo.encoder_decoder(vocabulary_size=11, outputs=11, units=UNITS), tf.ones([1, 10], tf.int32), 1, case
        ),
        "vectors": per_step(
            rnnzoo.one_to_many(features=FEATURES, outputs=FEATURES, timesteps=10, units=UNITS),
            tf.zeros([1, FEATURES]),
            0,
            case,
        ),
    }


def per_step(model, inputs, start_token, case):
    """What a step costs around step 10 and around step 10,000: longer and shorter runs, less what they have in common."""
    import tensorflow as tf

    from rnnzoo.decoding import Decoder

    def run(steps):
        function = tf.function(Decoder(model, max_length=steps, start_token=start_token), autograph=False)
        return lambda: function(inputs)[0].numpy()

    costs = {}
    for step, (low, high) in {10: (1, 20), 10_000: (7_500, 12_500)}.items():
        times = shared.interleaved({low: run(low), high: run(high)}, case["seconds"])
        costs[step] = (times[high]["median"] - times[low]["median"]) / (high - low)
    return {
        "ms_at_step_10": round(costs[10], 5),
        "ms_at_step_10000": round(costs[10_000], 5),
        "ratio": round(costs[10_000] / costs[10], 3),
    }


def stream(case):
    """The whole command, in a process of its own, once for a tenth of the lines and once for all of them."""
    figures = {}
    for lines in (case["lines"] // 10, case["lines"]):
        draw = random.Random(0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lines.txt"
            path.write_text("".join(f"{draw.randrange(10 ** draw.randint(1, 100))}\n" for _ in range(lines)))
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", COMMAND, str(path)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            seconds = time.perf_counter() - begin
        peak = int(done.stderr.split()[-2]) // 1024
        figures = {
            "lines": lines,
            "seconds": round(seconds, 2),
            "lines_per_second": round(lines / seconds),
            "peak_mib": peak,
            **({"a_tenth_of_the_lines": figures} if figures else {}),
        }
    return figures
