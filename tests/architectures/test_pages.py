"""The page of every variant of every architecture: what is packed into it is the trace."""

import numpy as np

from rnnzoo.explaining import RecurrentTrace, trace, write_page
from rnnzoo.explaining._packing import unpack
from rnnzoo.explaining._page_data import MATRIX, one_example, page_data

ROW = 2  # of the ragged batch, the one with most padding


def test_the_pages_arrays_are_the_traces(variant, rng, tmp_path):
    inputs = variant.inputs(rng)
    y = rng.normal(size=variant.run(inputs).shape)
    batch = trace(variant.model, variant.feed(inputs), y, loss="mean_squared_error")
    traced = one_example(batch, ROW)
    data = page_data(traced, {}, [], (), ())
    assert [said["name"] for said in data["layers"]] == [layer.name for layer in in_order(traced)]
    for said in data["layers"]:
        layer = traced.layers[said["name"]]
        recurs = isinstance(layer, RecurrentTrace)
        expected = {"x": layer.inputs, "z": layer.pre_activations, "dZ": layer.d_pre_activations}
        if recurs:
            expected |= {"h": layer.states, "dOut": layer.d_from_output, "dLater": layer.d_from_later, "dH": layer.d_states}
            assert said["mask"] == (None if layer.mask is None or layer.mask.all() else layer.mask[0].tolist())
        else:
            expected |= {"h": layer.outputs, "dH": layer.d_outputs, "dX": layer.d_inputs}
        for key, array in expected.items():
            assert_packed(data, said[key], array[0] if array.ndim == 3 else array)
        shares = {"U": "recurrent_kernel", **dict.fromkeys("WVAD", "kernel"), **dict.fromkeys("bca", "bias")}
        assert len(said["shares"]) == 1 + recurs + (layer.bias is not None)
        for share in said["shares"]:
            each = getattr(layer, f"{shares[share['name']]}_shares")
            order = layer.order if recurs else np.arange(len(each))
            sums = np.empty_like(each)
            sums[order[::-1]] = np.cumsum(each[order[::-1]], axis=0)
            if each[0].size <= MATRIX:
                assert_packed(data, share["each"], each)
                assert_packed(data, share["running"], sums)
            assert_packed(data, share["norms"], np.sqrt((each.reshape(len(each), -1) ** 2).sum(axis=1)))
            assert_packed(data, share["sums"], np.sqrt((sums.reshape(len(sums), -1) ** 2).sum(axis=1)))
    check_stops(data, traced)
    write_page(tmp_path / "page.html", batch, example=ROW)


def assert_packed(data, place, array):
    scale = np.abs(array).max(initial=0)
    np.testing.assert_allclose(unpack(data["arrays"], place), array, rtol=2e-7, atol=1e-7 * scale)


def in_order(traced):
    """An encoder's layers stand before the decoder's."""
    layers = list(traced.layers.values())
    encoders = [layer for layer in layers if layer.name.startswith("encoder")]
    decoders = [layer for layer in layers if layer.name.startswith("decoder")]
    rest = [layer for layer in layers if layer not in encoders and layer not in decoders]
    if not decoders:
        return layers
    between = [layer for layer in rest if layer.name != "readout"]
    return [*encoders, *between, *decoders, *(layer for layer in rest if layer.name == "readout")]


def check_stops(data, traced):
    """Every layer is in one group, at each of its timesteps, after what it reads."""
    places = [place for group in data["groups"] for place in group["layers"]]
    assert sorted(places) == list(range(len(data["layers"])))
    for group in data["groups"]:
        for place in group["layers"]:
            said = data["layers"][place]
            assert said["steps"] == group["steps"] and said["backwards"] == group["backwards"]
    assert data["layers"][data["output"]]["name"] == "readout" and places[-1] == data["output"]
