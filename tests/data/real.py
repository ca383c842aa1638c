"""Writes real.txt: values of element-wise functions at f64 points, computed in 300 bits.

A line is `name x [y] value rest`: the bits of the points and of the nearest f64 to the value, and what that
lacks of the value in units in the last place. Run `python3 tests/data/real.py > tests/data/real.txt` (needs mpmath).
"""

import math
import random
import struct
import sys

from mpmath import mp, mpf
import mpmath as m

mp.prec = 300
POINTS = int(sys.argv[1]) if len(sys.argv) > 1 else 120


def bits(x):
    return struct.pack(">d", x).hex()


def log_ndtr(x):
    return m.log(m.erfc(-x / m.sqrt(2)) / 2)


def ndtri(p):
    # Newton's method on erfc from a coarse start.
    tail = p if p < 0.5 else 1 - p
    x = -m.sqrt(-2 * m.log(tail)) if tail < 0.1 else m.mpf(0)
    for _ in range(60):
        value = m.erfc(-x / m.sqrt(2)) / 2
        step = (value - tail) / (m.exp(-x * x / 2) / m.sqrt(2 * m.pi))
        # Halley's correction keeps the far tail from overshooting.
        step = step / (1 + x * step / 2)
        x -= step
        if abs(step) < abs(x) * mpf(2) ** -250 or step == 0:
            break
    return x if p < 0.5 else -x


def erfinv(y):
    return -ndtri((1 - abs(y)) / 2) / m.sqrt(2) * m.sign(y)


def softplus(x):
    # From the threshold on, the function is x itself by definition.
    return x if x > 20 else m.log1p(m.exp(x))


def sinc(x):
    return m.sin(m.pi * x) / (m.pi * x)


def hurwitz(x, q):
    # By Euler and Maclaurin's formula from the sixtieth term on, whose remainder is below 2^-300 there.
    q, start = mpf(q), mpf(q) + 60
    total = sum((q + k) ** -x for k in range(60)) + start ** (1 - x) / (x - 1) + start**-x / 2
    term = x * start ** (-x - 1)
    for k in range(1, 61):
        total += m.bernoulli(2 * k) / m.factorial(2 * k) * term
        term *= (x + 2 * k - 1) * (x + 2 * k) / start**2
    return total


def wide(f):
    """In a precision that survives cancellation in the far tail."""

    def g(x):
        with mp.workprec(300 + int(3 * float(x) ** 2 if abs(x) < 60 else 2000)):
            return f(x)

    return g


E = 1.0
ONE = {
    "exp": (lambda x: m.exp(x), -745, 709.7),
    "exp2": (lambda x: mpf(2) ** x, -1074, 1023.9),
    "expm1": (lambda x: m.expm1(x), -40, 709.7),
    "ln": (lambda x: m.log(x), 0, 1e300),
    "ln_1p": (lambda x: m.log1p(x), -1, 1e300),
    "log2": (lambda x: m.log(x) / m.log(2), 0, 1e300),
    "log10": (lambda x: m.log10(x), 0, 1e300),
    "sin": (m.sin, -1e14, 1e14),
    "cos": (m.cos, -1e14, 1e14),
    "tan": (m.tan, -1e14, 1e14),
    "sin_far": (m.sin, -1e300, 1e300),
    "cos_far": (m.cos, -1e300, 1e300),
    "tan_far": (m.tan, -1e300, 1e300),
    "asin": (m.asin, -1, 1),
    "acos": (m.acos, -1, 1),
    "atan": (m.atan, -1e300, 1e300),
    "sinh": (m.sinh, -710, 710),
    "cosh": (m.cosh, -710, 710),
    "tanh": (m.tanh, -20, 20),
    "asinh": (m.asinh, -1e300, 1e300),
    "acosh": (m.acosh, 1, 1e300),
    "atanh": (m.atanh, -1, 1),
    "sigmoid": (lambda x: 1 / (1 + m.exp(-x)), -745, 40),
    "log_sigmoid": (lambda x: -m.log1p(m.exp(-x)), -1000, 700),
    "erf": (m.erf, -6, 6),
    "erfc": (wide(m.erfc), -6, 26),
    "erfcx": (wide(lambda x: m.exp(x * x) * m.erfc(x)), -20, 100),
    "erfinv": (erfinv, -1, 1),
    "ndtr": (wide(lambda x: m.erfc(-x / m.sqrt(2)) / 2), -37, 9),
    "normal_density": (lambda x: m.exp(-x * x / 2) / m.sqrt(2 * m.pi), -38, 38),
    "log_ndtr": (wide(log_ndtr), -60, 30),
    "ndtri": (ndtri, 0, 1),
    "lgamma": (lambda x: m.log(abs(m.gamma(x))) if x < 1e4 else m.loggamma(x), 0, 1e10),
    "digamma": (m.psi0 if hasattr(m, "psi0") else (lambda x: m.psi(0, x)), -30, 1e10),
    "trigamma": (lambda x: m.psi(1, x), -30, 1e10),
    "i0": (lambda x: m.besseli(0, x), -700, 700),
    "i0e": (lambda x: m.besseli(0, x) * m.exp(-abs(x)), -700, 700),
    "i1": (lambda x: m.besseli(1, x), -700, 700),
    "i1e": (lambda x: m.besseli(1, x) * m.exp(-abs(x)), -700, 700),
    "bessel_j0": (lambda x: m.besselj(0, x), -1e6, 1e6),
    "bessel_j1": (lambda x: m.besselj(1, x), -1e6, 1e6),
    "bessel_y0": (lambda x: m.bessely(0, x), 0, 1e6),
    "bessel_y1": (lambda x: m.bessely(1, x), 0, 1e6),
    "cbrt": (lambda x: m.cbrt(x) if x > 0 else -m.cbrt(-x), -1e300, 1e300),
    "rsqrt": (lambda x: 1 / m.sqrt(x), 0, 1e300),
    "sinc": (sinc, -1e6, 1e6),
    "entr": (lambda x: -x * m.log(x), 0, 1e300),
    "elu": (lambda x: x if x > 0 else m.expm1(x), -745, 1e300),
    "gelu": (wide(lambda x: x * m.erfc(-x / m.sqrt(2)) / 2), -37, 1e300),
    "silu": (lambda x: x / (1 + m.exp(-x)), -700, 1e300),
    "mish": (lambda x: x * m.tanh(softplus(x)), -700, 1e300),
    "softplus": (softplus, -745, 1e300),
}


