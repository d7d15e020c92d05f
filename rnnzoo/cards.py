"""Model cards and result tables, generated from what training wrote."""

import csv
import io
import json
import re

from rnnzoo.registry import CURVE, DIAGRAM, SEEDS, WRITTEN, list_presets, load_preset
from rnnzoo.toml import dumps


def card(preset, metadata, seeds=None):
    """The model card of a preset or run, as Markdown.

    Args:
        preset: the `Preset`; its pictures are shown where its folder has them.
        metadata: what `metadata.json` holds.
        seeds: what `seeds.json` holds (see `benchmarks/scores.py`), or `None`.
    """
    data = metadata["dataset"]
    parts = [
        f"# {preset.name}\n\n{preset.description}",
        f"Architecture `{preset.architecture}`, task `{preset.task}`, {metadata['parameters']:,} parameters; trained on "
        f"{data['training_examples']:,} examples ({data['source']}) with seed {metadata['seed']} in "
        f"{metadata['training_seconds']:g} s.",
    ]
    if (preset.folder / DIAGRAM).is_file():
        parts.append(f"![The layers of the model, from its inputs to its output, with shapes and parameters.]({DIAGRAM})")
    parts += [
        "## Answers\n\n"
        + table(["input", "answer"], [[code(e["input"]), code(e.get("shown", e["answer"]))] for e in metadata["examples"]]),
        *([] if "written" not in metadata else [_written(preset, metadata["written"])]),
        "## Results of these weights\n\n"
        + metrics_table(metadata["metrics"])
        + f"\n\nReproduce with `rnnzoo evaluate {preset.name}`.",
    ]
    if seeds:
        parts.append(_seeds(seeds))
    if preset.published:
        rows = [
            [name, one.metric.replace("_", " "), figure(one.figure), one.source] for name, one in preset.published.items()
        ]
        parts.append("## Published figures\n\n" + table(["model", "metric", "figure", "source"], rows))
    if (preset.folder / CURVE).is_file():
        parts.append(
            f"## Learning curve\n\n![Loss and metric over the epochs of training with seed {metadata['seed']}.]({CURVE})"
        )
    if preset.limits:
        parts.append(f"## Limits\n\n{preset.limits}")
    rounding = "" if not preset.training.round_weights else _rounding(metadata)
    recipe = {key: value for key, value in preset.content().items() if key not in ("description", "limits", "published")}
    parts.append(f"## Recipe\n\n```toml\n{dumps(recipe)}```{rounding}")
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
            (max if lower_is_better(metric) else min)(run[name][metric] for run in runs),
        )
        for name, metrics in runs[0].items()
        for metric in metrics
        if metric != "examples"
    }


def reaches(metric, value, bar):
    """Whether a figure is as good as a bar: at least as large, or of an error or a cost at most as large."""
    return value <= bar if lower_is_better(metric) else value >= bar


def lower_is_better(metric):
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
        example = "" if metadata is None else metadata["examples"][-1]
        example = example and example.get("shown", "{input} -> {answer}".format(**example))
        size = "" if metadata is None else f"{metadata['parameters']:,}"
        card_link = f"[`{name}`](presets/{name}/README.md)"
        rows.append([card_link, f"`{preset.architecture}`", preset.description, code(example), size])
    return table(["preset", "architecture", "what it does", "example", "parameters"], rows)


def results_table():
    """What every preset is judged by first, over the seeds that were trained."""
    rows = [
        [code(row["preset"]), code(row["test_set"]), f"{row['examples']:,}", row["metric"].replace("_", " ")]
        + [figure(row["mean"]), figure(row["worst"]), row["seeds"]]
        for row in results()
        if row["first"]
    ]
    return table(["preset", "test set", "examples", "metric", "mean", "worst", "seeds"], rows)


def results():
    """Every figure of every preset over the seeds that were trained, as a list of dicts."""
    rows = []
    for name in list_presets():
        preset = load_preset(name)
        path = preset.folder / SEEDS
        if path.is_file():
            seeds, metadata = json.loads(path.read_text(encoding="utf-8")), preset.metadata()
            counts = next(iter(seeds["seeds"].values()))
            for (test, metric), (mean, worst) in summary(seeds).items():
                rows.append(
                    {
                        "preset": name,
                        "architecture": preset.architecture,
                        "parameters": metadata["parameters"],
                        "test_set": test,
                        "examples": counts[test]["examples"],
                        "metric": metric,
                        "mean": mean,
                        "worst": worst,
                        "seeds": len(seeds["seeds"]),
                        "training_seconds": metadata["training_seconds"],
                        "first": test == next(iter(counts)) and metric == preset.metric,
                    }
                )
    return rows


def results_page():
    """`presets/RESULTS.md`: every figure, and what others have published."""
    rows = [
        [f"[`{row['preset']}`]({row['preset']}/README.md)", code(row["architecture"]), f"{row['parameters']:,}"]
        + [code(row["test_set"]), f"{row['examples']:,}", row["metric"].replace("_", " "), figure(row["mean"])]
        + [figure(row["worst"]), row["seeds"], figure(row["training_seconds"])]
        for row in results()
    ]
    head = ["preset", "architecture", "parameters", "test set", "examples", "metric", "mean", "worst", "seeds", "seconds"]
    published = [
        [code(name), model, one.metric.replace("_", " "), figure(one.figure), one.source]
        for name in list_presets()
        for model, one in load_preset(name).published.items()
    ]
    text = (
        "# Results\n\nMean and worst over the seeds that were trained, on examples that no seed was trained on; seconds are "
        "those of one training. `python benchmarks/scores.py --runs DIR` trains all presets again, or goes on with it, and "
        f"rewrites this page and `results.csv`; `--tables` rewrites them alone.\n\n{table(head, rows)}\n"
    )
    if published:
        text += "\n## Published figures\n\n" + table(["preset", "model", "metric", "figure", "source"], published) + "\n"
    return text


def results_csv():
    """`presets/results.csv`: the same figures for programs."""
    rows = [{key: value for key, value in row.items() if key != "first"} for row in results()]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


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


def _written(preset, written):
    """What the weights write, and by which command; of music a picture, too."""
    text = f"## Written by these weights\n\n`{written['command']}`\n\n"
    if (preset.folder / WRITTEN).is_file():
        text += f"![A piano roll: time from left to right, a bar for each note that is held.]({WRITTEN})\n\n"
    return text + "```text\n" + "\n".join(written["texts"]) + "\n```"


def _rounding(metadata):
    if metadata["rounded"]:
        return "\n\nThe trained weights were rounded to the integers that they had converged to."
    return f"\n\nThe recipe rounds the trained weights; here that was refused: {metadata['not_rounded']}."


def _seeds(seeds):
    def rows(block):
        return [[name, metric, figure(mean), figure(worst)] for (name, metric), (mean, worst) in summary(block).items()]

    head = ["test set", "metric", "mean", "worst"]
    count = len(seeds["seeds"])
    over = f"over seeds {', '.join(seeds['seeds'])}" if count > 1 else f"of seed {next(iter(seeds['seeds']))} alone"
    why = "" if count > 1 else " Others were not trained: one training takes long."
    text = f"## Results {over}\n\n{table(head, rows(seeds))}\n\nReproduce with `{seeds['command']}`.{why}"
    if "twin" in seeds:
        text += f"\n\n## {seeds['twin']['description']}\n\n{table(head, rows(seeds['twin']))}"
    return text
