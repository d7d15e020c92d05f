"""What every test shares: a quiet TensorFlow behind Keras, and seeded random numbers."""

import os

# Before anything imports Keras or TensorFlow: both read these when they are imported.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest


@pytest.fixture
def rng():
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20)
