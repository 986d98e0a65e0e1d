"""The Continuous Thought Machine."""

from .circuit import CTM

__all__ = ["CTM"]
