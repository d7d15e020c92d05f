"""What every test shares: a quiet TensorFlow behind Keras, and seeded random numbers."""

import contextlib
import functools
import os

# Before anything imports Keras or TensorFlow: both read these when they are imported.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


import numpy as np
import pytest

from rnnzoo.errors import MissingDataError


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads how many processes there are to be
def pytest_cmdline_main(config):
    """Has two processes share the whole suite, or all that is slow, where there are two cores and pytest-xdist."""
    whole = config.args_source is config.ArgsSource.TESTPATHS and config.option.markexpr in ("not slow", "slow")
    # One of the processes that share it must not share its part in turn.
    if not whole or "PYTEST_XDIST_WORKER" in os.environ or not config.pluginmanager.hasplugin("xdist"):
        return
    chosen = config.option.numprocesses is not None or config.option.dist != "no" or config.option.usepdb
    if not chosen and len(os.sched_getaffinity(0)) > 1:
        # A file at a time, whose tests share what is costly to make; of trainings, which share nothing, one at a time.
        config.option.numprocesses = 2
        config.option.dist = "loadfile" if config.option.markexpr == "not slow" else "worksteal"


def pytest_configure(config):
    # Keras 3.15 asks NumPy 2 for a copy of a TensorFlow variable wherever it saves weights, in a way that TensorFlow 2.21
    # does not speak; nothing of ours can avoid it.
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture
def rng():
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def zoo():
    """A function: a preset's name -> its trained `Predictor`, loaded and traced once for all tests, so none may change it.

    Its task is shared too, and with it the examples that a task draws once.
    """
    import rnnzoo

    return functools.cache(rnnzoo.from_preset)


@contextlib.contextmanager
def _alone(path):
    """One process at a time, where locks are to be had."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory, zoo):
    """A format's name -> a folder in which every preset is exported to it, by its name; what was written is not asked.

    Processes that share the suite share it too, and none may change what is in it.
    """
    import rnnzoo
    from rnnzoo.exporting import FORMATS

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "exported"
    folder.mkdir(exist_ok=True)

    @functools.cache
    def written(format):
        try:
            FORMATS[format].load()
        except rnnzoo.MissingExtraError as error:
            pytest.skip(str(error))
        with _alone(folder / f"{format}.lock"):
            for name in rnnzoo.list_presets():
                if not (folder / format / name).exists():  # it is there when it is whole
                    rnnzoo.export(zoo(name), folder / format / name, format=format, verify=False)
        return folder / format

    return written


@pytest.fixture(scope="session")
def saved_models(exported):
    """A folder in which every preset is exported as a SavedModel, by its name."""
    return exported("saved-model")


@pytest.fixture(scope="session", autouse=True)
def no_downloads():
    """Tests read data sets where they are (`RNNZOO_DATA`, else the cache) and download nothing."""
    from rnnzoo import data

    def refuse(url):
        raise OSError("tests download nothing")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "open_url", refuse)
        yield


def _skips_without_data(item):
    """A test whose data set is absent is skipped; one that is damaged fails."""
    try:
        return (yield)
    except MissingDataError as error:
        pytest.skip(str(error))


pytest_runtest_setup = pytest.hookimpl(wrapper=True)(_skips_without_data)
pytest_runtest_call = pytest.hookimpl(wrapper=True)(_skips_without_data)
