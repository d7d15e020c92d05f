"""Training shared by several devices or workers: each takes its rows of every batch, and all apply the same sum.

`tf.distribute.MirroredStrategy` for the devices of one host, `tf.distribute.MultiWorkerMirroredStrategy` for several hosts:
variables are mirrored, and gradients are summed over all shares (data-parallel synchronous training, Chen et al. 2016,
"Revisiting Distributed Synchronous SGD"). Everybody makes the order of the examples from the seed, so that batches, buckets
and steps are those of one process.
"""

import contextlib
import contextvars
import os
import subprocess
import sys

import tensorflow as tf
from keras import random
from tensorflow.python.eager import context

from rnnzoo.errors import InputError
from rnnzoo.meeting import name

# For so long the workers, who have just met, may take until TensorFlow has connected them.
JOIN_SECONDS = 25
_TOGETHER = contextvars.ContextVar("together", default=None)


def together():
    """The `Together` whose scope this is, or `None`."""
    return _TOGETHER.get()


class Together:
    """Those who train together, as one of the workers sees it.

    Args:
        strategy: a `tf.distribute.Strategy` that mirrors variables.
        meeting: the `Meeting` of several workers, or `None` of one.

    Attributes:
        worker: which worker this is, from 0.
        workers: how many there are.
        here: how many replicas this worker has: devices.
        replicas: how many all workers have.
    """

    def __init__(self, strategy, meeting=None):
        self.strategy, self.meeting = strategy, meeting
        self.worker, self.workers = (meeting.index, meeting.count) if meeting else (0, 1)
        self.replicas = strategy.num_replicas_in_sync
        self.here = self.replicas // self.workers

    @contextlib.contextmanager
    def scope(self):
        """Inside it variables are mirrored, and epochs are shared."""
        token = _TOGETHER.set(self)
        try:
            with self.strategy.scope():
                yield
        finally:
            _TOGETHER.reset(token)

    def end(self):
        """Has what is traced from now on, exports for one, say nothing of the workers: calls would carry their addresses."""
        options = context.context().function_call_options
        config = tf.compat.v1.ConfigProto.FromString(options.config_proto_serialized)
        config.ClearField("device_filters")
        config.ClearField("experimental")
        options.config_proto_serialized = config

    def mean(self, number):
        """The mean of a number over the workers: the same for all of them."""
        if self.meeting is None:
            return number
        return sum(self.meeting.exchange(number)) / self.workers

    def all(self, flag):
        """Whether a flag is set at all workers."""
        return flag if self.meeting is None else all(self.meeting.exchange(bool(flag)))

    def run(self, step, rows):
        """Runs a step on each replica's share of this worker's rows; what it gives is the same for all, and given once.

        Args:
            step: called while the graph is traced, with a share.
            rows: a structure of tensors (rows, ...).
        """

        def on_share(rows):
            at = tf.distribute.get_replica_context().replica_id_in_sync_group - self.worker * self.here

            def take(tensor):
                if self.here == 1:
                    return tensor
                each, rest = tensor.shape[0] // self.here, tensor.shape[1:]
                return tf.slice(tensor, [at * each, *[0] * len(rest)], [each, *rest])

            return step(*tf.nest.map_structure(take, rows))

        results = self.strategy.run(on_share, (rows,))
        return [self.strategy.experimental_local_results(result)[0] for result in results]

    @staticmethod
    def sum(tensors):
        """The sums of tensors over all replicas, called by each; gradients by embeddings stay sparse."""
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)

    def draw_apart(self, model):
        """Has each replica draw random numbers of its own where the model drops out: those of one process on the first."""
        for generator in _seed_generators(model):
            if not hasattr(generator, "_drawn_alike"):
                generator._drawn_alike = generator.next
                generator.next = lambda *args, alike=generator.next, **how: _apart(alike(*args, **how))


def mirrored(gpus):
    """The `Together` of so many GPUs of this host.

    Raises:
        InputError: it has not so many.
    """
    return Together(tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(count_gpus(gpus))]))


def join_workers(meeting, gpus=None):
    """The `Together` of workers who have met, by TensorFlow's own connections from here on.

    Args:
        meeting: the `Meeting`. When a worker is lost, TensorFlow no longer waits for it.
        gpus: of how many GPUs each worker is; all that there are if `None`.

    Raises:
        InputError: TensorFlow has been at work in this process already, or cannot have the port, or there are fewer GPUs.
    """
    cluster = tf.train.ClusterSpec({"worker": [name(address) for address in meeting.addresses]})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster, task_type="worker", task_id=meeting.index, num_accelerators={"GPU": count_gpus(gpus)}, rpc_layer="grpc"
    )
    try:
        with _not_for_ever():
            strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except RuntimeError as error:
        raise InputError(f"workers: TensorFlow was at work in this process before; train in a new one ({error})") from None
    except tf.errors.OpError as error:
        reason = str(error.message).strip().splitlines()[0]
        raise InputError(
            f"workers: {name(meeting.addresses[meeting.index])}: TensorFlow cannot serve there: {reason}"
        ) from None
    meeting.on_loss = _stop_waiting
    return Together(strategy, meeting)


@contextlib.contextmanager
def _not_for_ever():
    """Ends this process, with a line, where what is done inside takes too long.

    TensorFlow waits for all workers there for an hour or more, and lets no Python run meanwhile: for the one that stopped in
    between, too. So another process looks at the clock.
    """
    line = f"not all workers came to TensorFlow within {JOIN_SECONDS} s of their meeting: one has stopped; start all again"
    clock = [sys.executable, "-I", "-c", _CLOCK, str(os.getpid()), str(JOIN_SECONDS), line]
    with subprocess.Popen(clock, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.stdin.close()


_CLOCK = """
import os, signal, sys, threading

def end():
    sys.stderr.write(f"Error: {sys.argv[3]}\\n")
    sys.stderr.flush()
    os.kill(int(sys.argv[1]), getattr(signal, "SIGKILL", signal.SIGTERM))
    os._exit(0)

timer = threading.Timer(float(sys.argv[2]), end)
timer.daemon = True
timer.start()
sys.stdin.read()
os._exit(0)
"""


def count_gpus(gpus=None):
    """So many GPUs of this host, or how many it has.

    Raises:
        InputError: it has not so many.
    """
    there = len(tf.config.list_physical_devices("GPU"))
    if gpus is not None and gpus > there:
        raise InputError(f"gpus: {gpus} are asked for, and this host has {there}")
    return there if gpus is None else gpus


def _stop_waiting(line):
    """Ends the sums that wait for a worker who is gone: their steps raise an error. What TensorFlow's own strategy does."""
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, line)


def _apart(seed):
    """A seed -> that of this replica."""
    replica = tf.distribute.get_replica_context()
    if replica is None:
        return seed
    return seed + tf.cast(replica.replica_id_in_sync_group, seed.dtype) * tf.constant([1_000_003, 0], seed.dtype)


def _seed_generators(model):
    """All of a model's `keras.random.SeedGenerator`s."""
    found = {}
    for layer in model._flatten_layers():
        for value in vars(layer).values():
            if isinstance(value, random.SeedGenerator):
                found[id(value)] = value
    return found.values()
