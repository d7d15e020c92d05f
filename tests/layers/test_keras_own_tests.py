"""Keras's own tests of its recurrent layers, with this layer in the place of Keras's."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

FOLDER = Path(keras.__file__).parent / "src" / "layers" / "rnn"
FILES = [FOLDER / f"{name}_test.py" for name in ("simple_rnn", "rnn", "bidirectional", "stacked_rnn_cells")]
PLUGIN = """
import keras, keras.src.layers, keras.src.layers.rnn.simple_rnn
from rnnzoo.layers import SimpleRNN

calls = []
inner_loop = SimpleRNN.inner_loop
SimpleRNN.inner_loop = lambda *args, **kwargs: calls.append(1) or inner_loop(*args, **kwargs)
for module in (keras.layers, keras.src.layers, keras.src.layers.rnn.simple_rnn):
    module.SimpleRNN = SimpleRNN

def pytest_sessionfinish():
    print(f"ran through rnnzoo {len(calls)} times")
"""


@pytest.mark.slow
@pytest.mark.skipif(not all(path.is_file() for path in FILES), reason="this build of Keras comes without its tests")
def test_keras_own_tests_pass(tmp_path):
    (tmp_path / "swap.py").write_text(PLUGIN)
    # Settings of their own: where the environment lies inside the checkout, pytest would find ours above their files.
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["-c", tmp_path / "pytest.ini", "--rootdir", tmp_path, "-p", "swap", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "-s", *options]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run([*command, *FILES], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout and "failed" not in result.stdout
    assert int(result.stdout.rpartition("ran through rnnzoo ")[2].split()[0]) > 20
