"""What an export says of itself: everything between raw input and answer, in values that JSON has."""

import hashlib
import json

import rnnzoo
from rnnzoo.running._description import FILE, FORMAT, digest


def describe(predictor, decoder=None):
    """What an export of a `Predictor` says of itself, beside what its format adds.

    Args:
        predictor: a `Predictor`.
        decoder: its `Decoder` where it writes its answer.

    Returns:
        A dict of `format`, `rnnzoo_version`, `preset`, `architecture`, `description`, `task` and `task_options` (what
        rnnzoo makes the task of again), `input` and `answer` (the same in full, for programs that have no rnnzoo: `kind`,
        `name`, the alphabet, which begins at id 1, or labels, and what padding is), and `decoding`: what is fed first
        (`start_token`), the token after which nothing counts (`end_token`), and how many steps are taken at the most
        (`max_length`), or `None` where the model writes nothing.
    """
    preset, task = predictor.preset, predictor.task
    keys = ("start_token", "end_token", "max_length")
    return {
        "format": FORMAT,
        "rnnzoo_version": rnnzoo.__version__,
        "preset": preset.name,
        "architecture": preset.architecture,
        "description": preset.description,
        "task": preset.task,
        "task_options": preset.task_options,
        "input": task.input.describe(),
        "answer": task.answer.describe(),
        "decoding": None if decoder is None else {key: getattr(decoder, key) for key in keys},
    }


def write_description(folder, description, models):
    """Writes `rnnzoo.json` beside an export's models.

    Args:
        folder: where they are.
        description: what `describe` gave.
        models: role (`model`: whole sequences; `step`: one timestep; `start`: the states to begin with) -> a dict of
            `file`, `inputs` and `outputs`, the two of name -> `shape` and `dtype`.
    """
    files = {model["file"]: {"sha256": _sha256(folder / model["file"])} for model in models.values()}
    whole = {**description, "models": models, "files": files}
    text = json.dumps({**whole, "sha256": digest(json.loads(json.dumps(whole)))}, indent=2, ensure_ascii=False)
    (folder / FILE).write_text(f"{text}\n", encoding="utf-8")


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
