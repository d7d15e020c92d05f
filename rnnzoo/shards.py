"""Examples packed into TFRecord shards, which are read fast, mixed well and held against their checksums.

A folder of shards holds `shards.json` (what is in it, how many examples and which sha256 each shard has) and files such as
`00002-of-00016.tfrecord`. A record is a `tf.train.Example` of two lists of byte strings, of one example or more: `input`,
texts, or `input_json`, any other raw inputs as JSON; and `answer`, the answers as text. Other programs' records of that form
are read, too.
"""

import contextlib
import functools
import itertools
import json
from pathlib import Path

from rnnzoo.bounded import JSON_BYTES, from_json, regular
from rnnzoo.errors import InputError
from rnnzoo.files import fresh_output, sha256
from rnnzoo.tasks._task import plain

MANIFEST, SUFFIX, FORM = "shards.json", ".tfrecord", "rnnzoo-shards-1"
SHARDS, MOST_SHARDS = 16, 1024
# Examples in a record: to take one apart costs as much as some dozen examples.
BLOCK = 128
# Shards that are drawn in one go.
DRAWN = 4096


def write(examples, output, *, task, count=SHARDS, seed=0, force=False, progress=None):
    """Packs examples into a folder of shards, each example into one that is drawn, so that every shard is like the whole.

    Args:
        examples: an iterable of (checked input, answer as text).
        output: the folder.
        task: the name of the task that they are of.
        count: of the shards; those that stay empty are not written.
        seed: of the draws.
        force: whether such a folder that is there is replaced.
        progress: called with how many examples are packed, now and then.

    Returns:
        What `shards.json` holds.

    Raises:
        InputError: the output exists, or there is not one example.
    """
    import numpy as np
    import tensorflow as tf

    if not 1 <= count <= MOST_SHARDS:
        raise InputError(f"{count} shards; expected 1 to {MOST_SHARDS}")
    rng, done, sizes, blocks = np.random.default_rng(seed), 0, [0] * count, [([], []) for _ in range(count)]
    with fresh_output(Path(output), force, marker=MANIFEST, folder=True) as folder:
        with contextlib.ExitStack() as stack:
            paths = [folder / f"{i:05}{SUFFIX}" for i in range(count)]
            writers = [stack.enter_context(tf.io.TFRecordWriter(str(path))) for path in paths]
            for raw, answer in examples:
                if done % DRAWN == 0:
                    draws = rng.integers(count, size=DRAWN).tolist()
                shard = draws[done % DRAWN]
                inputs, answers = blocks[shard]
                inputs.append(raw)
                answers.append(answer)
                if len(inputs) == BLOCK:
                    writers[shard].write(_record(inputs, answers))
                    blocks[shard] = [], []
                sizes[shard] += 1
                done += 1
                if progress is not None and done % 100_000 == 0:
                    progress(done)
            for writer, (inputs, answers) in zip(writers, blocks, strict=True):
                if inputs:
                    writer.write(_record(inputs, answers))
        if not done:
            raise InputError(f"{output}: there is no example to pack")
        kept = [(path, size) for path, size in zip(paths, sizes, strict=True) if size]
        for path, size in zip(paths, sizes, strict=True):
            if not size:
                path.unlink()
        entries = []
        for number, (path, size) in enumerate(kept):
            named = path.rename(folder / f"{number:05}-of-{len(kept):05}{SUFFIX}")
            entries.append({"file": named.name, "examples": size, "bytes": named.stat().st_size, "sha256": sha256(named)})
        manifest = {"form": FORM, "task": task, "examples": done, "seed": seed, "shards": entries}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def _record(inputs, answers):
    import tensorflow as tf

    name = "input"
    if not all(isinstance(raw, str) for raw in inputs):
        name, inputs = "input_json", [json.dumps(plain(raw)) for raw in inputs]
    values = {name: inputs, "answer": answers}
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode() for text in texts]))
        for key, texts in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def rows(path):
    """The rows of a shard: (where, input, answer), or (where, None, None, what is wrong).

    Raises:
        InputError: the file is damaged, or holds more or fewer examples than a `shards.json` beside it says.
    """
    import tensorflow as tf

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    number, records = 0, _records(path)
    for record in itertools.count(1):
        try:
            found = next(records, None)
        except tf.errors.OpError as error:
            reason = str(error.message).strip().splitlines()[0]
            raise InputError(f"{path}: damaged after record {record - 1}, example {number}: {reason}") from None
        if found is None:
            said = _said(Path(path))
            if said not in (None, number):
                raise InputError(f"{path}: {number:,} examples, and {MANIFEST} says {said:,}; pack the examples again")
            return
        for one in _examples(found, f"{path}, record {record}"):
            number += 1
            yield f"{path}, example {number}", *one


