"""Exports, asked in processes of their own, against the proof that is with them."""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import rnnzoo
from rnnzoo.errors import ExportError, InputError
from rnnzoo.running import _description, _litert, _onnx, _tensors
from rnnzoo.strangers import check_model, check_saved_model
from rnnzoo.verifying import _bare
from rnnzoo.verifying._proof import FILE, Difference, arrays, compare, limit, read_proof

EXTRA = "assets.extra"  # where a SavedModel has what TensorFlow does not read


class Export(NamedTuple):
    """An export that was found and whose files are whole.

    Attributes:
        path: where what runs it finds it: a folder (of a SavedModel that of its version), or a file.
        description: what it says of itself.
        proof: what it must give; `None` where there is none with it.
    """

    path: Path
    description: dict
    proof: dict | None


class Checked(NamedTuple):
    """What became of an export that was asked.

    Attributes:
        export: the `Export`.
        difference: the `Difference`, the largest where it was asked in several ways.
        start_up: seconds from the start of a process to its first answer.
    """

    export: Export
    difference: Difference
    start_up: float

    @property
    def wrong(self):
        """What is wrong with it, in words, or `None`."""
        most, name = limit(self.export.description), self.export.description["preset"]
        where = f"{name} as {self.export.description['format']}"
        if most is not None and not self.difference.largest <= most:
            return f"{where} gives other numbers: off by {self.difference.largest:.1e} relative, over {most:g}"
        if self.difference.different and most is not None:
            raw, answer, expected = self.difference.different[0]
            return f"{where} answers {raw!r} with {answer!r}; expected {expected!r}"
        return None


def find(path):
    """The `Export` at a path, or `None` if there is none.

    Args:
        path: a folder that `export` wrote, or a SavedModel's version folder, or a `.onnx` or `.tflite` file.

    Raises:
        InputError: it is truncated or altered; it says which file.
        MissingExtraError: a file is of a format whose runtime is not installed.
    """
    if path.is_file() and path.suffix == ".onnx":
        description, models = _onnx.open_file(path)
        proof = models["model"].metadata.get("rnnzoo_proof")
        return Export(path, description, None if proof is None else read_proof(proof, path))
    if path.is_file() and path.suffix == ".tflite":
        description, files = _litert.read_file(path)
        return Export(path, description, read_proof(files[FILE], path) if FILE in files else None)
    for folder, place in ((path, "."), (path, EXTRA), (path / "1", EXTRA)):
        if (folder / place / _description.FILE).is_file():
            proof = folder / place / FILE
            description = _description.read(folder, place)
            return Export(folder, description, read_proof(proof.read_bytes(), proof) if proof.is_file() else None)
    return None


def check(exports):
    """Asks exports in bare processes, one for each format, what is in their proofs.

    Args:
        exports: `Export`s, each with a proof.

    Yields:
        A `Checked` for each.

    Raises:
        ExportError: an export cannot be run; it says why.
    """
    for format in dict.fromkeys(one.description["format"] for one in exports):
        some = [one for one in exports if one.description["format"] == format]
        started = time.time()
        for one, runs in zip(some, _ask(format, some), strict=True):
            differences = [compare(one.proof, one.description, run, _answers(one, run)) for run in runs]
            worst = max(differences, key=lambda found: (len(found.different), found.largest))
            worst = worst._replace(largest=max(found.largest for found in differences))
            yield Checked(one, worst, runs[0]["seconds"] - started)


def _answers(export, run):
    """The answers of a run; of a SavedModel's tensors, the task makes them."""
    if "answers" in run:
        return run["answers"]
    answer = _description.task_of(export.description, export.path).answer
    return answer.answers(_tensors.named(export.description["answer"], run["named"]))


def _ask(format, exports):
    """What `_bare` makes of exports of one format."""
    jobs = []
    for one in exports:
        if format == "saved-model":
            check_saved_model(one.path)
        elif format == "keras":
            check_model(one.path / "model.keras")
        inputs, _ = arrays(one.proof, one.description)
        used, about = _tensors.used(one.description["input"], inputs), one.description["input"]
        task = _description.task_of(one.description, one.path)
        raw_tensor = _tensors.raw(about, [task.input.check(raw) for raw in one.proof["raw"]])
        jobs.append(
            {
                "path": str(one.path),
                "inputs": one.proof["inputs"],
                "lengths": [1] * len(inputs) if used is None else used.sum(axis=1).tolist(),
                "raw": one.proof["raw"],
                "raw_tensor": one.proof["raw"] if raw_tensor is None else raw_tensor.tolist(),
            }
        )
    root = str(Path(rnnzoo.__file__).parent.parent)
    with TemporaryDirectory() as folder:
        job, result = Path(folder) / "job.json", Path(folder) / "result.json"
        job.write_text(json.dumps({"format": format, "root": root, "exports": jobs, "result": str(result)}))
        command = [sys.executable, "-I", _bare.__file__, str(job)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["it ended without a word"]
            names = ", ".join(one.description["preset"] for one in exports)
            raise ExportError(f"{names} as {format} cannot be run in a process of its own: {lines[-1]}")
        return json.loads(result.read_text())


def require_proof(export):
    """Raises `InputError` where an export has no proof with it."""
    if export.proof is None:
        raise InputError(f"{export.path}: has no {FILE} with it, which says what it must answer; export again")
