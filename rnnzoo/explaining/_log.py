"""A callback that looks at gradient flow while a model trains."""

import csv
import warnings
from pathlib import Path

import keras

from rnnzoo.errors import InputError
from rnnzoo.explaining._flow import gradient_flow

FIGURES = ("powers", "memory", "rate", "spectral_radius", "kernel_norm", "saturation")


class GradientFlowWarning(UserWarning):
    """Gradients vanish or explode."""


class GradientFlowLog(keras.callbacks.Callback):
    """Logs at epoch ends how gradients flow back through time, and warns once for each layer where they do not.

    For `fit` and for `rnnzoo.fit`. A row of the CSV file, or a point in TensorBoard, is one epoch and one layer.

    Args:
        x, y: a batch of data to look at, as for `gradient_flow`; the loss is the model's own.
        sample_weight: as for `gradient_flow`.
        file: the CSV file to write; begun anew.
        log_dir: a folder for TensorBoard.
        every: look at every so many epochs, the first one among them.
    """

    def __init__(self, x, y, sample_weight=None, *, file=None, log_dir=None, every=1):
        super().__init__()
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InputError(f"every must be a positive integer, not {every!r}")
        self.x, self.y, self.sample_weight = x, y, sample_weight
        self.file, self.log_dir, self.every = None if file is None else Path(file), log_dir, every
        self.flows, self._warned, self._writer = [], set(), None

    def on_train_begin(self, logs=None):
        self._warned = set()
        if self.file is not None:
            self._write([["epoch", "layer", "verdict", *FIGURES]], "w")
        if self.log_dir is not None:
            import tensorflow as tf

            self._writer = tf.summary.create_file_writer(str(self.log_dir))

    def on_epoch_end(self, epoch, logs=None):
        if epoch % self.every:
            return
        self.flows = gradient_flow(self.model, self.x, self.y, sample_weight=self.sample_weight)
        if self.file is not None:
            rows = [[epoch + 1, flow.name, flow.verdict, *(getattr(flow, name) for name in FIGURES)] for flow in self.flows]
            self._write(rows, "a")
        for flow in self.flows:
            if self._writer is not None:
                import tensorflow as tf

                with self._writer.as_default(step=epoch + 1):
                    for name in FIGURES:
                        tf.summary.scalar(f"gradient_flow/{flow.name}/{name}", getattr(flow, name))
            if flow.verdict != "steady" and flow.name not in self._warned:
                self._warned.add(flow.name)
                warnings.warn(f"epoch {epoch + 1}: {flow}", GradientFlowWarning, stacklevel=2)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()

    def _write(self, rows, mode):
        with self.file.open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
