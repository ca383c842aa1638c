//! The exponential and what is one step from it: `exp2`, `expm1`, the logistic function.

macro_rules! exponential {
    (
        $float:ident, $word:ty, magic: $magic:expr, shift: $shift:expr, bias: $bias:expr, lift: $lift:expr,
        ln2: $ln2_high:expr, $ln2_low:expr,
        exp: $exp_least:expr, $exp_most:expr, exp2: $exp2_least:expr, $exp2_most:expr, expm1: $expm1_least:expr,
        remainder: $($coefficient:expr),+
    ) => {
        pub mod $float {
            use super::super::polynomial::{MulAdd, polynomial};

            /// Adding this and taking it away rounds to a whole number, which the low bits of the sum hold meanwhile.
            pub const MAGIC: $float = $magic;

            /// The same, and a sum's low bits are the exponent's of a power of two.
            pub const EXPONENT: $float = MAGIC + $bias as $float;

            /// `x = n ln 2 + r + tail`, with `n` whole and `r + tail` within `ln 2 / 2` of zero.
            struct Reduced {
                n: $float,
                r: $float,
                tail: $float,
            }

            /// `EXPONENT + n`.
            #[inline(always)]
            fn sum_of_powers<const FUSED: bool>(x: $float) -> $float {
                x.mul_add_if::<FUSED>(std::$float::consts::LOG2_E, EXPONENT)
            }

            /// `r`, without the tail.
            #[inline(always)]
            fn rest<const FUSED: bool>(x: $float, n: $float) -> $float {
                n.mul_add_if::<FUSED>(-$ln2_low, n.mul_add_if::<FUSED>(-$ln2_high, x))
            }

            #[inline(always)]
            fn reduce<const FUSED: bool>(x: $float) -> Reduced {
                let n = sum_of_powers::<FUSED>(x) - EXPONENT;
                let near = n.mul_add_if::<FUSED>(-$ln2_high, x);
                let correction = n * $ln2_low;
                let r = near - correction;
                Reduced { n, r, tail: (near - r) - correction }
            }

            /// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`.
            #[inline(always)]
            pub fn remainder<const FUSED: bool>(r: $float) -> $float {
                polynomial!(FUSED; r; $($coefficient),+)
            }

            /// `e^r - 1` for `|r| <= ln 2 / 2`.
            #[inline(always)]
            fn expm1_reduced<const FUSED: bool>(r: $float) -> $float {
                (r * r).mul_add_if::<FUSED>(remainder::<FUSED>(r), r)
            }

            /// `2^n` for the whole `n` of a sum `EXPONENT + n`.
            #[inline(always)]
            pub fn power_of_two(sum: $float) -> $float {
                $float::from_bits(sum.to_bits() << $shift)
            }

            /// Two powers of two whose product is `2^n`, so that `n` may leave the range of exponents by as much again.
            #[inline(always)]
            pub fn two_powers(n: $float) -> ($float, $float) {
                let half = n * 0.5 + EXPONENT;
                (power_of_two(half), power_of_two((n - (half - EXPONENT)) + EXPONENT))
            }

            #[inline(always)]
            fn within(x: $float, least: $float, most: $float) -> $float {
                // Both comparisons are false for NaN, which is passed on.
                let x = if x < least { least } else { x };
                if x > most { most } else { x }
            }

            /// `2^n e^r` of a power that is given.
            #[inline(always)]
            fn scaled<const FUSED: bool>(power: $float, r: $float) -> $float {
                power.mul_add_if::<FUSED>(expm1_reduced::<FUSED>(r), power)
            }

            /// `e^x 2^shift`.
            #[inline(always)]
            pub fn exp_shifted<const FUSED: bool>(x: $float, shift: $float) -> $float {
                let x = within(x, $exp_least, $exp_most);
                let n = sum_of_powers::<FUSED>(x) - EXPONENT;
                let (first, second) = two_powers(n + shift);
                scaled::<FUSED>(first, rest::<FUSED>(x, n)) * second
            }

            #[inline(always)]
            pub fn exp<const FUSED: bool>(x: $float) -> $float {
                exp_shifted::<FUSED>(x, 0.0)
            }

            /// By so many powers of two a result is lifted out of the subnormal numbers, or lowered from above the largest.
            const LIFT: $word = $lift;
            /// What undoes the lift.
            pub const LOWER: $float = $float::from_bits(($bias - LIFT) << $shift);

            /// `e^(x - less) 2^shift` with one power of two, so where both `2^shift` times a half of it and twice it are
            /// normal numbers. `less` is within 0.05 of zero, and counts with all its digits.
            #[inline(always)]
            fn exp_once<const FUSED: bool>(x: $float, less: $float, shift: $word) -> $float {
                let sum = sum_of_powers::<FUSED>(x);
                let r = rest::<FUSED>(x, sum - EXPONENT) - less;
                scaled::<FUSED>(power_of_two($float::from_bits(sum.to_bits().wrapping_add(shift))), r)
            }

            /// `e^x` of `x` not beyond the reach of near forms.
            #[inline(always)]
            pub fn exp_near<const FUSED: bool>(x: $float) -> $float {
                exp_once::<FUSED>(x, 0.0, 0)
            }

            /// `e^(x - less) / LOWER` of `x` from where `e^x` underflows up to zero.
            #[inline(always)]
            pub fn exp_lifted<const FUSED: bool>(x: $float, less: $float) -> $float {
                exp_once::<FUSED>(x, less, LIFT)
            }

            #[inline(always)]
            pub fn exp_nonpositive<const FUSED: bool>(x: $float) -> $float {
                exp_lifted::<FUSED>(if x < $exp_least { $exp_least } else { x }, 0.0) * LOWER
            }

            #[inline(always)]
            pub fn exp2<const FUSED: bool>(x: $float) -> $float {
                let x = within(x, $exp2_least, $exp2_most);
                let n = (x + EXPONENT) - EXPONENT;
                let (first, second) = two_powers(n);
                scaled::<FUSED>(first, (x - n) * std::$float::consts::LN_2) * second
            }

            #[inline(always)]
            pub fn exp2_near<const FUSED: bool>(x: $float) -> $float {
                let sum = x + EXPONENT;
                scaled::<FUSED>(power_of_two(sum), (x - (sum - EXPONENT)) * std::$float::consts::LN_2)
            }

            /// `2^n (e^r - 1) + (2^n - 1)`, the small parts of it added last.
            #[inline(always)]
            pub fn expm1<const FUSED: bool>(x: $float) -> $float {
                let Reduced { n, r, tail } = reduce::<FUSED>(within(x, $expm1_least, $exp_most));
                let half = n * 0.5 + EXPONENT;
                let other = n - (half - EXPONENT);
                let (first, second) = (power_of_two(half), power_of_two(EXPONENT + other));
                let one = power_of_two(EXPONENT - other);
                let rest = (r * r).mul_add_if::<FUSED>(remainder::<FUSED>(r), tail);
                let value = first.mul_add_if::<FUSED>(rest, first.mul_add_if::<FUSED>(r, first - one)) * second;
                value.copysign(x)
            }

            /// `expm1` of `x` in `[-86, 0]`. Where there is a power of two to be multiplied by, the value is beyond 0.29 in magnitude,
            /// and of `r` and `ln 2` no more than their first digits counts.
            #[inline(always)]
            pub fn expm1_nonpositive<const FUSED: bool>(x: $float) -> $float {
                let sum = sum_of_powers::<FUSED>(x);
                let r = (sum - EXPONENT).mul_add_if::<FUSED>(-std::$float::consts::LN_2, x);
                let power = power_of_two(sum);
                power.mul_add_if::<FUSED>(expm1_reduced::<FUSED>(r), power - 1.0)
            }

            /// `1 / (1 + e^-x)` with all terms lowered, so that `e^-x` does not overflow before the quotient underflows.
            #[inline(always)]
            pub fn sigmoid<const FUSED: bool>(x: $float) -> $float {
                let e = exp_once::<FUSED>(within(-x, -40.0, -$exp_least), 0.0, LIFT.wrapping_neg());
                LOWER / (LOWER + e)
            }

            #[inline(always)]
            pub fn sigmoid_near<const FUSED: bool>(x: $float) -> $float {
                1.0 / (1.0 + exp_near::<FUSED>(-x))
            }
        }
    };
}

exponential!(
    f32, u32, magic: 12_582_912.0, shift: 23, bias: 127, lift: 64,
    ln2: 6.931_457_5e-1, 1.428_606_8e-6,
    exp: -104.0, 91.0, exp2: -151.0, 128.0, expm1: -18.0,
    remainder: 5.0e-1, 1.666_657_6e-1, 4.166_655_6e-2, 8.363_195e-3, 1.392_620_4e-3
);
exponential!(
    f64, u64, magic: 6_755_399_441_055_744.0, shift: 52, bias: 1023, lift: 128,
    ln2: 0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10,
    exp: -746.0, 712.0, exp2: -1076.0, 1024.0, expm1: -38.0,
    remainder: 0.500_000_000_000_000_1, 0.166_666_666_666_666_69, 0.041_666_666_666_624_04, 0.008_333_333_333_330_055,
    0.001_388_888_891_725_875_9, 0.000_198_412_698_630_882_55, 2.480_152_122_598_643_2e-5,
    2.755_726_840_619_079_5e-6, 2.762_012_171_738_193_3e-7, 2.510_041_108_201_49e-8
);
