"""Records PyTorch's type promotion for pairs of tensors, 0-d tensors and Python scalars; needs torch 2.13.

Run from anywhere: `python tests/data/record_promotion.py` rewrites promotion.json beside this file.
"""

import json
import pathlib
import warnings

import torch

warnings.simplefilter("ignore")
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]
OPERANDS = [f"{kind}:{d}" for kind in ("tensor", "zero_dim") for d in DTYPES]
OPERANDS += ["scalar:bool", "scalar:int", "scalar:float"]
OPS = [
    "add",
    "sub",
    "mul",
    "true_divide",
    "floor_divide",
    "remainder",
    "pow",
    "maximum",
    "bitwise_and",
    "logical_or",
    "lt",
    "result_type",
]
OPERATORS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "true_divide": lambda a, b: a / b,
    "floor_divide": lambda a, b: a // b,
    "remainder": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
    "bitwise_and": lambda a, b: a & b,
    "lt": lambda a, b: a < b,
}


def operand(text):
    kind, name = text.split(":")
    if kind == "scalar":
        return {"bool": True, "int": 1, "float": 1.5}[name]
    return torch.ones((2,) if kind == "tensor" else (), dtype=getattr(torch, name))


def answer(op, a, b):
    """The name of the result's dtype, or of the exception's class."""
    try:
        out = OPERATORS.get(op, getattr(torch, op))(a, b)
    except Exception as e:
        return type(e).__name__
    return str(getattr(out, "dtype", out)).removeprefix("torch.")


table = {}
for op in OPS:
    rows = {}
    for left in OPERANDS:
        answers = []
        for right in OPERANDS:
            a, b = operand(left), operand(right)
            scalars_only = not isinstance(a, torch.Tensor) and not isinstance(b, torch.Tensor)
            no_scalar_form = op in ("maximum", "logical_or") and "scalar" in left + right
            answers.append("-" if scalars_only or no_scalar_form else answer(op, a, b))
        rows[left] = " ".join(answers)
    table[op] = rows

target = pathlib.Path(__file__).with_name("promotion.json")
target.write_text(json.dumps({"operands": OPERANDS, "table": table}, indent=1) + "\n")
