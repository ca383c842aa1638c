//! Rows of comparison, logic and bits.

use crate::rows;

rows! {
    table COMPARISON with methods;

    /// Whether a equals b.
    test eq(a, b) -> y = a.eq(b), { };
    /// Whether a differs from b.
    test ne(a, b) -> y = a.ne(b), { };
    /// Whether a is less than b.
    test lt(a, b) -> y = a.lt(b), { };
    /// Whether a is at most b.
    test le(a, b) -> y = a.le(b), { };
    /// Whether a is greater than b.
    test gt(a, b) -> y = a.gt(b), { };
    /// Whether a is at least b.
    test ge(a, b) -> y = a.ge(b), { };

    /// Whether x is not a number.
    real_test isnan(x) -> y = x.is_nan(), { };
    /// Whether x is infinite.
    real_test isinf(x) -> y = x.is_inf(), { };
    /// Whether x is neither infinite nor NaN.
    real_test isfinite(x) -> y = x.is_finite(), { };
    /// Whether x is plus infinity.
    real_test isposinf(x) -> y = x.is_inf() & x.gt(0.0), { };
    /// Whether x is minus infinity.
    real_test isneginf(x) -> y = x.is_inf() & x.lt(0.0), { };
    /// Whether the sign bit is set.
    real_test signbit(x) -> y = x.signbit(), { };

    /// Whether both hold.
    logic logical_and(a, b) -> y = (a & b), { };
    /// Whether either holds.
    logic logical_or(a, b) -> y = (a | b), { };
    /// Whether just one holds.
    logic logical_xor(a, b) -> y = (a ^ b), { };
    /// Whether it does not hold.
    logic logical_not(x) -> y = (!x), { };

    /// Bits set in both.
    bits bitwise_and(a, b) -> y = a & b, { };
    /// Bits set in either.
    bits bitwise_or(a, b) -> y = a | b, { };
    /// Bits set in just one.
    bits bitwise_xor(a, b) -> y = a ^ b, { };
    /// Bits shifted left.
    bits bitwise_left_shift(a, b) -> y = a.shift_left(b), { };
    /// Bits shifted right, keeping the sign.
    bits bitwise_right_shift(a, b) -> y = a.shift_right(b), { };
}
