"""Whether exports give what the Keras model gives. Those of ONNX and LiteRT are asked without TensorFlow."""

from rnnzoo.verifying._checking import EXTRA, Checked, check, find
from rnnzoo.verifying._proof import Difference, draw
from rnnzoo.verifying._verify import Verified, verify

__all__ = ["EXTRA", "Checked", "Difference", "Verified", "check", "draw", "find", "verify"]
