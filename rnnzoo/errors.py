"""The errors that rnnzoo raises on purpose; only the command line prints them or turns them into exit codes."""

import difflib


class RnnzooError(Exception):
    """Anything rnnzoo raises on purpose. Its text is one line that says what is wrong, where, and what would be right."""


class InputError(RnnzooError, ValueError):
    """The caller's input, arguments, files or preset are wrong (exit code 2)."""


class TrainingError(RnnzooError, RuntimeError):
    """A training run could not be finished (exit code 1)."""


class ExportError(RnnzooError, RuntimeError):
    """An export does not give what the Keras model gives (exit code 1)."""


class DataError(RnnzooError, RuntimeError):
    """A data set's file is damaged or is another one (exit code 1)."""


class MissingDataError(DataError):
    """A data set's file is absent and cannot be downloaded; the text says what to put where (exit code 1)."""


class MissingExtraError(RnnzooError, ImportError):
    """An optional dependency is absent; the text names the extra that brings it (exit code 1)."""


class WorkerLost(RnnzooError, RuntimeError):
    """Another worker of the same training is gone, or stopped; the text says which (exit code 1)."""


class RunInterrupted(KeyboardInterrupt):
    """A training run was ended by Ctrl-C or SIGTERM and can go on; its text is one line that says how.

    A `KeyboardInterrupt`, so that what stands around the run ends as it would without it.

    Attributes:
        signal: the signal's number; the command line exits with 128 more.
    """

    def __init__(self, text, signal):
        super().__init__(text)
        self.signal = signal


def nearest(word, valid):
    """`" (did you mean 'units'?)"` for the name in `valid` that `word` looks like, or `""`.

    Args:
        word: the name that was given.
        valid: the names that would have been right.
    """
    folded = {str(name).replace("_", "-").lower(): str(name) for name in valid}
    close = difflib.get_close_matches(str(word).replace("_", "-").lower(), folded, n=1, cutoff=0.55)
    return f" (did you mean '{folded[close[0]]}'?)" if close else ""
