"""What a sweep leaves behind: its trials as tables, the metric over each parameter as pictures, the winner as a preset."""

import csv
import re
import shlex
import shutil

from rnnzoo import _figure
from rnnzoo._figure import GREY, INK
from rnnzoo.cards import figure, table
from rnnzoo.errors import MissingExtraError
from rnnzoo.files import fresh_output
from rnnzoo.registry import PRESET
from rnnzoo.sweeping._space import Choices
from rnnzoo.toml import dumps

RESULTS, CARD, PLOTS = "results.csv", "results.md", "plots"
BLUE, ORANGE, MID_GREY = "#3465a4", "#c4501b", "#888888"
# So many characters of choices have room side by side.
LINE = 45
_INCHES, _DPI = (4.8, 3.2), 160


def write_report(found, best, space, source, notice):
    """Writes all of it into the sweep's folder, in the place of what an earlier call has left.

    Args:
        found: the `Sweep`.
        best: the `Preset` of the winner.
        space: the `Space`.
        source: the `Source` of the user's own examples, or `None`.
        notice: called with a line where the pictures cannot be drawn.
    """
    with fresh_output(found.path / RESULTS, force=True) as partial:
        _write_csv(partial, found, space)
    with fresh_output(found.preset, force=True, marker=PRESET, folder=True) as folder:
        if source is not None:
            best = best.with_data(source)
            (shutil.copytree if source.path.is_dir() else shutil.copyfile)(source.path, folder / best.data.file)
        (folder / PRESET).write_text(dumps({"name": best.name, **best.content()}), encoding="utf-8")
    drawn = {}
    try:
        with fresh_output(found.path / PLOTS, force=True, marker=DRAWN, folder=True) as folder:
            drawn = {key: f"{_file_name(key)}.png" for key in space.varied}
            for key, name in drawn.items():
                draw(found, key, space.varied[key], folder / name)
            (folder / DRAWN).write_text("".join(f"{key} {name}\n" for key, name in drawn.items()), encoding="utf-8")
    except MissingExtraError as error:
        drawn = {}
        if notice is not None:
            notice(f"no plots: {error}")
    with fresh_output(found.path / CARD, force=True) as partial:
        partial.write_text(_card(found, space, drawn), encoding="utf-8")


# In the folder of the plots: what each is of, and that they are a sweep's.
DRAWN = "plots.txt"


def train_line(found):
    """The command that trains the winner."""
    return f"rnnzoo train {shlex.quote(str(found.preset))}"


def columns(found, space):
    """The head of the table of trials, and a function that gives the cells of a row of it, as values."""
    last = ["state", "epochs", "parameters", "seconds"]
    retried = ["retried"] * any(row["retried"] for row in found.trials)
    why = ["why"] * any(row["why"] for row in found.trials)
    extra = [*last, *retried, *why]

    def cells(row):
        value = row["value"] if row["state"] == "complete" else None
        return [row["number"], *(row["values"].get(key) for key in space.varied), value, *(row.get(name) for name in extra)]

    return ["trial", *space.varied, found.metric, *extra], cells


def shown(row):
    """A trial's values as `key=value key=value`; of a number that was drawn, four digits."""
    return " ".join(f"{key}={_plain(value)}" for key, value in row["values"].items())


def _plain(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_csv(path, found, space):
    head, cells = columns(found, space)
    # What else was measured of those that came to their end, on the same examples.
    others = list(dict.fromkeys(name for row in found.trials for name in row.get("metrics", ())))
    others = [name for name in others if name not in (found.metric, "examples")]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*head, *others])
        for row in found.trials:
            writer.writerow([*cells(row), *(row.get("metrics", {}).get(name) for name in others)])


