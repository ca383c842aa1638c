//! Normal samples: pairs in double precision for short runs, blocks of 16 at once for long ones.

use super::fused::with_fused_multiply_add;
use super::{Float, Generator, RandomError, STRIP};

/// Uniform samples in one block: eight for the radii of Box and Muller's transform, then eight for the angles.
const BLOCK: usize = 16;

impl Generator {
    /// Fills `out` from the normal distribution of mean `mean` and standard deviation `std`.
    ///
    /// A run of at least 16 is made of blocks of 16, the last of which ends with the run and is drawn anew. A shorter one is
    /// made of pairs, and leaves the second of the last pair to the next call; see [`Generator::normal_pairs`].
    ///
    /// # Errors
    ///
    /// When `std` is negative or not a number.
    pub fn normal<T: Float>(&mut self, out: &mut [T], mean: f64, std: f64) -> Result<(), RandomError> {
        if out.len() < BLOCK {
            return self.normal_pairs(out, mean, std);
        }
        check_deviation(std)?;
        for strip in out.chunks_mut(STRIP) {
            self.normal_strip(strip, mean, std);
        }
        if !out.len().is_multiple_of(BLOCK) {
            let last = out.len() - BLOCK;
            self.normal_strip(&mut out[last..], mean, std);
        }
        Ok(())
    }

    /// [`Generator::normal`] one pair at a time whatever the length, as PyTorch fills memory with gaps.
    ///
    /// # Errors
    ///
    /// When `std` is negative or not a number.
    pub fn normal_pairs<T: Float>(&mut self, out: &mut [T], mean: f64, std: f64) -> Result<(), RandomError> {
        check_deviation(std)?;
        for slot in out {
            *slot = T::from_f64(self.standard_normal().mul_add(std, mean));
        }
        Ok(())
    }

    /// Uniform samples, then normal ones of each whole block.
    fn normal_strip<T: Float>(&mut self, strip: &mut [T], mean: f64, std: f64) {
        T::fill_uniform(self, strip);
        with_fused_multiply_add(|| T::normal_blocks(strip, mean, std));
    }
}

fn check_deviation(std: f64) -> Result<(), RandomError> {
    if std >= 0.0 { Ok(()) } else { Err(RandomError::Deviation { std }) }
}

/// Blocks in double precision, through the C library.
#[expect(
    clippy::inline_always,
    reason = "what is not inlined is not compiled with the instructions of its caller"
)]
pub(super) mod f64 {
    use super::BLOCK;
    use std::f64::consts::PI;

    #[inline(always)]
    pub fn blocks(samples: &mut [f64], mean: f64, std: f64) {
        for block in samples.chunks_exact_mut(BLOCK) {
            let (radii, angles) = block.split_at_mut(BLOCK / 2);
            for (first, second) in radii.iter_mut().zip(angles) {
                let radius = (-2.0 * (1.0 - *first).ln()).sqrt();
                let (sin, cos) = (2.0 * PI * *second).sin_cos();
                *first = (radius * cos).mul_add(std, mean);
                *second = (radius * sin).mul_add(std, mean);
            }
        }
    }
}

/// Blocks in single precision, through the polynomials of Moshier's Cephes library (`logf`, `sinf`, `cosf`), eight lanes at a
/// time. Which products are fused into which sums is part of the stream: another choice moves last bits.
#[expect(
    clippy::inline_always,
    reason = "what is not inlined is not compiled with the instructions of its caller"
)]
pub(super) mod f32 {
    use super::BLOCK;
    use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_PI, TAU};

    const LANES: usize = BLOCK / 2;

    #[inline(always)]
    pub fn blocks(samples: &mut [f32], mean: f32, std: f32) {
        for block in samples.chunks_exact_mut(BLOCK) {
            let (radii, angles) = block.split_at_mut(LANES);
            for (first, second) in radii.iter_mut().zip(angles) {
                // From [0, 1) to (0, 1], where the logarithm is finite.
                let radius = (-2.0 * log(1.0 - *first)).sqrt();
                let (sin, cos) = sin_cos(TAU * *second);
                *first = (radius * cos).mul_add(std, mean);
                *second = (radius * sin).mul_add(std, mean);
            }
        }
    }

    /// The natural logarithm of a normal positive number.
    #[inline(always)]
    fn log(x: f32) -> f32 {
        /// ln 2 in two parts, the first of which has few enough bits that its product with an exponent is exact.
        const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
        const POLYNOMIAL: [f32; 9] = [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_84e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_4e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ];
        let bits = x.to_bits() as i32;
        // x = significand * 2^exponent, with the significand in [1/2, 1) and then moved to [√½, √2).
        let exponent = ((bits >> 23) - 126) as f32;
        let significand = f32::from_bits((bits & 0x007f_ffff | 0x3f00_0000) as u32);
        let below = significand < FRAC_1_SQRT_2;
        let exponent = if below { exponent - 1.0 } else { exponent };
        let x = significand - 1.0 + if below { significand } else { 0.0 };
        let square = x * x;
        let mut y = POLYNOMIAL[0];
        for coefficient in &POLYNOMIAL[1..] {
            y = y.mul_add(x, *coefficient);
        }
        y = (y * x).mul_add(square, exponent * LN_2[1]);
        y = (-0.5_f32).mul_add(square, y);
        exponent.mul_add(LN_2[0], x + y)
    }

    /// Sine and cosine of an angle in [0, 2π].
    #[inline(always)]
    fn sin_cos(angle: f32) -> (f32, f32) {
        /// π/4 in three parts, negated; the products of all but the last with a small integer are exact.
        const MINUS_FRAC_PI_4: [f32; 3] = [-0.785_156_25, -2.418_756_5e-4, -3.774_895e-8];
        const COSINE: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
        const SINE: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
        // The octant, rounded up to an even one, so that the rest is within π/4 of zero.
        let octant = ((angle * (2.0 * FRAC_2_PI)) as i32 + 1) & !1;
        let count = octant as f32;
        let mut x = angle;
        for part in MINUS_FRAC_PI_4 {
            x = count.mul_add(part, x);
        }
        let square = x * x;
        let cosine = COSINE[0].mul_add(square, COSINE[1]).mul_add(square, COSINE[2]) * square;
        let cosine = cosine.mul_add(square, -(square * 0.5)) + 1.0;
        let sine = SINE[0].mul_add(square, SINE[1]).mul_add(square, SINE[2]) * square;
        let sine = sine.mul_add(x, x);
        let (sin, cos) = if octant & 2 == 0 { (sine, cosine) } else { (cosine, sine) };
        let negate = |value: f32, bit: i32| f32::from_bits(value.to_bits() ^ (bit << 29) as u32);
        (negate(sin, octant & 4), negate(cos, !(octant - 2) & 4))
    }
}
