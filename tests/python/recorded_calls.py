"""Calls whose answers PyTorch gave beforehand (tests/data/record_mechanics.py), and how ours are held against them."""

import json
import math
import pathlib
import warnings

import arcgrad as torch

_GROUPS = json.loads((pathlib.Path(__file__).parent.parent / "data" / "mechanics.json").read_text())


def calls(group):
    """The recorded expressions of a group."""
    return list(_GROUPS[group]["answers"])


def setup(group):
    """The names that a group's expressions use, of the module under test."""
    scope = {"torch": torch}
    exec(_GROUPS[group]["setup"].replace("from torch.", "from arcgrad."), scope)
    return scope


def theirs(group, call):
    """What PyTorch answered: ["ok", value, warnings] or [class, message, warnings]."""
    return _GROUPS[group]["answers"][call]


def ours(call, scope):
    """What the module under test answers, in the same form; it is called torch in messages."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = ["ok", _encoded(eval(call, scope))]
        except Exception as error:
            answer = [type(error).__name__, str(error).replace("arcgrad.", "torch.")]
    return [*answer, [[warning.category.__name__, str(warning.message)] for warning in caught]]


def _encoded(value):
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).rsplit(".", maxsplit=1)[-1]
        return {"shape": list(value.shape), "dtype": dtype, "grad": value.requires_grad, "values": value.tolist()}
    return [_encoded(part) for part in value] if isinstance(value, (tuple, list)) else value


def is_same(mine, other, rel_tol):
    """Whether two recorded values are of one structure, with numbers equal to a relative tolerance."""
    if isinstance(mine, dict) and isinstance(other, dict):
        return mine.keys() == other.keys() and all(is_same(mine[k], other[k], rel_tol) for k in mine)
    if isinstance(mine, list) and isinstance(other, list):
        pairs = zip(mine, other, strict=False)
        return len(mine) == len(other) and all(is_same(a, b, rel_tol) for a, b in pairs)
    if type(mine) is float and type(other) is float:
        return math.isclose(mine, other, rel_tol=rel_tol, abs_tol=rel_tol)
    return type(mine) is type(other) and mine == other
