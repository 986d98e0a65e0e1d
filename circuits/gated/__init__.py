"""The gated baselines."""

from .gru import GRU
from .lstm import LSTM

__all__ = ["GRU", "LSTM"]
