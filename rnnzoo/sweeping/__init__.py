"""Sweeps: many trials of a preset's recipe, each with other values, and which values are best."""

from rnnzoo.sweeping._space import parse_space
from rnnzoo.sweeping._sweep import Standing, Sweep, sweep

__all__ = ["Standing", "Sweep", "parse_space", "sweep"]
