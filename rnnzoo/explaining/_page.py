"""`write_page`: a trace as one file for a browser, with a slider through time, forward and then backward."""

import base64
import hashlib
import html
import json
from pathlib import Path

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.explaining._flow import flow_of
from rnnzoo.explaining._page_data import one_example, page_data
from rnnzoo.explaining._parts import Trace

FOLDER = Path(__file__).parent / "page"
# In the order in which they are joined: each may use what those before it define.
SCRIPTS = ("data.js", "dom.js", "network.js", "heat.js", "flow.js", "values.js", "main.js")


def write_page(path, traced, *, tokens=None, title="", told=None, flows=None, names=None, wanted=None, example=0):
    """Writes a page that shows a trace step by step, and needs nothing else: no network, no server, no library.

    It holds the network unfolded in time; a slider that goes forward through every step and, where there was a target,
    back from the loss; every number of the step in view with its formula; the hidden states as a heat map; and how
    gradients flow. The numbers are those of the trace to seven digits (32-bit floats, scaled where a gradient is too small
    or too large for them). Of a model so large that the file would pass 5 MB, the first units of each layer are in it;
    norms are of all units in any case, and the page says so.

    Args:
        path: the file to write, whose name ends in `.html`; one that is there is replaced.
        traced: a `Trace`, or an `Explanation`, which brings `tokens`, `told`, `names` and `wanted` with it.
        tokens: input name -> what stands at each timestep, as text.
        title: what stands above.
        told: a dict of what to say first: what -> value.
        flows: a list of `LayerFlow` to plot; those of the trace if `None`.
        names: what each output stands for, as text.
        wanted: the right answer at each timestep of the output, as text.
        example: which row of the trace's batch is shown; shares and sums of gradients are then that row's own.

    Raises:
        InputError: the suffix is another, there is no such row, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".html":
        raise InputError(f"{path}: expected a name that ends in .html")
    if not isinstance(traced, Trace):
        tokens = traced.tokens if tokens is None else tokens
        names, wanted = traced.names if names is None else names, traced.wanted if wanted is None else wanted
        told = traced.told if told is None else told
        traced = traced.trace
    examples = len(traced.outputs)
    if not 0 <= example < examples:
        raise InputError(f"example {example}: the trace holds {examples}, numbered from 0")
    if flows is None:
        flows = [] if traced.loss is None else flow_of(traced)
    data = page_data(one_example(traced, example), tokens or {}, flows, names or (), wanted or ())
    data["title"] = str(title)
    data["examples"] = examples
    data["told"] = [[str(what), _said(value)] for what, value in (told or {}).items() if value is not None]
    try:
        path.write_text(_joined(data), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _said(value):
    """A value as text; a sequence of numbers without the brackets of nested tuples is still one line."""
    return str(value.tolist() if isinstance(value, np.ndarray) else value)


def _joined(data):
    """The page's text: the template with style, data and script inside."""
    parts = {name: (FOLDER / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *SCRIPTS)}
    script = '"use strict";\n(() => {\n' + "".join(parts[name] for name in SCRIPTS) + "})();\n"
    found = {
        # Nothing may be loaded or sent, and nothing runs but this very script.
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(parts['page.css'])}; "
        "img-src data:; base-uri 'none'; form-action 'none'",
        "title": html.escape(data["title"] or "trace"),
        "style": parts["page.css"],
        "data": _inert(data),
        "script": script,
    }
    pieces = parts["page.html"].split("@@")  # text, name, text, name, ..., text
    return "".join(found[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _hash(text):
    """What a content security policy names a script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _inert(data):
    """JSON that can end no script element and begin no comment, whatever text is in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII alone
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
