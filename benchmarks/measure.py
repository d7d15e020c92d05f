"""What the benchmarks share: pinned cores, interleaved medians, versions, and one process a comparison."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path


def command_line(description, results, table, run, shown, draw=None, changed=None):
    """What a benchmark's script does: measures, or reads what was measured, and prints or writes the table.

    Args:
        description: what the script is, its docstring.
        results, table: the paths of what was measured, as JSON, and of the table, as Markdown.
        run: a function: whether to measure a part alone -> the results.
        shown: a function: the results -> the table.
        draw: a pair of a function that takes the results and a path, and the path, of a plot that is written, too.
        changed: a function: the results -> the same with what has changed since measured again.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a part of it; prints the table and writes nothing")
    parser.add_argument("--tables", action="store_true", help=f"measure nothing; write the table from {results.name}")
    if changed is not None:
        parser.add_argument("--changed", action="store_true", help="measure what has changed since alone, and keep the rest")
    arguments = parser.parse_args()
    before = getattr(arguments, "changed", False)
    found = json.loads(results.read_text(encoding="utf-8")) if arguments.tables or before else run(arguments.quick)
    found = changed(found) if before else found
    if arguments.quick:
        print(shown(found))
        return
    results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    table.write_text(shown(found), encoding="utf-8")
    written = [table, results]
    if draw is not None:
        draw[0](found, draw[1])
        written.append(draw[1])
    print(f"written: {', '.join(map(str, written))}")


def in_own_process(script, case):
    """Runs one comparison in a process of its own, pinned before TensorFlow starts.

    Args:
        script: a file beside this one whose `measure(case)` returns figures that JSON can hold.
        case: a dict that JSON can hold; `cores` says how many are used.

    Returns:
        What `measure` returned, a dict.
    """
    code = "import sys, json, measure; measure.child(sys.argv[1], json.loads(sys.argv[2]))"
    command = [sys.executable, "-c", code, script, json.dumps(case)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"OPENBLAS_NUM_THREADS": str(case["cores"])}
    environment |= {"KERAS_BACKEND": "tensorflow", "OMP_NUM_THREADS": str(case["cores"])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{script} {case}: failed\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def child(script, case):
    """The other side of `in_own_process`."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: case["cores"]])
    import importlib

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(case["cores"])
    tf.config.threading.set_inter_op_parallelism_threads(case["cores"])
    torch = None if "memory" in case else import_torch()  # which takes memory itself
    if torch:
        torch.set_num_threads(case["cores"])
    print(json.dumps(importlib.import_module(script).measure(case)))


def import_torch():
    """PyTorch, or `None` where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch


def interleaved(steps, seconds, least=5):
    """How long each of several functions takes, the functions taking turns.

    Args:
        steps: name -> a function without arguments.
        seconds: about how long to measure for each function.
        least: how many runs there are at the least.

    Returns:
        name -> {"median", "low", "high"} in milliseconds; low and high are the quartiles.
    """
    taken = {name: [] for name in steps}
    for step in steps.values():
        step(), step()
    end = time.perf_counter() + seconds * len(steps)
    while time.perf_counter() < end or min(map(len, taken.values())) < least:
        # In turns that are reversed every time: what runs before it leaves its traces in the caches.
        steps = dict(reversed(steps.items()))
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - begin)
    return {name: _summary(sorted(times)) for name, times in taken.items()}


def _summary(times):
    at = {"median": 0.5, "low": 0.25, "high": 0.75}
    return {name: round(times[int(len(times) * share)] * 1e3, 4) for name, share in at.items()}


def processor():
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def versions(*packages):
    """The versions that are compared, as text."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in ("rnnzoo", "keras", "tensorflow", "numpy", *packages):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)