def _card(found, space, drawn):
    """`results.md`."""
    head, cells = columns(found, space)
    rows = [
        [figure(cell) if isinstance(cell, float) else "" if cell is None else cell for cell in cells(row)]
        for row in found.trials
    ]
    head = [*head[: len(space.varied) + 1], *(column.replace("_", " ") for column in head[len(space.varied) + 1 :])]
    name, complete = found.metric.replace("_", " "), sum(row["state"] == "complete" for row in found.trials)
    examples = found.best.get("metrics", {}).get("examples")
    of = f" of {examples:,} examples" if examples else ""
    best, train = f"trial {found.best['number']}, {shown(found.best)}", train_line(found)
    parts = [
        f"# Sweep {found.path.resolve().name}",
        f"{len(found.trials)} trials, {complete} of them to their end. What is compared is {name} on validation data{of} "
        f"that no trial learned from; {'less' if found.lower else 'more'} is better. No test set was read.",
        f"The best is {best}, with {figure(found.best['value'])}. `{found.preset.name}/` is its preset; `{train}` trains it "
        "on all training data and scores it on the test sets.",
        "## Trials\n\n" + table(head, rows),
    ]
    if found.importances:
        rows = [[f"`{key}`", f"{share:.0%}"] for key, share in found.importances.items()]
        how = f"The share of each in how {name} varies among the complete trials (fANOVA)."
        parts.append(f"## Importance\n\n{how}\n\n" + table(["parameter", "importance"], rows))
    if drawn:
        pictures = "\n\n".join(f"![{name} over {key}]({PLOTS}/{file})" for key, file in drawn.items())
        parts.append(f"## {name.capitalize()} over each parameter\n\n{pictures}")
    return "\n\n".join(parts) + "\n"


def _file_name(key):
    return re.sub(r"[^A-Za-z0-9_.-]", "_", key)


def draw(found, key, parameter, path):
    """Draws the metric over a parameter, a dot for each trial that is complete; pruned ones are a mark at the bottom.

    Args:
        found: the `Sweep`.
        key: which.
        parameter: its `Choices` or `Range`.
        path: where to write, `.png` or `.svg` by its suffix.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    complete = [row for row in found.trials if row["state"] == "complete"]
    others = [row for row in found.trials if row["state"] != "complete" and key in row["values"]]
    with _figure.drawing() as new_figure:
        drawing = new_figure(figsize=_INCHES, layout="constrained")
        axes = drawing.subplots()
        place = parameter.values.index if isinstance(parameter, Choices) else float
        xs, ys = [place(row["values"][key]) for row in complete], [row["value"] for row in complete]
        if isinstance(parameter, Choices):
            axes.set_xticks(range(len(parameter.values)), parameter.values)
            if sum(map(len, parameter.values)) > LINE:  # they would overlap
                axes.tick_params(axis="x", labelrotation=90)
            axes.set_xlim(-0.5, len(parameter.values) - 0.5)
            for i in range(len(parameter.values)):
                values = [y for x, y in zip(xs, ys, strict=True) if x == i]
                if values:
                    axes.hlines(sum(values) / len(values), i - 0.25, i + 0.25, color=GREY, lw=1)
        else:
            if parameter.log:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # Matplotlib's own is a formula
                axes.xaxis.set_minor_formatter("")
            elif parameter.whole:
                axes.xaxis.get_major_locator().set_params(integer=True)
            margin = (parameter.high / parameter.low) ** 0.04 if parameter.log else (parameter.high - parameter.low) * 0.04
            ends = (parameter.low, parameter.high)
            axes.set_xlim(*((ends[0] / margin, ends[1] * margin) if parameter.log else (ends[0] - margin, ends[1] + margin)))
        axes.scatter(xs, ys, s=22, color=BLUE, alpha=0.7, lw=0, label="a trial", zorder=3)
        axes.scatter(
            place(found.best["values"][key]),
            found.best["value"],
            s=70,
            facecolor="none",
            edgecolor=ORANGE,
            lw=1.4,
            label="the best",
            zorder=4,
        )
        if others:
            at = [place(row["values"][key]) for row in others]
            axes.scatter(
                at,
                [0.02] * len(at),
                s=22,
                color=MID_GREY,
                marker="x",
                lw=1,
                label="not to its end",
                zorder=3,
                transform=axes.get_xaxis_transform(),
            )
        if isinstance(parameter, Choices):
            axes.plot([], [], color=GREY, lw=1, label="mean")
        axes.set_xlabel(key, fontsize=9, color=INK)
        axes.set_ylabel(found.metric.replace("_", " "), fontsize=9, color=INK)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.tick_params(labelsize=8, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        drawing.legend(loc="outside upper center", ncols=4, fontsize=8, frameon=False)
        _figure.save(drawing, path, _DPI)
