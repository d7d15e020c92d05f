"""What flows forward and backward through a model: the numbers, and what they say of it."""

from rnnzoo.explaining._flow import LayerFlow, gradient_flow
from rnnzoo.explaining._flow_plot import plot_flow
from rnnzoo.explaining._heat_map import plot_states
from rnnzoo.explaining._log import GradientFlowLog, GradientFlowWarning
from rnnzoo.explaining._network_plot import draw_network
from rnnzoo.explaining._parts import DenseTrace, RecurrentTrace, Trace
from rnnzoo.explaining._raw import Explanation, explain, preset_flow
from rnnzoo.explaining._trace import trace

__all__ = [
    "DenseTrace",
    "Explanation",
    "GradientFlowLog",
    "GradientFlowWarning",
    "LayerFlow",
    "RecurrentTrace",
    "Trace",
    "draw_network",
    "explain",
    "gradient_flow",
    "plot_flow",
    "plot_states",
    "preset_flow",
    "trace",
]
