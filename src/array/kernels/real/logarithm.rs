//! Logarithms, and the sums of exponentials that need them.

macro_rules! logarithm {
    (
        $float:ident, $word:ty, shift: $shift:expr, digits: $digits:expr, bias: $bias:expr, whole: $whole:expr,
        log2e: $log2e_high:expr, $log2e_low:expr, log10e: $log10e_high:expr, $log10e_low:expr,
        log10_2: $log10_2_high:expr, $log10_2_low:expr, near: [$($near:expr),+], $($own:item)+
    ) => {
        pub mod $float {
            use super::super::exponential::$float::{exp2, exp_nonpositive};
            use super::super::polynomial::{MulAdd, polynomial};

            $($own)+

            /// The same of any positive number: subnormals are brought into range first.
            #[inline(always)]
            pub fn parts_of_any(x: $float) -> ($float, $float) {
                let small = x < $float::MIN_POSITIVE;
                let scaled = if small { x * (4.0 * $whole) } else { x };
                let undo = if small { ($digits + 2.0) * UNIT } else { 0.0 };
                let (exponent, f) = parts(scaled);
                (exponent - undo, f)
            }

            /// `value` where the logarithm of `x` is an ordinary one.
            #[inline(always)]
            fn or_special(x: $float, value: $float) -> $float {
                let beyond = if x == 0.0 { $float::NEG_INFINITY } else { $float::NAN };
                let special = if x > 0.0 { x } else { beyond };
                if (x > 0.0) & (x < $float::INFINITY) { value } else { special }
            }

            #[inline(always)]
            pub fn ln<const FUSED: bool>(x: $float) -> $float {
                or_special(x, ln_of::<FUSED>(parts_of_any(x)))
            }

            #[inline(always)]
            pub fn ln_near<const FUSED: bool>(x: $float) -> $float {
                ln_of::<FUSED>(parts(x))
            }

            #[inline(always)]
            fn log2_of<const FUSED: bool>((exponent, f): ($float, $float)) -> $float {
                let exponent = exponent * (1.0 / UNIT);
                let (high, low) = split::<FUSED>(f);
                let main = high * $log2e_high;
                let sum = exponent + main;
                let rest = (low + high) * $log2e_low + low * $log2e_high;
                sum + (rest + ((exponent - sum) + main))
            }

            #[inline(always)]
            pub fn log2<const FUSED: bool>(x: $float) -> $float {
                or_special(x, log2_of::<FUSED>(parts_of_any(x)))
            }

            #[inline(always)]
            pub fn log2_near<const FUSED: bool>(x: $float) -> $float {
                log2_of::<FUSED>(parts(x))
            }

            #[inline(always)]
            fn log10_of<const FUSED: bool>((exponent, f): ($float, $float)) -> $float {
                let exponent = exponent * (1.0 / UNIT);
                let (high, low) = split::<FUSED>(f);
                let main = high * $log10e_high;
                let shift = exponent * $log10_2_high;
                let sum = shift + main;
                let rest = ((low + high) * $log10e_low + low * $log10e_high) + exponent * $log10_2_low;
                sum + (rest + ((shift - sum) + main))
            }

            #[inline(always)]
            pub fn log10<const FUSED: bool>(x: $float) -> $float {
                or_special(x, log10_of::<FUSED>(parts_of_any(x)))
            }

            #[inline(always)]
            pub fn log10_near<const FUSED: bool>(x: $float) -> $float {
                log10_of::<FUSED>(parts(x))
            }

            /// What rounding `1 + x` lost is put back into the reduced argument.
            #[inline(always)]
            pub fn ln_1p<const FUSED: bool>(x: $float) -> $float {
                let sum = 1.0 + x;
                let x_kept = sum - 1.0;
                let lost = (1.0 - (sum - x_kept)) + (x - x_kept);
                let (exponent, f) = parts(sum);
                let scale = exponent.mul_add_if::<FUSED>(-1.0 / UNIT, $whole + $bias);
                let scale = $float::from_bits(scale.to_bits() << $shift);
                // Above this the loss cannot matter, and its scale is out of range.
                let correction = if x < $whole { lost * scale } else { 0.0 };
                let value = ln_of_sum::<FUSED>(exponent, f, correction);
                or_special(sum, value.copysign(x))
            }

            /// `ln(1 + x)` for `0 <= x <= 1`: the series reaches that far without a reduction.
            #[inline(always)]
            pub fn ln_1p_of_unit<const FUSED: bool>(x: $float) -> $float {
                let s = x / (2.0 + x);
                let z = s * s;
                (s * z).mul_add_if::<FUSED>(polynomial!(FUSED; z; $($near),+), 2.0 * s)
            }

            #[inline(always)]
            pub fn softplus<const FUSED: bool>(x: $float, beta: $float, threshold: $float) -> $float {
                let scaled = x * beta;
                let positive = if scaled > 0.0 { scaled } else { 0.0 };
                let soft = (positive + ln_1p_of_unit::<FUSED>(exp_nonpositive::<FUSED>(-scaled.abs()))) / beta;
                if scaled > threshold { x } else { soft }
            }

            #[inline(always)]
            pub fn log_sigmoid<const FUSED: bool>(x: $float) -> $float {
                let negative = if x > 0.0 { 0.0 } else { x };
                negative - ln_1p_of_unit::<FUSED>(exp_nonpositive::<FUSED>(-x.abs()))
            }

            #[inline(always)]
            pub fn entr<const FUSED: bool>(x: $float) -> $float {
                let inside = -x * ln::<FUSED>(x);
                let below = if x < 0.0 { $float::NEG_INFINITY } else { inside };
                if x == 0.0 { 0.0 } else { below }
            }

            #[inline(always)]
            pub fn logaddexp<const FUSED: bool>(x: $float, y: $float) -> $float {
                let larger = if x > y { x } else { y };
                let sum = larger + ln_1p_of_unit::<FUSED>(exp_nonpositive::<FUSED>(-(x - y).abs()));
                // The difference of equal infinities is NaN.
                if (x == y) & (x.abs() == $float::INFINITY) { x } else { sum }
            }

            #[inline(always)]
            pub fn logaddexp2<const FUSED: bool>(x: $float, y: $float) -> $float {
                let larger = if x > y { x } else { y };
                let sum = larger + ln_1p_of_unit::<FUSED>(exp2::<FUSED>(-(x - y).abs())) * std::$float::consts::LOG2_E;
                if (x == y) & (x.abs() == $float::INFINITY) { x } else { sum }
            }

            #[inline(always)]
            pub fn xlogy<const FUSED: bool>(x: $float, y: $float) -> $float {
                let product = x * ln::<FUSED>(y);
                if (x == 0.0) & !y.is_nan() { 0.0 } else { product }
            }

            #[inline(always)]
            pub fn xlog1py<const FUSED: bool>(x: $float, y: $float) -> $float {
                let product = x * ln_1p::<FUSED>(y);
                if (x == 0.0) & !y.is_nan() { 0.0 } else { product }
            }
        }
    };
}

