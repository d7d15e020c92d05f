"""The plot of how gradients flow."""

import numpy as np

from rnnzoo import _figure


def plot_flow(flows, path, title=""):
    """Draws the norm of dL/dh_t against the distance back in time, on a logarithmic axis, a line a layer.

    Args:
        flows: what `gradient_flow` returned.
        path: where to write, `.png` or `.svg` by its suffix; a file that is there is replaced.
        title: what stands above.

    Raises:
        InputError: the suffix is another.
        MissingExtraError: matplotlib is not installed.
    """
    _figure.picture_format(path)
    with _figure.drawing() as new_figure:
        figure = new_figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for flow in flows:
            distances = np.arange(len(flow.transported))
            label = f"{flow.name}: {flow.verdict}"
            (line,) = axes.plot(distances, _positive(flow.transported), linewidth=1.8, label=label)
            if not np.allclose(flow.norms, flow.transported, rtol=1e-6):
                arrives = "all that arrives at the step"
                axes.plot(
                    distances, _positive(flow.norms), linewidth=1, linestyle="--", color=line.get_color(), label=arrives
                )
        axes.set_yscale("log")
        axes.set_xlabel("timesteps back from the last one")
        axes.set_ylabel("norm of dL/dh")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9)
        axes.set_title(title, fontsize=10)
        _figure.save(figure, path, 150)


def _positive(norms):
    """Without what a logarithmic axis cannot show."""
    return np.where(np.isfinite(norms) & (norms > 0), norms, np.nan)