def _said(path):
    """How many examples the `shards.json` beside a shard says that it has; `None` where it says nothing of it."""
    try:
        return _counts(path.parent, (path.parent / MANIFEST).stat().st_mtime_ns).get(path.name)
    except (OSError, InputError):  # shards may be read one by one, without it
        return None


@functools.lru_cache(maxsize=4)
def _counts(folder, changed):
    return {entry["file"]: entry["examples"] for entry in read_manifest(folder)["shards"]}


def _records(path):
    """The records of a file, each held against its checksum, by what reads them in the calling thread.

    A `tf.data.TFRecordDataset` that is read inside another one's Python function, as `rnnzoo.streamed` reads these, waits
    for a thread that waits for Python when it is taken down.
    """
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # it says that it is deprecated
    try:
        return iter(tf.compat.v1.io.tf_record_iterator(str(path)))
    finally:
        logger.setLevel(level)


def _examples(record, where):
    """The (input, answer) of a record, or (`None`, `None`, what is wrong)."""
    import tensorflow as tf

    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception:  # protobuf's own, of no class that TensorFlow names
        raise InputError(f"{where}: no tf.train.Example") from None
    inputs, as_json, answers = (features[name].bytes_list.value for name in ("input", "input_json", "answer"))
    if bool(inputs) == bool(as_json) or len(inputs or as_json) != len(answers):
        raise InputError(f"{where}: expected the features input (or input_json) and answer, as many byte strings in each")
    for raw, answer in zip(inputs or as_json, answers, strict=True):
        try:
            text = raw.decode()
            yield from_json(text) if as_json else text, answer.decode()
        except ValueError as error:
            yield None, None, f"no text and no JSON: {error}"


def read_manifest(folder):
    """What the `shards.json` of a folder holds.

    Raises:
        InputError: it is damaged.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = from_json(regular(path, JSON_BYTES))
        if manifest["form"] != FORM:
            raise ValueError(f"the form is {manifest['form']!r}; expected {FORM}")
        for entry in manifest["shards"]:
            if Path(entry["file"]).name != entry["file"] or not entry["file"].endswith(SUFFIX):
                raise ValueError(f"{entry['file']!r} is no shard in this folder")
            if not isinstance(entry["examples"], int) or not isinstance(entry["sha256"], str):
                raise TypeError("a shard has a number of examples and a checksum")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); pack the examples again") from None
    return manifest


def check(folder, task):
    """The shards of a folder, in order, held against their checksums.

    Args:
        folder: the folder.
        task: the name of the task that they are to be of.

    Raises:
        InputError: one is missing or is not what was packed, there are others, or they were packed for another task.
    """
    manifest, found = read_manifest(folder), []
    if manifest.get("task", task) != task:
        raise InputError(
            f"{folder}: packed for the task {manifest['task']}, not for {task}; where its examples are meant all the same, "
            f"name the shards alone: '{Path(folder) / f'*{SUFFIX}'}'"
        )
    others = {path.name for path in Path(folder).iterdir() if path.suffix.lower() == SUFFIX and path.name[0] != "."}
    others -= {entry["file"] for entry in manifest["shards"]}
    if others:
        raise InputError(f"{Path(folder) / min(others)}: {MANIFEST} does not name it; remove it, or pack all examples again")
    for entry in manifest["shards"]:
        path = Path(folder) / entry["file"]
        if not path.is_file():
            raise InputError(f"{path}: missing, and {MANIFEST} names it; restore it, or pack the examples again")
        if sha256(path) != entry["sha256"]:
            raise InputError(f"{path}: the checksum is not the one in {MANIFEST}: the file is truncated or was altered")
        found.append(path)
    return found
