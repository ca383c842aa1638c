//! gelu, `x ndtr(x)`; in `f32` and fused steps from a table that fits into registers.
//!
//! Note [Pieces of gelu]: with `t = |x|`, `gelu(x) = max(x, 0) - t ndtr(-t)`, and what is taken away is put together of
//! polynomials. It falls like `e^(-t^2/2)`; so the pieces are not equally wide in `t` but in `(t + SHIFT)^2`, and in each
//! it falls by about the same factor. A polynomial is in the distance from its piece's right end, for from there all
//! terms of what falls like an exponential have one sign, and none cancels another's digits; the first is in `t` itself,
//! so that its relative error stays small towards zero.
//!
//! There are sixteen pieces: so many numbers of `f32` one instruction looks up in a register of AVX-512, and three do in two
//! of AVX2. Where to look, the last bits of `(t + SHIFT)^2 + MAGIC` say as they are. No compiler finds that, so loops over
//! many numbers are written in registers (`kernels/lanes.rs`); what is here is for one number: the same steps and bits.
//! Few numbers lie to the left of the pieces, and for these the formula of `f64` and of unfused steps holds; on the right
//! `gelu` is `x` before the pieces end.

/// Pieces.
pub const PLACES: usize = 16;

/// The pieces meet where `(t + SHIFT)^2` is `4 (n + 1/2)`, `n` whole.
pub const SHIFT: f32 = 2.6875;

/// `1.5 * 2^25`: added to a square, it makes a number whose last bit counts fours.
pub const MAGIC: f32 = 50_331_648.0;

/// The last number of the last piece.
pub const END: f32 = 5.679_100_5;

/// From where each piece's polynomial counts.
#[rustfmt::skip] // eight a line, as below
pub static ORIGIN: [f32; PLACES] = [
    5.436_538, 5.679_1, 0.0, 1.054_157_4, 1.555_140_7, 2.002_915_9, 2.411_519_5, 2.789_725_5,
    3.143_452, 3.476_914, 3.793_240_8, 4.094_83, 4.383_568, 4.660_969_3, 4.928_273, 5.186_507_7,
];

/// The polynomials' coefficients from the constant terms up: of least relative error in 200 bits, and then rounded
/// (`tools/gelu_pieces.py`).
#[rustfmt::skip]
pub static COEFFICIENTS: [[f32; PLACES]; 7] = [
    [
        1.476_718_6e-7, 3.844_901e-8, 0.0, 1.538_072_8e-1, 9.324_045e-2, 4.525_22e-2, 1.915_494_2e-2, 7.358_283_3e-3,
        2.624_276_8e-3, 8.817_812e-4, 2.820_157_7e-4, 8.649_882_5e-5, 2.558_936e-5, 7.334_588_6e-6, 2.044_237e-6, 5.556_673e-7,
    ],
    [
        -8.012_325_5e-7, -2.179_878_7e-7, 5.0e-1, -9.537_006e-2, -1.251_908_5e-1, -8.491_683e-2, -4.458_562_7e-2, -2.008_759_8e-2,
        -8.131_647_5e-3, -3.035_105_8e-3, -1.061_865_1e-3, -3.522_127_2e-4, -1.116_815_04e-4, -3.406_665_6e-5, -1.004_583_9e-5, -2.875_170_6e-6,
    ],
    [
        2.099_753_8e-6, 5.987_488_4e-7, -3.989_405_3e-1, -1.017_399_6e-1, 2.491_438_6e-2, 5.399_443_2e-2, 4.155_542_3e-2, 2.355_220_4e-2,
        1.124_012_6e-2, 4.771_303e-3, 1.855_405_3e-3, 6.732_078_6e-4, 2.307_750_3e-4, 7.541_719e-5, 2.365_603e-5, 7.159_752_4e-6,
    ],
    [
        -3.520_148_8e-6, -1.055_38e-6, -3.887_794_8e-5, 1.158_427_1e-1, 4.886_052_8e-2, -1.475_886e-4, -1.588_175_4e-2, -1.433_235_5e-2,
        -8.794_44e-3, -4.435_876_4e-3, -1.967_707_2e-3, -7.943_157e-4, -2.978_533e-4, -1.051_796_5e-4, -3.531_945_2e-5, -1.136_082_2e-5,
    ],
    [
        4.358_326_4e-6, 1.386_385_1e-6, 6.680_458e-2, -2.578_465e-2, -3.475_742_4e-2, -1.746_084_4e-2, -2.540_296_2e-3, 3.377_382_2e-3,
        3.813_478e-3, 2.562_772_5e-3, 1.372_980_7e-3, 6.386_802_4e-4, 2.684_728_5e-4, 1.043_545_05e-4, 3.807_251_4e-5, 1.317_523_7e-5,
    ],
    [
        -3.304_446_2e-6, -1.089_030_1e-6, -1.101_339_5e-3, -1.770_102_2e-2, 5.458_963_6e-3, 1.033_136_6e-2, 5.587_887e-3, 1.131_169_7e-3,
        -7.153_862e-4, -9.405_208e-4, -6.488_983e-4, -3.496_574_6e-4, -1.625_598_7e-4, -6.813_260_6e-5, -2.638_236e-5, -9.586_648e-6,
    ],
    [
        4.550_203e-6, 1.687_507_5e-6, -8.456_754_5e-3, 2.592_500_8e-3, 6.363_985e-3, 1.644_854_2e-3, -1.621_941_5e-3, -1.777_393_4e-3,
        -8.477_575e-4, -1.446_733_5e-4, 1.267_935_3e-4, 1.536_869_5e-4, 1.053_428_1e-4, 5.724_951_6e-5, 2.700_988e-5, 1.152_394_6e-5,
    ],
];

macro_rules! gelu_beyond {
    ($float:ident) => {
        #[inline(always)]
        pub fn gelu_beyond<const FUSED: bool>(x: $float) -> $float {
            x * super::super::error_function::$float::ndtr::<FUSED>(x)
        }
    };
}

pub mod f64 {
    gelu_beyond!(f64);
    pub use gelu_beyond as gelu;
}

pub mod f32 {
    use super::{COEFFICIENTS, END, MAGIC, ORIGIN, PLACES, SHIFT};

    gelu_beyond!(f32);

    #[inline(always)]
    pub fn gelu<const FUSED: bool>(x: f32) -> f32 {
        if !FUSED || x < -END {
            return gelu_beyond::<FUSED>(x);
        }
        let t = if x.abs() < END { x.abs() } else { END };
        let shifted = t + SHIFT;
        let place = shifted.mul_add(shifted, MAGIC).to_bits() as usize % PLACES;
        let r = t - ORIGIN[place];
        let [lower @ .., highest] = &COEFFICIENTS;
        let fall = lower.iter().rev().fold(highest[place], |sum, c| sum.mul_add(r, c[place]));
        (if x < 0.0 { -0.0 } else { x }) - fall
    }
}