def size(rng, low, high):
    return 2.0 ** rng.uniform(math.log2(low), math.log2(high))


def signed(rng, low, high):
    return rng.choice([-1, 1]) * size(rng, low, high)


# Functions of two numbers, and what draws these.
TWO = {
    "hypot": (lambda x, y: m.hypot(x, y), lambda r: (signed(r, 1e-9, 1e9), signed(r, 1e-9, 1e9))),
    "logaddexp": (lambda x, y: m.log(m.exp(x) + m.exp(y)), lambda r: (signed(r, 1e-3, 700), signed(r, 1e-3, 700))),
    "logaddexp2": (
        lambda x, y: m.log(mpf(2) ** x + mpf(2) ** y) / m.log(2),
        lambda r: (signed(r, 1e-3, 1000), signed(r, 1e-3, 1000)),
    ),
    "xlogy": (lambda x, y: x * m.log(y), lambda r: (signed(r, 1e-9, 1e9), size(r, 1e-300, 1e300))),
    "xlog1py": (lambda x, y: x * m.log1p(y), lambda r: (signed(r, 1e-9, 1e9), size(r, 1e-300, 1e300))),
    "igamma": (
        lambda a, x: m.gammainc(a, 0, x, regularized=True),
        lambda r: (a := size(r, 1e-2, 1e3), a * size(r, 0.1, 10)),
    ),
    "igammac": (
        lambda a, x: m.gammainc(a, x, regularized=True),
        lambda r: (a := size(r, 1e-2, 1e3), a * size(r, 0.1, 10)),
    ),
    "zeta": (hurwitz, lambda r: (1 + size(r, 1e-2, 50), size(r, 1e-2, 1e3))),
}


def points(rng, low, high):
    for k in range(POINTS):
        kind = k % 4
        if kind == 0 and math.isfinite(high - low):
            yield rng.uniform(max(low, -1e6), min(high, 1e6))
        elif kind == 1:
            yield rng.uniform(max(low, -3), min(high, 3))
        else:
            top = math.log2(max(abs(low), abs(high)))
            x = 2.0 ** rng.uniform(-60 if kind == 2 else -5, top if kind == 2 else min(top, 12) if k % 8 < 4 else top)
            if low < 0 and rng.random() < 0.5:
                x = -x
            if low < x < high:
                yield x
        if k % 10 == 9 and low <= 0.5 and high >= 2:
            yield 1.0 + rng.choice([-1, 1]) * 2.0 ** rng.uniform(-50, -2)


def line(name, inputs, value):
    nearest = float(value)
    if nearest == 0 or not math.isfinite(nearest):
        return
    rest = float((value - mpf(nearest)) / mpf(math.ulp(nearest)))
    print(name, *(bits(x) for x in inputs), bits(nearest), f"{rest:.3f}")


def main():
    for name, (f, low, high) in ONE.items():
        rng = random.Random(name)
        for x in points(rng, low, high):
            if low < x < high and x != 0:
                line(name, [x], f(mpf(x)))
    rng = random.Random("pow")
    for k in range(3 * POINTS):
        x = 2.0 ** rng.uniform(-1, 1) if k % 3 == 0 else 2.0 ** rng.uniform(-200, 200)
        if k % 5 == 0:
            x = 1 + rng.choice([-1, 1]) * 2.0 ** rng.uniform(-40, -3)
        most = 1000 / abs(math.log2(x))
        y = rng.uniform(-most, most) if k % 2 else rng.choice([-3.0, -2.0, -1.0, -0.5, 0.5, 1.5, 2.0, 3.0, 10.0])
        line("pow", [x, y], mpf(x) ** mpf(y))
    rng = random.Random("atan2")
    for _ in range(3 * POINTS):
        y, x = (rng.choice([-1, 1]) * 2.0 ** rng.uniform(-5, 5) for _ in range(2))
        line("atan2", [y, x], m.atan2(mpf(y), mpf(x)))
    for name, (f, draw) in TWO.items():
        rng = random.Random(name)
        for _ in range(POINTS):
            x, y = draw(rng)
            line(name, [x, y], f(mpf(x), mpf(y)))


main()
