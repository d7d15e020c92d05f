"""Model cards and result tables, generated from what training wrote."""

import json
import re

from rnnzoo.registry import SEEDS, list_presets, load_preset
from rnnzoo.toml import dumps


def card(preset, metadata, seeds=None):
    """The model card of a preset or run, as Markdown.

    Args:
        preset: the `Preset`.
        metadata: what `metadata.json` holds.
        seeds: what `seeds.json` holds (see `benchmarks/scores.py`), or `None`.
    """
    data = metadata["dataset"]
    parts = [
        f"# {preset.name}\n\n{preset.description}",
        f"Architecture `{preset.architecture}`, task `{preset.task}`, {metadata['parameters']:,} parameters; trained on "
        f"{data['training_examples']:,} examples ({data['source']}) with seed {metadata['seed']} in "
        f"{metadata['training_seconds']:g} s.",
        "## Answers\n\n" + table(["input", "answer"], [[code(e["input"]), code(e["answer"])] for e in metadata["examples"]]),
        *([] if "written" not in metadata else [_written(metadata["written"])]),
        "## Results of these weights\n\n"
        + metrics_table(metadata["metrics"])
        + f"\n\nReproduce with `rnnzoo evaluate {preset.name}`.",
    ]
    if seeds:
        parts.append(_seeds(seeds))
    if preset.limits:
        parts.append(f"## Limits\n\n{preset.limits}")
    rounding = "" if not preset.training.round_weights else _rounding(metadata)
    parts.append(f"## Recipe\n\n```toml\n{dumps(preset.content())}```{rounding}")
    versions = ", ".join(f"{name} {metadata[f'{name}_version']}" for name in ("rnnzoo", "keras", "tensorflow"))
    parts.append(f"Trained with {versions}. sha256 of the weights: `{metadata['weights_sha256']}`.")
    return "\n\n".join(parts) + "\n"


def metrics_table(metrics):
    """Test set -> metrics as a Markdown table."""
    return table(*metrics_rows(metrics))


def metrics_rows(metrics):
    """Test set -> metrics as the head and the rows of a table."""
    columns = list(dict.fromkeys(key for row in metrics.values() for key in row))
    return ["test set", *columns], [[name, *(figure(row.get(c)) for c in columns)] for name, row in metrics.items()]


def summary(seeds):
    """(test set, metric) -> the mean and the worst over the seeds; what is the same everywhere, such as a reference, too."""
    runs = list(seeds["seeds"].values())
    return {
        (name, metric): (
            sum(run[name][metric] for run in runs) / len(runs),
            (max if _lower_is_better(metric) else min)(run[name][metric] for run in runs),
        )
        for name, metrics in runs[0].items()
        for metric in metrics
        if metric != "examples"
    }


def reaches(metric, value, bar):
    """Whether a figure is as good as a bar: at least as large, or of an error or a cost at most as large."""
    return value <= bar if _lower_is_better(metric) else value >= bar


def _lower_is_better(metric):
    """Metrics say what they are: an error, or what an answer costs in nats."""
    return bool({"error", "nats"} & set(metric.split("_")))


def update_readme(text):
    """The README with its generated tables made anew, between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    for name, generate in (("presets", presets_table), ("results", results_table)):
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        text = pattern.sub(lambda match, generate=generate: f"{match[1]}{generate()}\n{match[2]}", text)
    return text


def presets_table():
    """Every preset: its architecture, what it does, how large it is, and an example."""
    rows = []
    for name in list_presets():
        preset = load_preset(name)
        metadata = preset.metadata() if preset.has_weights else None
        example = "" if metadata is None else "{input} -> {answer}".format(**metadata["examples"][-1])
        size = "" if metadata is None else f"{metadata['parameters']:,}"
        card_link = f"[`{name}`](presets/{name}/README.md)"
        rows.append([card_link, f"`{preset.architecture}`", preset.description, code(example), size])
    return table(["preset", "architecture", "what it does", "example", "parameters"], rows)


def results_table():
    """Every preset's scores over the seeds that were trained."""
    rows = []
    for name in list_presets():
        path = load_preset(name).folder / SEEDS
        if path.is_file():
            seeds = json.loads(path.read_text(encoding="utf-8"))
            counts = next(iter(seeds["seeds"].values()))
            for (test, metric), (mean, worst) in summary(seeds).items():
                count = f"{counts[test]['examples']:,}"
                rows.append([code(name), code(test), count, metric.replace("_", " "), figure(mean), figure(worst)])
    return table(["preset", "test set", "examples", "metric", "mean", "worst"], rows)


def table(head, rows):
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, ["---"] * len(head), *rows])


def figure(value):
    """A number as tables show it."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def code(value):
    """A value in backticks, on one line."""
    return "`" + "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value)) + "`"


def _written(written):
    """What the weights write, and by which command."""
    return f"## Written by these weights\n\n`{written['command']}`\n\n```text\n" + "\n".join(written["texts"]) + "\n```"


def _rounding(metadata):
    if metadata["rounded"]:
        return "\n\nThe trained weights were rounded to the integers that they had converged to."
    return f"\n\nThe recipe rounds the trained weights; here that was refused: {metadata['not_rounded']}."


def _seeds(seeds):
    def rows(block):
        return [[name, metric, figure(mean), figure(worst)] for (name, metric), (mean, worst) in summary(block).items()]

    head = ["test set", "metric", "mean", "worst"]
    text = (
        f"## Results over seeds {', '.join(seeds['seeds'])}\n\n{table(head, rows(seeds))}\n\n"
        f"Reproduce with `{seeds['command']}`."
    )
    if "twin" in seeds:
        text += f"\n\n## {seeds['twin']['description']}\n\n{table(head, rows(seeds['twin']))}"
    return text
