"""Write the type stub of the compiled module, `python/arcgrad/_core.pyi`, from what the module says about itself.

    python tools/stubs.py            write the stub
    python tools/stubs.py --check    fail if the stub on disk is not what would be written

The built package must be importable. The text depends on nothing but the module, so a stale stub is a difference.
"""

from __future__ import annotations

import argparse
import keyword
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from arcgrad import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

# Parameters (name, kind, whether None is allowed, default, whether by name only) and what comes back.
Overload = tuple[list[tuple[str, str, bool, "str | None", bool]], str]
# A name, where it lives, its documentation and its overloads.
Described = tuple[str, str, "str | None", list[Any]]

STUB = pathlib.Path(__file__).parent.parent / "python" / "arcgrad" / "_core.pyi"

# What a parameter of each kind accepts.
KINDS = {
    "Tensor": "Tensor",
    "Operand": "Tensor | _Number",
    "Scalar": "_Number | Tensor",
    "Int": "_Int",
    "Ints": "_Sizes | _Int",
    "Sizes": "_Sizes | _Int",
    "Float": "_Number | Tensor",
    "Bool": "_bool",
    "Dtype": "_DType",
    "Str": "str",
    "Tensors": "Sequence[Tensor]",
    "TensorSpread": "Sequence[Tensor]",
    "Any": "Any",
}

# Kinds whose items may also be given one by one, and the type of an item.
SPREAD = {"Sizes": "_Int", "TensorSpread": "Tensor"}

# The words after `->` in a declared signature.
RETURNS = {
    "Tensor": "Tensor",
    "Tensor[]": "tuple[Tensor, ...]",
    "Scalar": "_Number",
    "int": "_int",
    "float": "_float",
    "bool": "_bool",
    "str": "str",
    "dtype": "dtype",
    "Size": "Size",
    "Generator": "Generator",
    "None": "None",
    "Any": "Any",
}

HEAD = '''"""The compiled core: tensors, their operators, and the functions on them."""

# Written by tools/stubs.py from the module itself; do not edit.

import builtins
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex, TypeAlias, final, overload

from ._layout import layout
from ._size import Size

# `bool`, `int` and `float` are names of dtypes in this module.
_bool: TypeAlias = builtins.bool
_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_Number: TypeAlias = _float | _int | _bool
_Int: TypeAlias = SupportsIndex
_Sizes: TypeAlias = Sequence[SupportsIndex] | Size
_DType: TypeAlias = dtype | type

__version__: str
default_generator: Generator
'''
BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]

# CPython's flag of classes that may be derived from (Py_TPFLAGS_BASETYPE).
MAY_BE_DERIVED_FROM = 1 << 10


def returns(text: str) -> str:
    """The annotation for what comes back; a tuple of tensors, named or not, is one of tensors."""
    if text in RETURNS:
        return RETURNS[text]
    if text.startswith("(") or "," in text:
        return "Any"
    return text if "|" in text or text in ("device", "layout", "Node") else "Any"


def parameter(name: str, kind: str, optional: bool, default: str | None) -> str:
    """One parameter as it is written in a definition."""
    annotation = KINDS[kind] + (" | None" if optional else "")
    if default is None:
        return f"{name}: {annotation}"
    simple = default if default in ("True", "False", "None") or default[:1] in "'-0123456789" else "..."
    return f"{name}: {annotation} = {simple}"


def definition(name: str, overload: Overload, method: bool) -> list[str]:
    """The lines of one overload; two where sizes may also be given one by one."""
    declared, answer = overload
    lines = []
    spread_first = any(kind in SPREAD for _, kind, *_ in declared)
    for spread in (False, True) if spread_first else (False,):
        parts, starred = (["self"] if method else []), False
        for i, (parameter_name, kind, optional, default, named) in enumerate(declared):
            if method and i == 0:
                continue
            if keyword.iskeyword(parameter_name):
                # A name that cannot be written in Python can only be given by position.
                parameter_name = f"_{parameter_name}"
            if kind in SPREAD and spread:
                parts.append(f"*{parameter_name}: {SPREAD[kind]}")
                starred = True
                continue
            if named and not starred:
                parts.append("*")
                starred = True
            parts.append(parameter(parameter_name, kind, optional, default))
        parts = ordered(parts)
        lines.append(f"def {name}({', '.join(parts)}) -> {returns(answer)}: ...")
    return lines


def ordered(parts: list[str]) -> list[str]:
    """A parameter without a default that follows one with a default gets one, as Python demands."""
    result, optional = [], False
    for part in parts:
        if part.startswith("*"):
            optional = True
            result.append(part)
            continue
        if part != "self" and " = " not in part and optional and "*" not in "".join(result):
            part += " = ..."
        optional = optional or " = " in part
        result.append(part)
    return result


def covers(first: Overload, second: Overload) -> bool:
    """Whether a type checker never gets to the second overload.

    The core tells a tensor from a number or an index, in every order of its overloads. To a type checker a tensor is
    both (it has `__index__`, and stands for a scalar), so an overload for a tensor that follows one for a number is
    marked as never matched; it stays in the stub for its readers.
    """
    wide = ("Operand", "Scalar", "Float", "Int")
    return len(first[0]) == len(second[0]) and all(
        a[0] == b[0] and (a[1] == b[1] or (b[1] == "Tensor" and a[1] in wide)) and a[4] == b[4]
        for a, b in zip(first[0], second[0], strict=True)
    )


