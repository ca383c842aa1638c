"""What `gradcheck` does: a problem, two ways to its Jacobians, the comparison, and the rules of derivatives."""

from .check import check
from .problem import Problem
from .second_order import gradient_of

__all__ = ["Problem", "check", "gradient_of"]
