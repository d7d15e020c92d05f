"""The fronts and backs of the tasks in NumPy: raw input to arrays, arrays to answers, from a task's description."""

import numpy as np

from rnnzoo.tasks._notes import can_sound
from rnnzoo.tasks._pairs import pair_table
from rnnzoo.tasks._tokens import features, rows_of, tokens
from rnnzoo.tasks._vectors import filled_up
from rnnzoo.tasks._words import words

# Kinds of inputs that become token ids, padded with 0.
_TOKENS = ("text", "words", "pairs", "tokens")


def front(about, checked):
    """What a model is given for checked inputs.

    Args:
        about: the input's description.
        checked: a list of what the input's `check` returned.

    Returns:
        int32 token ids (batch, timesteps), or bags of them (batch, timesteps, bag), right-padded with 0; or float32 vectors,
        (batch, width) or (batch, timesteps, width), right-padded with `padding` where there is one.
    """
    return _FRONTS[about["kind"]](about, checked)


def raw(about, checked):
    """Checked inputs as a SavedModel takes them: vectors or pictures as one padded array; `None` of any others."""
    if about["kind"] == "images":
        return filled_up(checked, checked[0].shape[1:], 0, np.uint8)
    return _vectors(about, checked) if about["kind"] in ("vectors", "movement", "notes") else None


def dtype(about):
    """Of what `front` makes: int32 of token ids, float32 of vectors."""
    return np.dtype(np.int32 if about["kind"] in _TOKENS else np.float32)


def timed(about):
    """Whether what `front` makes has timesteps."""
    return about["kind"] in _TOKENS or bool(about.get("sequence"))


def used(about, inputs):
    """(batch, timesteps) bool: which timesteps of what `front` made are no padding; `None` where there are no timesteps."""
    if not timed(about):
        return None
    if about["kind"] in _TOKENS:
        return inputs != 0 if inputs.ndim == 2 else (inputs != 0).any(axis=-1)
    if about["padding"] is None:
        return np.ones(inputs.shape[:2], bool)
    return (inputs != np.float32(about["padding"])).any(axis=-1)


def filled(about, inputs, timesteps):
    """(batch, timesteps, ...) of what `front` made -> the same with so many timesteps, those that are new being padding."""
    new = [(0, 0), (0, timesteps - inputs.shape[1]), *[(0, 0)] * (inputs.ndim - 2)]
    return np.pad(inputs, new, constant_values=inputs.dtype.type(about["padding"] or 0))


def _ids(about, texts):
    alphabet, end = about["alphabet"], about["end_token"]
    # Code point -> token id; the last entry stands for all larger ones, which only a text of any characters has.
    table = np.full(max(map(ord, alphabet)) + 2, about.get("unknown", 0), np.int32)
    table[[ord(character) for character in alphabet]] = range(1, len(alphabet) + 1)
    ids = np.zeros((len(texts), max(map(len, texts), default=0) + end), np.int32)
    for row, text in zip(ids, texts, strict=True):
        points = np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), len(table) - 1)
        row[: len(points)] = table[points[::-1] if about["reverse"] else points]
        if end:
            row[len(points)] = about["vocabulary_size"] - 1
    return ids


def _pairs(about, texts):
    ids = _ids(about, texts)
    table = pair_table(about["alphabet"], about["pairs"])
    return np.stack([ids, table[np.pad(ids[:, :-1], [(0, 0), (1, 0)]), ids]], axis=-1)


def _word_ids(about, texts):
    known = {word: i for i, word in enumerate(about["vocabulary"], 1)}
    rows = [[known.get(word, about["unknown"]) for word in words(text)] for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows), default=0)), np.int32)
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = found
    return ids


def _bags(about, texts):
    known, found = rows_of(about), {}

    def bag(token):
        if token not in found:
            found[token] = [row.get(text, 0) for row, text in zip(known, features(token), strict=True)]
            found[token][0] = found[token][0] or about["unknown"]
        return found[token]

    rows = [[bag(token) for token in tokens(text, about["apart"])] for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows), default=0), len(known)), np.int32)
    for row, bags in zip(ids, rows, strict=True):
        row[: len(bags)] = bags
    return ids


def _bits(about, texts):
    flat = np.frombuffer("".join(texts).encode(), np.uint8) - ord("0")
    return flat.reshape(len(texts), about["width"]).astype(np.float32)


def _digits(about, numbers):
    powers = 10 ** np.arange(about["digits"])[::-1]
    digits = np.array(numbers, np.int64)[:, None] // powers % 10  # (batch, digits)
    return np.eye(10, dtype=np.float32)[digits].reshape(len(numbers), 10 * about["digits"])


def _constant(about, words):
    return np.ones((len(words), 1), np.float32)


