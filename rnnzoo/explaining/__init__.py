"""What flows forward and backward through a model: the numbers, and what they say of it."""

from rnnzoo.explaining._by_hand import ByHand, by_hand, can_be_followed
from rnnzoo.explaining._flow import LayerFlow, flow_of, gradient_flow
from rnnzoo.explaining._flow_plot import plot_flow
from rnnzoo.explaining._heat_map import plot_states
from rnnzoo.explaining._log import GradientFlowLog, GradientFlowWarning
from rnnzoo.explaining._network_plot import draw_network
from rnnzoo.explaining._page import write_page
from rnnzoo.explaining._parts import DenseTrace, RecurrentTrace, Trace, tokens_of
from rnnzoo.explaining._raw import Explanation, explain, preset_flow
from rnnzoo.explaining._trace import trace
from rnnzoo.explaining._work import Line, number

__all__ = [
    "ByHand",
    "DenseTrace",
    "Explanation",
    "GradientFlowLog",
    "GradientFlowWarning",
    "LayerFlow",
    "Line",
    "RecurrentTrace",
    "Trace",
    "by_hand",
    "can_be_followed",
    "draw_network",
    "explain",
    "flow_of",
    "gradient_flow",
    "number",
    "plot_flow",
    "plot_states",
    "preset_flow",
    "tokens_of",
    "trace",
    "write_page",
]