logarithm!(
    f32, u32, shift: 23, digits: 23.0, bias: 127.0, whole: 8_388_608.0,
    log2e: 1.442_382_8, 3.122_284e-4, log10e: 4.342_041e-1, 9.038_034e-5, log10_2: 3.010_254e-1, 4.605_039e-6,
    near: [6.666_667e-1, 3.999_970_6e-1, 2.859_235_7e-1, 2.170_657_5e-1, 2.322_433e-1],

    /// The exponents below are so many times what they stand for: as their bits lie, they are one conversion away.
    const UNIT: f32 = 8_388_608.0;

    /// A positive normal number as `2^exponent (1 + f)`, `1 + f` in `[2/3, 4/3)`: the pair `(exponent UNIT, f)`.
    #[inline(always)]
    fn parts(x: f32) -> (f32, f32) {
        const LEAST: u32 = (2.0_f32 / 3.0).to_bits();
        let exponent = x.to_bits().wrapping_sub(LEAST) & (u32::MAX << 23);
        (exponent.cast_signed() as f32, f32::from_bits(x.to_bits().wrapping_sub(exponent)) - 1.0)
    }

    /// `f^2`, and `(ln(1 + f) - f) / f^2`: without a division, which takes half as long as all of a logarithm. Its first two
    /// terms are added last, for their sum is what is rounded most. The coefficients make the relative error of `ln(1 + f)`
    /// least; their last digits are those of some ten thousand tried with which `ln` and `ln_1p` round best.
    #[inline(always)]
    fn series<const FUSED: bool>(f: f32) -> (f32, f32) {
        let square = f * f;
        let rest = polynomial!(FUSED; f, square; -2.499_977_2e-1, 2.001_047_4e-1, -1.668_033_6e-1, 1.400_092_2e-1,
            -1.218_301_3e-1, 1.400_560_1e-1, -1.295_949_4e-1);
        (square, polynomial!(FUSED; f; -0.5, 3.333_324e-1, rest))
    }

    /// `exponent ln 2 + ln`.
    #[inline(always)]
    fn with_exponent<const FUSED: bool>(exponent: f32, ln: f32) -> f32 {
        if FUSED {
            return exponent.mul_add(std::f32::consts::LN_2 / UNIT, ln);
        }
        exponent * (6.931_457_5e-1 / UNIT) + (exponent * (1.428_606_8e-6 / UNIT) + ln)
    }

    #[inline(always)]
    fn ln_of<const FUSED: bool>((exponent, f): (f32, f32)) -> f32 {
        let (square, series) = series::<FUSED>(f);
        with_exponent::<FUSED>(exponent, square.mul_add_if::<FUSED>(series, f))
    }

    /// The same of `f + rest`, where `rest` is beyond the last digit of `f`: `ln(1 + f) + rest / (1 + f)`.
    #[inline(always)]
    fn ln_of_sum<const FUSED: bool>(exponent: f32, f: f32, rest: f32) -> f32 {
        let (square, series) = series::<FUSED>(f);
        let small = square.mul_add_if::<FUSED>(series, rest.mul_add_if::<FUSED>(-f, rest));
        with_exponent::<FUSED>(exponent, f + small)
    }

    /// `ln(1 + f)` as a part with few bits, whose product with another such is exact, and the rest.
    #[inline(always)]
    fn split<const FUSED: bool>(f: f32) -> (f32, f32) {
        let (square, series) = series::<FUSED>(f);
        let high = f32::from_bits(square.mul_add_if::<FUSED>(series, f).to_bits() & (u32::MAX << 12));
        (high, square.mul_add_if::<FUSED>(series, f - high))
    }
);
logarithm!(
    f64, u64, shift: 52, digits: 52.0, bias: 1023.0, whole: 4_503_599_627_370_496.0,
    log2e: 1.442_695_040_721_446_3, 1.675_171_316_488_651_2e-10,
    log10e: 0.434_294_481_878_168_9, 2.508_294_671_164_527_5e-11,
    log10_2: 0.301_029_995_549_470_2, 1.145_110_089_802_183_8e-10,
    near: [0.666_666_666_666_666_6, 0.400_000_000_000_145_85, 0.285_714_285_671_087_6, 0.222_222_227_174_278_97, 0.181_817_894_361_311_65, 0.153_855_700_650_061_27, 0.133_141_442_088_757_9, 0.120_010_728_170_033_29, 0.088_007_384_482_726_05, 0.161_640_456_922_711_34],

    /// Exponents are what they stand for.
    const UNIT: f64 = 1.0;

    /// A positive normal number as `2^exponent (1 + f)`, `1 + f` in `[sqrt(1/2), sqrt(2))`: the pair `(exponent, f)`.
    #[inline(always)]
    pub fn parts(x: f64) -> (f64, f64) {
        const MANTISSA: u64 = (1 << 52) - 1;
        const SQRT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
        /// What carries into the exponent when the mantissa is above `sqrt 2`.
        const CARRY: u64 = 1.0_f64.to_bits() - SQRT_HALF;
        const WHOLE: f64 = 4_503_599_627_370_496.0;
        let bits = x.to_bits().wrapping_add(CARRY);
        // Pasting the exponent under a large power of two turns it into a number without a conversion.
        let exponent = f64::from_bits((bits >> 52) | WHOLE.to_bits()) - (WHOLE + 1023.0);
        (exponent, f64::from_bits((bits & MANTISSA) + SQRT_HALF) - 1.0)
    }

    /// `f^2 / 2`, and `ln(1 + f) - f + f^2 / 2`, by the series of `2 artanh(s)` in `s = f / (2 + f)`.
    #[inline(always)]
    fn series<const FUSED: bool>(f: f64) -> (f64, f64) {
        let s = f / (2.0 + f);
        let z = s * s;
        let square = 0.5 * f * f;
        let series = polynomial!(FUSED; z; 0.666_666_666_666_667, 0.399_999_999_998_992_4, 0.285_714_286_260_958_9,
            0.222_222_111_151_441_6, 0.181_828_905_566_956_02, 0.153_316_740_301_678_6, 0.146_170_375_487_916_5);
        (square, s * z.mul_add_if::<FUSED>(series, square))
    }

    #[inline(always)]
    fn ln_of<const FUSED: bool>((exponent, f): (f64, f64)) -> f64 {
        let (square, rest) = series::<FUSED>(f);
        let small = square - exponent.mul_add_if::<FUSED>(1.908_214_929_270_587_7e-10, rest);
        exponent.mul_add_if::<FUSED>(0.693_147_180_369_123_8, f - small)
    }

    /// The same of `f + rest`.
    #[inline(always)]
    fn ln_of_sum<const FUSED: bool>(exponent: f64, f: f64, rest: f64) -> f64 {
        ln_of::<FUSED>((exponent, f + rest))
    }

    /// `ln(1 + f)` as a part with few bits, whose product with another such is exact, and the rest.
    #[inline(always)]
    fn split<const FUSED: bool>(f: f64) -> (f64, f64) {
        let (square, rest) = series::<FUSED>(f);
        let high = f64::from_bits((f - square).to_bits() & (u64::MAX << 32));
        (high, ((f - high) - square) + rest)
    }
);
