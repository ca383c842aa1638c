//! The error function and the normal distribution.
//!
//! One fit serves them all: `(1 + 2x) e^(x^2) erfc(x)` is smooth in `t = (x - k) / (x + k)` over the whole half-line
//! (Shepherd and Laframboise 1981), and the square in the exponent is carried in two parts, for `e` amplifies its error.

macro_rules! error_function {
    (
        $float:ident, $word:ty, low_bits: $low_bits:expr, reach: $reach:expr, pivot: $pivot:expr, near: $near:expr, density: $density:expr,
        erf: [$($near_coefficient:expr),+], erfcx: [$($coefficient:expr),+]
    ) => {
        pub mod $float {
            use super::super::exponential::$float::{exp, exp_near};
            use super::super::polynomial::polynomial;

            /// `e^(x^2) erfc(x)` for `0 <= x <= reach`, beyond which `erfc` is zero.
            #[inline(always)]
            pub fn scaled_tail(x: $float) -> $float {
                let t = (x - $pivot) / (x + $pivot);
                polynomial!(t; $($coefficient),+) / (1.0 + 2.0 * x)
            }

            /// `e^(-scale x^2)` for a `scale` that is a power of two.
            #[inline(always)]
            pub fn exp_of_square(x: $float, scale: $float) -> $float {
                let square = x * x;
                let high = $float::from_bits(x.to_bits() & (<$word>::MAX << $low_bits));
                let low = x - high;
                let lost = ((high * high - square) + 2.0 * high * low) + low * low;
                let e = exp(-scale * square);
                e - e * (scale * lost)
            }

            #[inline(always)]
            fn at_most(x: $float, most: $float) -> $float {
                if x > most { most } else { x }
            }

            /// `erf(x)` for `|x| < near`.
            #[inline(always)]
            fn erf_near(x: $float) -> $float {
                let z = x * x;
                x + x * polynomial!(z; $($near_coefficient),+)
            }

            #[inline(always)]
            pub fn erf(x: $float) -> $float {
                let y = at_most(x.abs(), 6.0);
                let far = 1.0 - exp_near(-(y * y)) * scaled_tail(y);
                let value = if y < $near { erf_near(y) } else { far };
                value.copysign(x)
            }

            #[inline(always)]
            pub fn erfc(x: $float) -> $float {
                let y = at_most(x.abs(), $reach);
                let tail = exp_of_square(y, 1.0) * scaled_tail(y);
                let far = if x < 0.0 { 2.0 - tail } else { tail };
                if y < 0.5 { 1.0 - erf_near(x) } else { far }
            }

            #[inline(always)]
            pub fn ndtr(x: $float) -> $float {
                let y = at_most(x.abs(), $reach * std::$float::consts::SQRT_2);
                let scaled = y * std::$float::consts::FRAC_1_SQRT_2;
                let tail = 0.5 * exp_of_square(y, 0.5) * scaled_tail(scaled);
                let far = if x > 0.0 { 1.0 - tail } else { tail };
                if y < 0.7 { 0.5 + 0.5 * erf_near(scaled.copysign(x)) } else { far }
            }

            #[inline(always)]
            pub fn normal_density(x: $float) -> $float {
                let y = at_most(x.abs(), $reach * std::$float::consts::SQRT_2);
                exp_of_square(y, 0.5) * $density
            }
        }
    };
}

error_function!(
    f32, u32, low_bits: 12, reach: 10.2, pivot: 3.0, near: 0.9, density: 0.398_942_3,
    erf: [1.283_791_5e-1, -3.761_252_8e-1, 1.128_219_44e-1, -2.678_071_9e-2, 5.014_484_3e-3, -6.102_687e-4],
    erfcx: [
        1.253_008, -1.356_211_5e-1, -4.756_229e-2, 1.296_466_1e-1, -1.192_724_8e-1, 6.829_337e-2, -2.379_134_9e-2,
        2.578_845_2e-3, 1.996_375_9e-3, -7.957_492_5e-4, -2.763_902_6e-4
    ]
);
error_function!(
    f64, u64, low_bits: 27, reach: 28.0, pivot: 3.75, near: 0.9, density: 0.398_942_280_401_432_7,
    erf: [
        0.128_379_167_095_512_53, -0.376_126_389_031_825_2, 0.112_837_916_708_943_19, -0.026_866_170_633_391_35,
        0.005_223_977_509_042_423, -0.000_854_832_027_903_428_2, 0.000_120_550_887_479_164_87,
        -1.491_994_804_540_738_5e-5, 1.637_600_569_928_181e-6, -1.554_748_557_327_117_5e-7, 1.026_474_293_645_102_8e-8
    ],
    erfcx: [
        1.237_512_630_837_827_5, -0.140_240_598_585_547_02, 0.003_585_415_485_462_904_5, 0.082_276_738_490_151_13,
        -0.108_803_930_141_658_05, 0.092_304_321_160_215_22, -0.058_693_398_591_761_654, 0.028_362_277_420_753_86,
        -0.009_746_579_532_336_114, 0.001_755_625_845_448_494_4, 0.000_293_713_483_220_540_4,
        -0.000_290_154_097_404_967_6, 5.164_990_829_645_606e-5, 2.238_455_062_848_927_8e-5,
        -1.144_644_488_275_014_6e-5, -9.750_133_129_744_938e-7, 1.755_757_241_963_080_5e-6,
        -5.361_966_556_540_493e-8, -2.630_076_084_593_476e-7, 1.814_805_141_829_280_6e-8,
        4.077_382_269_543_894_6e-8, 2.040_095_876_540_556_4e-10, -4.999_295_226_477_826e-9,
        -9.749_977_861_841_957e-10
    ]
);

/// Above the reach of the fit, the first terms of the asymptotic series.
pub fn erfcx(x: f64) -> f64 {
    if x < -27.0 {
        return f64::INFINITY;
    }
    if x < 0.0 {
        return 2.0 * self::f64::exp_of_square(x, -1.0) - erfcx(-x);
    }
    if x <= 28.0 {
        return self::f64::scaled_tail(x);
    }
    let z = 0.5 / (x * x);
    0.5 * std::f64::consts::FRAC_2_SQRT_PI / x
        * (1.0
            - z * (1.0 - z * (3.0 - z * (15.0 - z * (105.0 - z * (945.0 - z * (10_395.0 - z * 135_135.0)))))))
}

/// On the left from `erfcx`, so that nothing underflows.
pub fn log_ndtr(x: f64) -> f64 {
    if x < -1.0 {
        super::logarithm::f64::ln(0.5 * erfcx(-x * std::f64::consts::FRAC_1_SQRT_2)) - 0.5 * x * x
    } else {
        super::logarithm::f64::ln_1p(-self::f64::ndtr(-x))
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
    let depth = (-super::logarithm::f64::ln(tail)).sqrt();
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
