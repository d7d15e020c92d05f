"""`rnnzoo list`: every preset."""

import click

from rnnzoo.cli._shared import as_json, print_json, print_table
from rnnzoo.registry import list_presets, load_preset


@click.command("list")
@click.argument("pattern", default="*")
@as_json
def command(pattern, as_json):
    """List the presets (that match PATTERN, such as 'digit-*').

    The score is the share of held-out examples that the shipped weights answer rightly; of a preset worked by hand, of its
    one example.
    """
    rows = [_row(load_preset(name)) for name in list_presets(pattern)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["preset", "architecture", "task", "parameters", "score", "weights", "what it does"],
        [
            [
                row["name"],
                row["architecture"],
                row["task"],
                f"{row['parameters']:,}" if row["parameters"] else "",
                "" if row["score"] is None else f"{row['score']:.2%}",
                "yes" if row["weights"] else "no",
                row["description"],
            ]
            for row in rows
        ],
        optional=True,
    )


def _row(preset):
    metadata = preset.metadata() if preset.has_weights else {}
    first = next(iter(metadata.get("metrics", {}).values()), {})
    return {
        "name": preset.name,
        "architecture": preset.architecture,
        "task": preset.task,
        "description": preset.description,
        "parameters": metadata.get("parameters"),
        "metric": preset.metric,
        "score": first.get(preset.metric),
        "weights": preset.has_weights,
    }
