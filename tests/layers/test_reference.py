"""The NumPy reference is the truth of the other tests, so it is held against its own formula and finite differences."""

import numpy as np
import pytest

from rnnzoo.layers import reference

BATCH, TIMESTEPS, FEATURES, UNITS = 3, 4, 2, 3
MASKS = {
    "none": None,
    "right": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], bool),
    "left": np.array([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]], bool),
    "arbitrary": np.array([[1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], bool),
}


@pytest.fixture
def problem(rng):
    """Everything that `forward` takes but activation and mask, in float64."""
    return {
        "x": rng.normal(size=(BATCH, TIMESTEPS, FEATURES)),
        "kernel": rng.normal(size=(FEATURES, UNITS)),
        "recurrent_kernel": rng.normal(size=(UNITS, UNITS)),
        "bias": rng.normal(size=UNITS),
        "initial_state": rng.normal(size=(BATCH, UNITS)),
    }


def test_forward_is_the_formula(problem):
    """One row, no mask, every step and unit written out."""
    states = reference.forward(**problem)
    h = problem["initial_state"][1].tolist()
    for t in range(TIMESTEPS):
        h = [
            np.tanh(
                sum(problem["x"][1, t, i] * problem["kernel"][i, j] for i in range(FEATURES))
                + sum(h[i] * problem["recurrent_kernel"][i, j] for i in range(UNITS))
                + problem["bias"][j]
            )
            for j in range(UNITS)
        ]
        np.testing.assert_allclose(states[1, t], h, rtol=1e-12)


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_derivatives_are_those_of_the_activations(activation):
    act, derivative = reference.ACTIVATIONS[activation]
    z = np.array([-2.0, -0.5, 0.3, 1.7])
    np.testing.assert_allclose(derivative(act(z)), (act(z + 1e-6) - act(z - 1e-6)) / 2e-6, rtol=1e-8)


def test_the_state_stands_still_where_the_mask_is_false(problem):
    mask = MASKS["arbitrary"]
    states = reference.forward(**problem, mask=mask)
    before = np.concatenate([problem["initial_state"][:, None], states[:, :-1]], axis=1)
    np.testing.assert_array_equal(states[~mask], before[~mask])
    assert (np.abs(states[mask] - before[mask]).max(axis=-1) > 1e-3).all()


def test_without_bias_and_initial_state_both_are_zero(problem):
    zeros = {"bias": np.zeros(UNITS), "initial_state": np.zeros((BATCH, UNITS))}
    given = {key: problem[key] for key in ("x", "kernel", "recurrent_kernel")}
    np.testing.assert_array_equal(reference.forward(**given), reference.forward(**given, **zeros))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_backward_agrees_with_finite_differences(problem, rng, activation, mask):
    how = {"activation": activation, "mask": MASKS[mask]}
    d_states = rng.normal(size=(BATCH, TIMESTEPS, UNITS))  # of the loss sum(states * d_states)
    given = {key: value for key, value in problem.items() if key != "bias"}
    gradients = reference.backward(**given, states=reference.forward(**problem, **how), d_states=d_states, **how)
    for name, value in problem.items():
        expected = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            losses = []
            for step in (1e-6, -1e-6):
                moved = value.copy()
                moved[index] += step
                losses.append(np.sum(reference.forward(**{**problem, name: moved}, **how) * d_states))
            expected[index] = (losses[0] - losses[1]) / 2e-6
        np.testing.assert_allclose(gradients[name], expected, atol=2e-7, err_msg=name)
    if MASKS[mask] is not None:
        assert not gradients["x"][~MASKS[mask]].any()
        assert not gradients["z"][~MASKS[mask]].any()
