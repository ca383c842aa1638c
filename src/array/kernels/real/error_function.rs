//! The error function and the normal distribution.
//!
//! One fit serves them all: `e^(x^2/2) ndtr(-x)`, Mills' ratio but for a constant, is a rational function of positive
//! coefficients over the whole half-line, interpolated at Chebyshev points of `(x - k) / (x + k)`; the square in the
//! exponent is carried in two parts, for `e` amplifies its error (both after W. J. Cody, "Rational Chebyshev
//! approximations for the error function", 1969).

use super::separate::{exp, ln, ln_1p, ndtr};

macro_rules! error_function {
    (
        $float:ident, $word:ty, low_bits: $low_bits:expr, reach: $reach:expr, near: $near:expr, density: $density:expr,
        erf: [$($near_coefficient:expr),+], numerator: [$($numerator:expr),+], denominator: [$($denominator:expr),+]
    ) => {
        pub mod $float {
            use super::super::exponential::$float::{LOWER, exp_lifted, exp_near};
            use super::super::polynomial::{MulAdd, polynomial};
            use std::$float::consts::SQRT_2;

            /// `unit e^(x^2/2) ndtr(-x)` for `0 <= x <= sqrt(2) reach`, beyond which `ndtr(-x)` is zero. `unit` is a constant
            /// power of two and costs nothing.
            #[inline(always)]
            pub fn scaled_tail<const FUSED: bool>(x: $float, unit: $float) -> $float {
                polynomial!(FUSED; x; $(unit * $numerator),+) / polynomial!(FUSED; x; $($denominator),+)
            }

            /// The leading half of a number's digits, whose square is exact.
            #[inline(always)]
            pub fn leading(x: $float) -> $float {
                $float::from_bits(x.to_bits() & (<$word>::MAX << $low_bits))
            }

            /// `e^(-scale x^2) / LOWER` for a `scale` that is a power of two, within reach.
            #[inline(always)]
            fn lifted_exp_of_square<const FUSED: bool>(x: $float, scale: $float) -> $float {
                if FUSED {
                    let factor = -scale * x;
                    let product = factor * x;
                    return exp_lifted::<true>(product, factor.mul_add(-x, product));
                }
                let high = leading(x);
                exp_lifted::<FUSED>(-scale * (high * high), scale * ((x - high) * (x + high)))
            }

            #[inline(always)]
            fn at_most(x: $float, most: $float) -> $float {
                if x > most { most } else { x }
            }

            /// `erf(x)` for `|x| < near`.
            #[inline(always)]
            fn erf_near<const FUSED: bool>(x: $float) -> $float {
                let z = x * x;
                x.mul_add_if::<FUSED>(polynomial!(FUSED; z; $($near_coefficient),+), x)
            }

            #[inline(always)]
            pub fn erf<const FUSED: bool>(x: $float) -> $float {
                let y = at_most(x.abs(), 6.0);
                let far = 1.0 - exp_near::<FUSED>(-(y * y)) * scaled_tail::<FUSED>(y * SQRT_2, 2.0);
                let value = if y < $near { erf_near::<FUSED>(y) } else { far };
                value.copysign(x)
            }

            #[inline(always)]
            pub fn erfc<const FUSED: bool>(x: $float) -> $float {
                let y = at_most(x.abs(), $reach);
                let tail = lifted_exp_of_square::<FUSED>(y, 1.0) * scaled_tail::<FUSED>(y * SQRT_2, 2.0 * LOWER);
                let far = if x < 0.0 { 2.0 - tail } else { tail };
                if y < 0.5 { 1.0 - erf_near::<FUSED>(x) } else { far }
            }

            #[inline(always)]
            pub fn ndtr<const FUSED: bool>(x: $float) -> $float {
                let y = at_most(x.abs(), $reach * SQRT_2);
                let tail = lifted_exp_of_square::<FUSED>(y, 0.5) * scaled_tail::<FUSED>(y, LOWER);
                if x > 0.0 { 1.0 - tail } else { tail }
            }

            #[inline(always)]
            pub fn normal_density<const FUSED: bool>(x: $float) -> $float {
                let y = at_most(x.abs(), $reach * SQRT_2);
                lifted_exp_of_square::<FUSED>(y, 0.5) * ($density * LOWER)
            }
        }
    };
}

error_function!(
    f32, u32, low_bits: 12, reach: 10.2, near: 0.9, density: 0.398_942_3,
    erf: [1.283_791_5e-1, -3.761_252_8e-1, 1.128_219_44e-1, -2.678_071_9e-2, 5.014_484_3e-3, -6.102_687e-4],
    numerator: [0.5, 0.437_593_7, 0.182_670_22, 0.040_429_607, 0.004_082_358_4],
    denominator: [1.0, 1.673_072_3, 1.200_255, 0.467_968_05, 0.101_348_49, 0.010_232_835]
);
error_function!(
    f64, u64, low_bits: 27, reach: 28.0, near: 0.9, density: 0.398_942_280_401_432_7,
    erf: [
        0.128_379_167_095_512_53, -0.376_126_389_031_825_2, 0.112_837_916_708_943_19, -0.026_866_170_633_391_35,
        0.005_223_977_509_042_423, -0.000_854_832_027_903_428_2, 0.000_120_550_887_479_164_87,
        -1.491_994_804_540_738_5e-5, 1.637_600_569_928_181e-6, -1.554_748_557_327_117_5e-7, 1.026_474_293_645_102_8e-8
    ],
    numerator: [
        0.5, 0.826_889_033_029_540_9, 0.677_934_299_908_328_2, 0.356_011_052_961_392_6, 0.131_371_415_569_876_72,
        0.035_430_780_846_444_96, 0.007_063_088_713_158_424, 0.001_028_872_785_388_952_8, 0.000_105_202_460_762_608_93,
        6.865_341_155_596_364e-6, 2.197_452_346_803_666_3e-7
    ],
    denominator: [
        1.0, 2.451_662_626_861_947, 2.812_012_358_087_197, 1.995_813_558_064_123_4, 0.976_213_395_739_587_2,
        0.346_481_936_636_816_5, 0.091_356_381_251_734_7, 0.017_967_139_689_174_287, 0.002_596_210_473_309_67,
        0.000_264_254_282_323_722_35, 1.720_885_825_563_412_6e-5, 5.508_196_184_651_114e-7
    ]
);

