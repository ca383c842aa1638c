"""Print the table of src/array/kernels/real/gelu.rs: polynomials for t ndtr(-t), made in 200 bits with mpmath."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

from mpmath import cos, erfc, lu_solve, matrix, mp, mpf, nint, pi, sqrt

if TYPE_CHECKING:
    from collections.abc import Callable

mp.prec = 200

# Pieces meet where (t + SHIFT)^2 is an odd multiple of WIDTH / 2; the first begins at zero.
SHIFT, WIDTH = mpf("2.6875"), 4
FIRST = int(nint(SHIFT**2 / WIDTH))
PIECES, DEGREE = 16, 6
GRID = 240


def tail(t: mpf) -> mpf:
    """The chance of a standard normal variate above `t`."""
    return erfc(t / sqrt(mpf(2))) / 2


def narrow(x: mpf | float | str) -> float:
    """The nearest number in float32."""
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def of_least_relative_error(f: Callable[[mpf], mpf], origin: mpf, start: mpf, end: mpf, degree: int) -> list[mpf]:
    """The coefficients of the polynomial in `t - origin` next to `f`, by E. Remez's exchange of points on a grid."""
    middle, half = (start + end) / 2, (end - start) / 2
    points = [middle - half * cos(pi * i / GRID) for i in range(GRID + 1)]
    values = [f(t) for t in points]
    terms = degree + 1
    chosen = [round(GRID * mpf(i) / terms) for i in range(terms + 1)]
    while True:
        system = matrix(terms + 1, terms + 1)
        for row, i in enumerate(chosen):
            for k in range(terms):
                system[row, k] = ((points[i] - origin) / half) ** k / values[i]
            system[row, terms] = (-1) ** row
        solution = lu_solve(system, matrix([1] * (terms + 1)))
        coefficients = [solution[k] / half**k for k in range(terms)]
        errors = [
            sum(c * (t - origin) ** k for k, c in enumerate(coefficients)) / value - 1
            for t, value in zip(points, values, strict=True)
        ]
        extremes, first = [], 0
        for i in range(1, GRID + 2):
            if i > GRID or (errors[i] > 0) != (errors[first] > 0):
                extremes.append(max(range(first, i), key=lambda i: abs(errors[i])))
                first = i
        if extremes == chosen or len(extremes) != terms + 1:
            return coefficients
        chosen = extremes


def piece(number: int) -> tuple[mpf, list[mpf]]:
    """The origin and the coefficients of a piece."""
    start = max(mpf(0), sqrt(WIDTH * (number - mpf(1) / 2)) - SHIFT)
    end = sqrt(WIDTH * (number + mpf(1) / 2)) - SHIFT
    if start == 0:
        # A multiple of t, so that the relative error stays small towards zero.
        return mpf(0), [mpf(0), *of_least_relative_error(tail, mpf(0), start, end, DEGREE - 1)]
    origin = mpf(narrow(end))
    return origin, of_least_relative_error(lambda t: t * tail(t), origin, start, end, DEGREE)


def literal(x: mpf) -> str:
    """A number of float32 as Rust writes it."""
    x = narrow(x)
    digits = next(f"{x:.{n}e}" for n in range(1, 10) if narrow(f"{x:.{n}e}") == x)
    mantissa, exponent = digits.split("e")
    whole, fraction = mantissa.split(".")
    grouped = "_".join(fraction[i : i + 3] for i in range(0, len(fraction), 3))
    return f"{whole}.{grouped}e{int(exponent)}" if int(exponent) else f"{whole}.{grouped}"


def main() -> None:
    """Print a row of origins and one for each power."""
    rows: list[list[str]] = [[] for _ in range(DEGREE + 2)]
    # A piece stands where the last bits of its number point.
    for place in range(PIECES):
        origin, coefficients = piece(FIRST + (place - FIRST) % PIECES)
        for row, x in zip(rows, [origin, *coefficients], strict=True):
            row.append(literal(x))
    for row in rows:
        sys.stdout.write(f"[{', '.join(row)}],\n")


main()
