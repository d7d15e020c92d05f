"""`rnnzoo build`: a model, untrained."""

import click

from rnnzoo.cli._shared import PATH, as_json, force, needs_output, overrides, picture, print_json, print_table


@click.command("build")
@click.argument("name")
@overrides("units=64")
@click.option("-o", "--output", type=PATH, help="Save it as FILE.keras, or draw FILE.png or .svg.")
@click.option("--draw", type=click.Choice(["folded", "unfolded"]), help="With -o: over time, not as a graph of layers.")
@force
@click.option("--seed", type=int, default=None, help="Seed of the initial weights.")
@as_json
def command(name, overrides, output, draw, force, seed, as_json):
    """Build the model of an architecture or a preset NAME, untrained, and show its layers.

    Of an architecture, --set takes the factory's arguments; of a preset, the keys of its preset.toml.
    """
    needs_output(draw, output)
    import rnnzoo

    with rnnzoo.quiet_import():
        from rnnzoo import building

    model, defaults = building.start(name, overrides, seed=seed)
    if draw is not None:
        from rnnzoo.explaining import draw_network

        with picture(output, force) as partial:
            draw_network(model, partial, unfolded=draw == "unfolded", title=name)
    elif output is not None:
        building.save_or_draw(model, output, force=force)
    description = building.describe(model)
    if as_json:
        print_json({**description, "defaults": defaults, "output": None if output is None else str(output)})
        return
    if defaults:
        given = ", ".join(f"{key}={value}" for key, value in defaults.items())
        click.echo(f"Sizes that were not given: {given} (change them with --set)\n")
    print_table(
        ["layer", "class", "output shape", "parameters"],
        [
            [layer["name"], layer["class"], " and ".join(map(_shape, layer["output_shapes"])), f"{layer['parameters']:,}"]
            for layer in description["layers"]
        ],
    )
    inputs = ", ".join(f"{name} {_shape(shape)}" for name, shape in description["inputs"].items())
    outputs = ", ".join(f"{name} {_shape(shape)}" for name, shape in description["outputs"].items())
    click.echo(f"\n{description['name']}: {inputs} -> {outputs}; {description['parameters']:,} parameters")
    if output is not None:
        click.echo(f"Written to {output}")


def _shape(shape):
    """`[None, None, 32]` -> `(batch, timesteps, 32)`."""
    unknown = iter(["batch", "timesteps"])
    sizes = [next(unknown) if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
