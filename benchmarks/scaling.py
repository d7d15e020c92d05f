"""How the time of a train step grows with timesteps, batch and units, on a log-log plot."""

import math
from pathlib import Path

BASE = {"batch": 64, "timesteps": 100, "features": 64, "units": 128}
VALUES = {
    "timesteps": [25, 50, 100, 200, 400, 800],
    "batch": [4, 16, 64, 256, 1024],
    "units": [16, 32, 64, 128, 256, 512],
}
SIDES = {"rnnzoo": "rnnzoo", "keras": "Keras", "torch": "PyTorch"}


def cases(quick):
    """The comparisons, each for `measure.in_own_process("scaling", case)`."""
    if quick:
        return [{"cores": 1, "axis": "timesteps", "value": value, "seconds": 0.1} for value in VALUES["timesteps"][:2]]
    return [
        {"cores": 1, "axis": axis, "value": value, "seconds": 0.5} for axis, values in VALUES.items() for value in values
    ]


def measure(case):
    """The milliseconds of each side's step with one size changed."""
    import layer

    shape = list({**BASE, case["axis"]: case["value"]}.values())
    figures = layer.measure({"shape": shape, "fill": None, "seconds": case["seconds"], "whole": False})
    return {side: figures[side] for side in SIDES if side in figures}


def slopes(results):
    """(axis, side) -> the exponent of the growth between the largest two values: 1 is linear."""
    found = {}
    for axis in dict.fromkeys(case["axis"] for case, _ in results):
        rows = [(case["value"], figures) for case, figures in results if case["axis"] == axis]
        (low, before), (high, after) = rows[-2:]
        for side in after:
            found[axis, side] = math.log(after[side]["median"] / before[side]["median"]) / math.log(high / low)
    return found


def draw(results, path):
    """The plot, written to `path`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.2), sharey=True, layout="constrained")
    grown = slopes(results)
    for panel, axis in zip(axes, VALUES, strict=True):
        rows = [(case["value"], figures) for case, figures in results if case["axis"] == axis]
        for side, label in SIDES.items():
            points = [(value, figures[side]["median"]) for value, figures in rows if side in figures]
            if points:
                slope = f"{label}, slope {grown[axis, side]:.2f}"
                panel.loglog(*zip(*points, strict=True), marker="o", markersize=4, linewidth=1.5, label=slope)
        panel.set_xlabel(axis)
        values = [value for value, _ in rows]
        panel.set_xticks(values, [str(value) for value in values])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
    axes[0].set_ylabel("milliseconds a train step")
    sizes = ", ".join(f"{name} {value}" for name, value in BASE.items())
    figure.suptitle(f"One core; {sizes}, one of them changed. Slope: between the last two points.", fontsize=10)
    figure.savefig(Path(path), dpi=110)
    pyplot.close(figure)
