//! Trigonometric functions and their inverses.

pub use libm::{acos, asin};

/// The functions of numbers of any size: as many digits of pi are read as it needs.
pub use libm::{cos as cos_far, sin as sin_far, tan as tan_far};

/// Up to [`Real::REACH`](super::Real::REACH), `x = n pi/2 + r`: `r`, and the low bits of `n`.
///
/// The quarter turn is in three parts of 27, 27 and 53 bits, and `n` in two halves, so that the products are exact.
#[inline(always)]
fn reduce(x: f64) -> (f64, u64) {
    use super::exponential::f64::MAGIC;
    const TURN: [f64; 3] = [1.570_796_325_802_803, 9.920_935_739_593_517e-10, 5.721_188_726_109_832e-18];
    // Rounds to a multiple of 2^26.
    const COARSE: f64 = MAGIC * 67_108_864.0;
    let sum = x * std::f64::consts::FRAC_2_PI + MAGIC;
    let n = sum - MAGIC;
    let high = (n + COARSE) - COARSE;
    let low = n - high;
    let r = ((x - high * TURN[0]) - low * TURN[0]) - high * TURN[1];
    ((r - low * TURN[1]) - n * TURN[2], sum.to_bits())
}

macro_rules! trigonometric {
    ($float:ident, lacking: $lacking:expr, atan: [$($atan:expr),+], sin: [$($sin:expr),+], cos: [$($cos:expr),+]) => {
        pub mod $float {
            use super::super::polynomial::{MulAdd, polynomial};

            /// Sine and cosine of `|r| <= pi/4`.
            #[inline(always)]
            fn of_reduced<const FUSED: bool>(r: $float) -> ($float, $float) {
                let z = r * r;
                let sin = (r * z).mul_add_if::<FUSED>(polynomial!(FUSED; z; $($sin),+), r);
                let half = 0.5 * z;
                let near = 1.0 - half;
                let cos = near + (z * z).mul_add_if::<FUSED>(polynomial!(FUSED; z; $($cos),+), (1.0 - near) - half);
                (sin, cos)
            }

            #[inline(always)]
            pub fn sin<const FUSED: bool>(x: $float) -> $float {
                let (r, quarter) = super::reduce(f64::from(x));
                let (sin, cos) = of_reduced::<FUSED>(r as $float);
                let value = if quarter & 1 == 0 { sin } else { cos };
                let value = if quarter & 2 == 0 { value } else { -value };
                // Keeps the sign of zero, which the reduction loses.
                if x == 0.0 { x } else { value }
            }

            #[inline(always)]
            pub fn cos<const FUSED: bool>(x: $float) -> $float {
                let (r, quarter) = super::reduce(f64::from(x));
                let (sin, cos) = of_reduced::<FUSED>(r as $float);
                let value = if quarter & 1 == 0 { cos } else { sin };
                if (quarter.wrapping_add(1)) & 2 == 0 { value } else { -value }
            }

            #[inline(always)]
            pub fn tan<const FUSED: bool>(x: $float) -> $float {
                let (r, quarter) = super::reduce(f64::from(x));
                let (sin, cos) = of_reduced::<FUSED>(r as $float);
                let even = quarter & 1 == 0;
                let value = if even { sin } else { -cos } / if even { cos } else { sin };
                if x == 0.0 { x } else { value }
            }

            /// Above one by `pi/2 - atan(1/x)`, with what the constant lacks of `pi/2`.
            #[inline(always)]
            pub fn atan<const FUSED: bool>(x: $float) -> $float {
                let y = x.abs();
                let steep = y > 1.0;
                let t = if steep { 1.0 / y } else { y };
                let z = t * t;
                let near = (t * z).mul_add_if::<FUSED>(polynomial!(FUSED; z; $($atan),+), t);
                let value = if steep { std::$float::consts::FRAC_PI_2 - (near - $lacking) } else { near };
                value.copysign(x)
            }

            /// By the ratio of the smaller to the larger, then the octant.
            #[inline(always)]
            pub fn atan2<const FUSED: bool>(y: $float, x: $float) -> $float {
                let (up, across) = (y.abs(), x.abs());
                let steep = up > across;
                let (small, large) = if steep { (across, up) } else { (up, across) };
                let t = small / large;
                // Equal zeros and equal infinities have no ratio.
                let equal = if large == 0.0 { 0.0 } else { 1.0 };
                let t = if small == large { equal } else { t };
                let z = t * t;
                let near = (t * z).mul_add_if::<FUSED>(polynomial!(FUSED; z; $($atan),+), t);
                let value = if steep { std::$float::consts::FRAC_PI_2 - (near - $lacking) } else { near };
                let value = if x.is_sign_negative() { std::$float::consts::PI - (value - 2.0 * $lacking) } else { value };
                value.copysign(y)
            }

            #[inline(always)]
            pub fn sinc<const FUSED: bool>(x: $float) -> $float {
                let angle = x * std::$float::consts::PI;
                let ratio = sin::<FUSED>(angle) / angle;
                if x == 0.0 { 1.0 } else { ratio }
            }

            #[inline(always)]
            pub fn sinc_far(x: $float) -> $float {
                let angle = x * std::$float::consts::PI;
                super::sin_far(f64::from(angle)) as $float / angle
            }
        }
    };
}

trigonometric!(
    f32,
    lacking: -4.371_139e-8,
    atan: [
        -3.333_333_4e-1, 1.999_995e-1, -1.428_400_4e-1, 1.108_826_2e-1, -8.931_827e-2, 7.031_914_6e-2, -4.896_051_4e-2,
        2.630_500_1e-2, -9.144_629e-3, 1.488_691_9e-3
    ],
    sin: [-1.666_666_4e-1, 8.332_748e-3, -1.958_782_7e-4],
    cos: [4.166_666_4e-2, -1.388_830_2e-3, 2.454_787_9e-5]
);
trigonometric!(
    f64,
    lacking: 6.123_233_995_736_766e-17,
    atan: [
        -0.333_333_333_333_333_3, 0.199_999_999_999_999_2, -0.142_857_142_857_012_34, 0.111_111_111_102_682_97,
        -0.090_909_090_619_352_8, 0.076_923_070_788_270_29, -0.066_666_579_345_737_68, 0.058_822_644_167_764_49,
        -0.052_624_922_290_256_754, 0.047_580_800_836_378_21, -0.043_306_538_430_670_664, 0.039_386_875_407_986_32,
        -0.035_271_331_066_871_296, 0.030_330_719_265_790_507, -0.024_191_345_810_140_718, 0.017_183_981_722_113_35,
        -0.010_412_153_260_359_241, 0.005_140_912_856_746_939, -0.001_961_255_427_168_532_6,
        0.000_537_683_929_739_624_4, -9.371_186_345_052_626e-5, 7.767_624_330_289_919e-6
    ],
    sin: [
        -0.166_666_666_666_666_66, 0.008_333_333_333_330_946, -0.000_198_412_698_367_539_85, 2.755_731_610_017_207e-6,
        -2.505_113_134_896_025_2e-8, 1.591_809_356_143_779_5e-10
    ],
    cos: [
        0.041_666_666_666_666_664, -0.001_388_888_888_888_739_5, 2.480_158_729_876_281_6e-5, -2.755_731_727_024_068e-7,
        2.087_614_595_808_494e-9, -1.138_261_007_099_832_5e-11
    ]
);
