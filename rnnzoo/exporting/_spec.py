"""What an export says of itself: everything between raw input and answer, in values that JSON has."""

import json

import keras
import tensorflow as tf

import rnnzoo
from rnnzoo.files import sha256
from rnnzoo.running._description import FILE, LAYOUT, digest
from rnnzoo.verifying._proof import FILE as PROOF


def describe(predictor, format):
    """What an export of a `Predictor` says of itself, beside what its format adds.

    Args:
        predictor: a `Predictor`.
        format: the format's name.

    Returns:
        A dict of `format`, `layout` (of this description), the versions that wrote it, `preset`, `architecture`,
        `description`, `task` and `task_options` (what rnnzoo makes the task of again), `input` and `answer` (the same in
        full, for programs that have no rnnzoo: `kind`, `name`, the alphabet or vocabulary, which begins at id 1, or labels,
        and what padding is), and `decoding`: what is fed first (`start_token`), the token after which nothing counts
        (`end_token`), and how many steps are taken at the most (`max_length`), or `None` where the model writes nothing.
    """
    preset, task, decoder = predictor.preset, predictor.task, predictor.serving.decoder
    keys = ("start_token", "end_token", "max_length")
    return {
        "format": format,
        "layout": LAYOUT,
        "rnnzoo_version": rnnzoo.__version__,
        "keras_version": keras.__version__,
        "tensorflow_version": tf.__version__,
        "preset": preset.name,
        "architecture": preset.architecture,
        "description": preset.description,
        "task": preset.task,
        "task_options": preset.model_dump(mode="json")["task_options"],
        "input": task.input.describe(),
        "answer": task.answer.describe(),
        "decoding": None if decoder is None else {key: getattr(decoder, key) for key in keys},
    }


def write_description(folder, description, proof=None, place="."):
    """Writes `rnnzoo.json` into an export's folder, with the size and the checksum of every other file in it.

    Beside it, `proof.json` says what the export must answer.

    Args:
        folder: where the files are.
        description: what `describe` gave, and more.
        proof: see `rnnzoo.verifying._proof.draw`; `None` for none.
        place: the description's folder, in `folder`.
    """
    if proof is not None:
        (folder / place / PROOF).write_text(json.dumps(proof, ensure_ascii=False) + "\n", encoding="utf-8")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / place / FILE)
    files = {path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in paths}
    whole = {**description, "files": files}
    text = json.dumps({**whole, "sha256": digest(json.loads(json.dumps(whole)))}, indent=2, ensure_ascii=False)
    (folder / place / FILE).write_text(f"{text}\n", encoding="utf-8")