def function(name: str, doc: str, overloads: Sequence[Overload], method: bool, indent: str) -> list[str]:
    """The definitions of one function or method."""
    lines = []
    for i, overload in enumerate(overloads):
        mark = "  # type: ignore[overload-cannot-match]" if any(covers(o, overload) for o in overloads[:i]) else ""
        lines += [line + mark for line in definition(name, overload, method)]
    lines = list(dict.fromkeys(lines))
    if len(lines) == 1:
        return [indent + lines[0]]
    return [line for text in lines for line in (f"{indent}@overload", indent + text)]


def tensor_class(described: Sequence[Described]) -> list[str]:
    """The class `Tensor`: its properties, operators and methods."""
    lines = ["class Tensor:"]
    for name, place, _, overloads in sorted(described, key=lambda d: d[0]):
        if place in ("property", "attribute"):
            kind = overloads[0][1].replace("int", "_int").replace("bool", "_bool")
            lines += ["    @property", f"    def {name}(self) -> {kind}: ..."]
            if place == "attribute":
                lines += [f"    @{name}.setter", f"    def {name}(self, value: Any, /) -> None: ..."]
    lines += ["    def __new__(cls, *args: Any, **kwargs: Any) -> Tensor: ..."]
    lines += ["    @staticmethod"]
    lines += ["    def _make_subclass(cls: type, data: Tensor, require_grad: _bool = False) -> Any: ..."]
    lines += ["    @classmethod"]
    lines += ["    def __torch_function__("]
    lines += ["        cls, func: Any, types: Any, args: Any = ..., kwargs: Any = None"]
    lines += ["    ) -> Any: ..."]
    for name in BINARY:
        for prefix in ("", "r") if name != "matmul" else ("",):
            lines += [f"    def __{prefix}{name}__(self, other: Any, /) -> Tensor: ..."]
        if name != "matmul":
            lines += [f"    def __i{name}__(self, other: Any, /) -> Tensor: ..."]
    for name in COMPARISONS:
        ignore = "  # type: ignore[override]" if name in ("eq", "ne") else ""
        lines += [f"    def __{name}__(self, other: Any, /) -> Tensor: ...{ignore}"]
    for name in ("neg", "pos", "abs", "invert"):
        lines += [f"    def __{name}__(self) -> Tensor: ..."]
    for name, kind in [
        ("hash", "_int"),
        ("bool", "_bool"),
        ("float", "_float"),
        ("int", "_int"),
        ("complex", "complex"),
        ("index", "_int"),
        ("len", "_int"),
        ("iter", "Iterator[Tensor]"),
    ]:
        lines += [f"    def __{name}__(self) -> {kind}: ..."]
    lines += ["    def __getitem__(self, key: Any, /) -> Tensor: ..."]
    lines += ["    def __setitem__(self, key: Any, value: Any, /) -> None: ..."]
    lines += ["    def __contains__(self, element: Any, /) -> _bool: ..."]
    lines += ["    def __format__(self, specification: str, /) -> str: ..."]
    methods = {d[0]: d for d in described if d[1] in ("method", "both")}
    for name, (_, _, doc, overloads) in sorted(methods.items()):
        lines += function(name, doc, overloads, True, "    ")
    known = set(methods) | {d[0] for d in described if d[1] in ("property", "attribute")}
    for name in sorted(vars(_core.Tensor)):
        value = getattr(_core.Tensor, name)
        if name not in known and not name.startswith("_") and getattr(value, "__name__", name) in methods:
            lines += [f"    {name} = {value.__name__}"]
    return lines


def plain_class(cls: type) -> list[str]:
    """A small class of the binding, from what Python can see of it."""
    lines = [] if cls.__flags__ & MAY_BE_DERIVED_FROM else ["@final"]
    lines += [f"class {cls.__name__}:"]
    head = len(lines)
    for name, value in sorted(vars(cls).items()):
        if name.startswith("__") and name not in ("__new__", "__enter__", "__exit__", "__setstate__"):
            continue
        if type(value).__name__ == "getset_descriptor":
            lines += ["    @property", f"    def {name}(self) -> Any: ..."]
        elif name == "__new__":
            lines += ["    def __new__(cls, *args: Any, **kwargs: Any) -> Any: ..."]
        else:
            lines += [f"    def {name}(self, *args: Any, **kwargs: Any) -> Any: ..."]
    return lines if len(lines) > head else [*lines, "    ..."]


def stub() -> str:
    """The text of the stub."""
    described = _core._signatures()
    lines = [HEAD]
    classes = {n: c for n, c in sorted(vars(_core).items()) if isinstance(c, type)}
    for name, cls in classes.items():
        lines += [*(tensor_class(described) if name == "Tensor" else plain_class(cls)), ""]
    for name, value in sorted(vars(_core).items()):
        if type(value) is _core.dtype:
            lines += [f"{name}: dtype"]
    lines += [""]
    functions = {d[0]: d for d in described if d[1] in ("function", "both")}
    for name, (_, _, doc, overloads) in sorted(functions.items()):
        lines += function(name, doc, overloads, False, "")
    for name, value in sorted(vars(_core).items()):
        other = getattr(value, "__name__", None)
        if name not in functions and other in functions and getattr(_core, other) is value:
            lines += [f"{name} = {other}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the stub, or check it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true", help="compare with the stub on disk and write nothing")
    text = stub()
    if not arguments.parse_args().check:
        STUB.write_text(text)
    elif not STUB.exists() or STUB.read_text() != text:
        sys.exit(f"{STUB.name} is stale: run python tools/stubs.py and commit the result")


if __name__ == "__main__":
    main()
