"""What an export says of itself: everything between raw input and answer, in values that JSON has."""

import rnnzoo

# The file beside a folder's models. The version of what is in it; a reader refuses one that it does not know.
FILE, FORMAT = "rnnzoo.json", 1


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