/// Above the reach of the fit, the first terms of the asymptotic series.
pub fn erfcx(x: f64) -> f64 {
    if x < -27.0 {
        return f64::INFINITY;
    }
    if x < 0.0 {
        let high = self::f64::leading(x);
        return 2.0 * exp(high * high) * exp((x - high) * (x + high)) - erfcx(-x);
    }
    if x <= 28.0 {
        return self::f64::scaled_tail::<false>(x * std::f64::consts::SQRT_2, 2.0);
    }
    let z = 0.5 / (x * x);
    0.5 * std::f64::consts::FRAC_2_SQRT_PI / x
        * (1.0
            - z * (1.0 - z * (3.0 - z * (15.0 - z * (105.0 - z * (945.0 - z * (10_395.0 - z * 135_135.0)))))))
}

/// On the left from `erfcx`, so that nothing underflows.
pub fn log_ndtr(x: f64) -> f64 {
    if x < -1.0 {
        ln(0.5 * erfcx(-x * std::f64::consts::FRAC_1_SQRT_2)) - 0.5 * x * x
    } else {
        ln_1p(-ndtr(-x))
    }
}

/// `x` with `erf(x) = y`.
pub fn erfinv(y: f64) -> f64 {
    normal_quantile(0.5 * y, 0.5 * (1.0 - y.abs())) * std::f64::consts::FRAC_1_SQRT_2
}

/// `x` with `ndtr(x) = p`.
pub fn ndtri(p: f64) -> f64 {
    normal_quantile(p - 0.5, if p < 0.5 { p } else { 1.0 - p })
}

/// The normal quantile at `0.5 + offset`, with `tail` the distance to the nearer end: algorithm AS 241 (Wichura 1988).
fn normal_quantile(offset: f64, tail: f64) -> f64 {
    use super::polynomial::polynomial;

    if tail == 0.0 {
        return f64::INFINITY.copysign(offset);
    }
    if tail.is_nan() || tail < 0.0 {
        return f64::NAN;
    }
    if offset.abs() <= 0.425 {
        let z = 0.180_625 - offset * offset;
        let numerator = polynomial!(z; 3.387_132_872_796_366_6, 133.141_667_891_784_38, 1_971.590_950_306_551_3,
            13_731.693_765_509_46, 45_921.953_931_549_87, 67_265.770_927_008_7, 33_430.575_583_588_13, 2_509.080_928_730_122_7);
        let denominator = polynomial!(z; 1.0, 42.313_330_701_600_91, 687.187_007_492_057_9, 5_394.196_021_424_751,
            21_213.794_301_586_597, 39_307.895_800_092_71, 28_729.085_735_721_943, 5_226.495_278_852_854);
        return offset * numerator / denominator;
    }
    let depth = (-ln(tail)).sqrt();
    let (numerator, denominator) = if depth <= 5.0 {
        let r = depth - 1.6;
        (
            polynomial!(r; 1.423_437_110_749_683_5, 4.630_337_846_156_546, 5.769_497_221_460_691, 3.647_848_324_763_204_5,
                1.270_458_252_452_368_4, 0.241_780_725_177_450_6, 0.022_723_844_989_269_184, 7.745_450_142_783_414e-4),
            polynomial!(r; 1.0, 2.053_191_626_637_759, 1.676_384_830_183_803_8, 0.689_767_334_985_1, 0.148_103_976_427_480_08,
                0.015_198_666_563_616_457, 5.475_938_084_995_345e-4, 1.050_750_071_644_416_9e-9),
        )
    } else {
        let r = depth - 5.0;
        (
            polynomial!(r; 6.657_904_643_501_103, 5.463_784_911_164_114, 1.784_826_539_917_291_3, 0.296_560_571_828_504_87,
                0.026_532_189_526_576_124, 1.242_660_947_388_078_4e-3, 2.711_555_568_743_487_6e-5, 2.010_334_399_292_288_1e-7),
            polynomial!(r; 1.0, 0.599_832_206_555_887_9, 0.136_929_880_922_735_8, 0.014_875_361_290_850_615,
                7.868_691_311_456_133e-4, 1.846_318_317_510_054_8e-5, 1.421_511_758_316_446e-7, 2.044_263_103_389_939_8e-15),
        )
    };
    (numerator / denominator).copysign(offset)
}