def _vectors(about, vectors):
    if about["padding"] is None or not about["sequence"]:
        return np.array(vectors, np.float32).reshape(len(vectors), *[-1] * about["sequence"], about["width"])
    return filled_up(vectors, [about["width"]], about["padding"])


def _features(about, movements):
    return filled_up([_features_of(about, one) for one in movements], [about["features"]], about["padding"])


def _features_of(about, frames):
    """(timesteps, width) positions of points -> (timesteps, features): where they are, how they move, and how fast."""
    timesteps, width = len(frames), about["smoothing"]
    points = frames.astype(np.float64).reshape(timesteps, -1, 3)
    spine = points[:, about["spine"]]
    distance = max(np.linalg.norm((points[:, about["head"]] - spine)[:, :2], axis=-1).sum() / timesteps, 1e-6)
    places = (points[:, about["moving"]] - spine[:, None]) / [distance, distance, about["depth"]]  # (timesteps, points, 3)

    def at(values, k):
        return values[np.clip(np.arange(timesteps) + k, 0, timesteps - 1)]

    mean = sum(at(places, k) for k in range(-width, width + 1)) / (2 * width + 1)
    velocities = (at(mean, 1) - at(mean, -1)) / 2
    speeds = np.log(np.linalg.norm(velocities, axis=-1) + about["slow"])
    features = np.concatenate([places.reshape(timesteps, -1), velocities.reshape(timesteps, -1), speeds], axis=-1)
    features = (features - np.array(about["offsets"])) / np.array(about["scales"])
    limit, grid = about["limit"], about["grid"]
    return (np.round(np.clip(features, -limit, limit) * grid) / grid).astype(np.float32)


def _images(about, images):
    levels = np.array(images, np.uint8).reshape(len(images), *about["shape"])
    return levels.astype(np.float32) * np.float32(1 / 255)


def _image_sequences(about, sequences):
    return filled_up([_images(about, pictures) for pictures in sequences], about["shape"], about["padding"])


def named(about, values):
    """Named answers as nested lists, texts as strings -> the same as the answer's `answers` takes them."""
    if about["kind"] in ("text", "characters"):
        return {name: np.array([text.encode() for text in texts], object) for name, texts in values.items()}
    return {name: np.array(value) for name, value in values.items()}


def back(about, outputs, inputs):
    """Named answers, as the answer's `answers` takes them.

    Args:
        about: the answer's description.
        outputs: (batch, ...) what the model gave: its outputs, or the token ids that it wrote.
        inputs: what `front` made.

    Returns:
        A dict of NumPy arrays.
    """
    name, kind = about["name"], about["kind"]
    if kind == "number":
        return {name: np.round(outputs[:, 0]).astype(np.int64)}
    if kind == "label":
        return {name: np.array(about["labels"])[outputs.argmax(axis=-1)]}
    if kind == "labels":
        used = np.ones(outputs.shape[:2], bool)
        if about["padding"] is not None:
            used = inputs != inputs.dtype.type(about["padding"])
            used = used if inputs.ndim == 2 else used.any(axis=-1)
        return {name: np.where(used, np.array(about["labels"])[outputs.argmax(axis=-1)], ""), "lengths": used.sum(axis=1)}
    if kind == "notes":
        used = (inputs != np.float32(about["padding"])).any(axis=-1)
        sounds = ((outputs > 0) & can_sound(about["keys"])).astype(np.int64)
        return {name: np.where(used[:, :, None], sounds, -1), "lengths": used.sum(axis=1)}
    if kind == "real":
        return {name: outputs[:, 0].astype(np.float32)}
    if kind == "vectors":
        return {name: outputs.astype(np.float32)}
    if kind == "numbers":
        lengths = (inputs != 0).sum(axis=1)
        numbers = np.round(outputs).astype(np.int64)
        return {name: numbers[:, :, 0] if about["width"] == 1 else numbers, "lengths": lengths}
    if kind == "characters":
        rows = zip(outputs.argmax(axis=-1).tolist(), (inputs != 0).sum(axis=1).tolist(), strict=True)
        texts = ["".join(about["labels"][index] for index in row[:length]).encode() for row, length in rows]
        return {name: np.array(texts, object)}
    # A text: all before the end token; after it, the rows are filled with 0.
    characters = ["", *about["alphabet"], ""]
    texts = ["".join(characters[token] for token in row).encode() for row in outputs.tolist()]
    return {name: np.array(texts, object)}


_FRONTS = {  # by the kind of input
    "text": _ids,
    "pairs": _pairs,
    "words": _word_ids,
    "tokens": _bags,
    "bits": _bits,
    "number": _digits,
    "vectors": _vectors,
    "image": _images,
    "images": _image_sequences,
    "constant": _constant,
    "movement": _features,
    "notes": _vectors,
}
