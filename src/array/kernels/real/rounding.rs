//! Rounding, remainders, signs, and choosing the larger or the smaller.

/// The same text serves both widths; `$whole` is the power of two above which
/// every number is whole.
macro_rules! rounding {
    ($float:ident, $whole:expr) => {
        pub mod $float {
            /// Adding `2^23` (`2^52`) leaves no room for a fraction, so the sum is rounded, halves to even.
            #[inline(always)]
            pub fn round(x: $float) -> $float {
                let magnitude = x.abs();
                let rounded = ((magnitude + $whole) - $whole).copysign(x);
                // Not `magnitude < $whole`, so that NaN is passed on.
                if magnitude >= $whole { x } else { rounded }
            }

            #[inline(always)]
            pub fn frac(x: $float) -> $float {
                x - x.trunc()
            }

            #[inline(always)]
            pub fn signum(x: $float) -> $float {
                let positive = if x > 0.0 { 1.0 } else { 0.0 };
                if x < 0.0 { -1.0 } else { positive }
            }

            #[inline(always)]
            pub fn remainder(a: $float, b: $float) -> $float {
                let rest = a % b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
            }

            /// From the exact remainder, since `(a / b).floor()` is wrong where the quotient rounds up to a whole number.
            #[inline(always)]
            pub fn floor_divide(a: $float, b: $float) -> $float {
                if b == 0.0 {
                    return a / b;
                }
                let rest = a % b;
                let mut quotient = (a - rest) / b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
                    quotient -= 1.0;
                }
                if quotient == 0.0 {
                    return (0.0 as $float).copysign(a / b);
                }
                let down = quotient.floor();
                if quotient - down > 0.5 { down + 1.0 } else { down }
            }

            #[inline(always)]
            pub fn nextafter(x: $float, y: $float) -> $float {
                if x.is_nan() || y.is_nan() {
                    return x + y;
                }
                if x == y {
                    return y;
                }
                if x == 0.0 {
                    return $float::from_bits(1).copysign(y);
                }
                // Neighbours of one sign are neighbours as integers.
                let away_from_zero = (x < y) == (x > 0.0);
                let bits = x.to_bits();
                $float::from_bits(if away_from_zero { bits + 1 } else { bits - 1 })
            }

            #[inline(always)]
            pub fn maximum(a: $float, b: $float) -> $float {
                if (a < b) | b.is_nan() { b } else { a }
            }

            #[inline(always)]
            pub fn minimum(a: $float, b: $float) -> $float {
                if (a > b) | b.is_nan() { b } else { a }
            }

            #[inline(always)]
            pub fn fmax(a: $float, b: $float) -> $float {
                if (a < b) | a.is_nan() { b } else { a }
            }

            #[inline(always)]
            pub fn fmin(a: $float, b: $float) -> $float {
                if (a > b) | a.is_nan() { b } else { a }
            }

            /// With `low` above `high` the answer is `high`, as in PyTorch.
            #[inline(always)]
            pub fn clamp(x: $float, low: $float, high: $float) -> $float {
                minimum(maximum(x, low), high)
            }

            #[inline(always)]
            pub fn heaviside(x: $float, at_zero: $float) -> $float {
                let step = if x > 0.0 { 1.0 } else { 0.0 };
                if x == 0.0 { at_zero } else { step }
            }
        }
    };
}

rounding!(f32, 8_388_608.0);
rounding!(f64, 4_503_599_627_370_496.0);
