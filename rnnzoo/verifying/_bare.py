"""Runs an export as someone who has nothing else would: started as a program of its own, told what to run as JSON.

Of ONNX and LiteRT, a process in which NumPy, the runtime and what rnnzoo needs for `rnnzoo run` can be imported, and nothing
else: no TensorFlow, no Keras. Of a SavedModel, one in which rnnzoo cannot be. A `.keras` file needs rnnzoo's layers.

    python _bare.py JOB

JOB is a JSON file: `format`, `root` (where rnnzoo is found), and `exports`, a list of `path`, `inputs`, their `lengths`,
`raw` and, as one tensor, `raw_tensor`; the answer, a list of runs for each, is written to `result`. A run is a dict of
`scores` and `answers` (or, of a SavedModel, the `named` tensors that answers are made of), of which inputs where not
of all (`rows`, `asked`: those that are not too long), and `seconds`, the time (since the epoch) of the first answer.
"""

import importlib.abc
import json
import sys
import time

# What may be imported beside the standard library: the runtimes and what they themselves need.
ALLOWED = {
    "onnx": {"rnnzoo", "numpy", "onnxruntime", "flatbuffers", "google", "packaging", "sympy", "mpmath"},
    "litert": {"rnnzoo", "numpy", "ai_edge_litert", "flatbuffers", "google", "tqdm", "backports", "typing_extensions"},
}
FORBIDDEN = {"saved-model": {"rnnzoo"}, "keras": set()}


class Bare(importlib.abc.MetaPathFinder):
    """Finds nothing, and says so, where a module may not be imported."""

    def __init__(self, format):
        self._allowed, self._forbidden = ALLOWED.get(format), FORBIDDEN.get(format, set())

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in sys.stdlib_module_names or top.startswith("_") or self._allowed is None or top in self._allowed
        if not known or top in self._forbidden:
            raise ModuleNotFoundError(f"No module named '{name}': not in a bare process", name=name)


def main(job):
    """Runs a job, and returns a list of what each export gave."""
    format = job["format"]
    sys.path[:] = [*sys.path[1:], job["root"]]  # not the folder of this file, whose modules are no top-level ones
    sys.meta_path.insert(0, Bare(format))
    ask = {"saved-model": saved_model, "keras": keras_model}.get(format, runner)
    return [ask(one) for one in job["exports"]]


def runner(job):
    """An ONNX or LiteRT export: at once, and one timestep at a time where it can be."""
    import numpy as np

    from rnnzoo.running import _tensors, load

    runs = []
    for by_steps in (False, True):
        one = load(job["path"], by_steps=by_steps)
        most, steps = one.timesteps or sys.maxsize, [one.task.input.steps(one.task.input.check(raw)) for raw in job["raw"]]
        asked, rows = ([i for i, n in enumerate(lengths) if n <= most] for lengths in (steps, job["lengths"]))
        answers = one.predict([job["raw"][i] for i in asked])
        seconds = time.time()
        scores = one.run(np.array(job["inputs"], _tensors.dtype(one.description["input"]))[rows])[1]
        found = {"scores": scores.tolist(), "answers": answers, "seconds": seconds}
        runs.append({**found, "asked": asked, "rows": rows})
        if "step" not in one.models or "model" not in one.models:
            break
    return runs


def saved_model(job):
    """A SavedModel, by its signatures alone."""
    import tensorflow as tf

    signatures = tf.saved_model.load(job["path"]).signatures
    ((name, spec),) = signatures["serving_default"].structured_input_signature[1].items()
    named = signatures["serving_default"](**{name: tf.constant(job["raw_tensor"], spec.dtype)})
    named = {key: _plain(tensor.numpy().tolist()) for key, tensor in named.items()}
    seconds = time.time()
    ((name, spec),) = signatures["scores"].structured_input_signature[1].items()
    inputs = tf.constant(job["inputs"], spec.dtype)
    scores = signatures["scores"](**{name: inputs})["scores"].numpy()
    runs = [{"scores": scores.tolist(), "named": named, "seconds": seconds}]
    if "step" in signatures and "start" not in signatures:
        runs.append({"scores": _stepped(signatures["step"], inputs, job["lengths"], scores.ndim), "named": named})
    return runs


def _stepped(step, inputs, lengths, rank):
    """The outputs of one timestep after the other: those of the last one that counts where there is one for each input."""
    import numpy as np
    import tensorflow as tf

    specs = step.structured_input_signature[1]
    rows = []
    for i, length in enumerate(lengths):
        states = {name: tf.zeros([1, *spec.shape[1:]]) for name, spec in specs.items() if name != "inputs"}
        row = np.zeros((inputs.shape[1], step.structured_outputs["outputs"].shape[-1]), np.float32)
        for t in range(length):
            states = dict(step(inputs=inputs[i : i + 1, t], **states))
            row[t] = states.pop("outputs")[0]
        rows.append(row.tolist() if rank == 3 else row[length - 1].tolist())
    return rows


def keras_model(job):
    """A `.keras` file and its description, with rnnzoo."""
    import keras
    import tensorflow as tf

    import rnnzoo.layers  # noqa: F401  whose classes the file names
    from rnnzoo.running import _tensors
    from rnnzoo.running._description import read, task_of
    from rnnzoo.serving import Serving

    model = keras.saving.load_model(f"{job['path']}/model.keras")
    task = task_of(read(job["path"]), job["path"])
    serving = Serving(model, task)
    named = serving.answers(task.input.tensor([task.input.check(one) for one in job["raw"]]))
    answers = task.answer.answers({key: tensor.numpy() for key, tensor in named.items()})
    seconds = time.time()
    scores = serving.scores_of(tf.constant(job["inputs"], _tensors.dtype(task.input.describe()))).numpy()
    return [{"scores": scores.tolist(), "answers": answers, "seconds": seconds}]


def _plain(value):
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    found = main(told)
    with open(told["result"], "w", encoding="utf-8") as file:
        json.dump(found, file)
