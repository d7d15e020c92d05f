"""What an export says of itself: which preset it is of, and what stands between raw input and tensors."""

import json

import keras
import tensorflow as tf

import rnnzoo
from rnnzoo.building import sha256


def about(predictor):
    """A dict of plain values: versions, the preset, its input with the vocabulary, its answer with the labels."""
    preset, task = predictor.preset, predictor.task
    return {
        "rnnzoo_version": rnnzoo.__version__,
        "keras_version": keras.__version__,
        "tensorflow_version": tf.__version__,
        "preset": preset.name,
        "description": preset.description,
        "architecture": preset.architecture,
        "task": preset.task,
        "task_options": preset.model_dump(mode="json")["task_options"],
        "input": {"class": type(task.input).__name__, **_plain(task.input), **_tokens(task.input)},
        "answer": {"class": type(task.answer).__name__, **_plain(task.answer), **_tokens(task.answer)},
    }


def write_json(path, value):
    """Writes plain values as a file that people can read, too."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def checksums(folder):
    """Every file in a folder -> its sha256."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def _plain(part):
    """The attributes of an input or an answer that are numbers, text or lists of them."""
    plain = (str, int, float, type(None))
    return {
        name: value
        for name, value in vars(part).items()
        if not name.startswith("_")
        and all(isinstance(one, plain) for one in (value if isinstance(value, list) else [value]))
    }


def _tokens(part):
    """What each token id stands for, where there are ids: nothing (padding), the alphabet, and the end where it has one."""
    alphabet = getattr(part, "alphabet", None)
    if alphabet is None or hasattr(part, "width"):  # bits are numbers, not ids
        return {}
    return {"tokens": ["", *alphabet] + [""] * bool(part.end_token)}
