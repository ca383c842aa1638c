//! Discrete distributions: coin tosses, trials until a success, and integers.

use super::{Element, Float, Generator, Number, RandomError};

impl Generator {
    /// Fills `out` with ones of probability `p` and zeros.
    ///
    /// # Errors
    ///
    /// When `p` is outside of `[0, 1]`.
    pub fn bernoulli<T: Element>(&mut self, out: &mut [T], p: f64) -> Result<(), RandomError> {
        if !(0.0..=1.0).contains(&p) {
            return Err(RandomError::Probability { p });
        }
        self.engine.fill_wide(out, |bits| T::from_toss(unit_double(bits) < p));
        Ok(())
    }

    /// Fills `out` with ones and zeros, `p[i]` being the probability of a one in `out[i]`. The dtype of `p` decides how many
    /// bits a sample takes.
    ///
    /// # Errors
    ///
    /// When a probability is outside of `[0, 1]`.
    ///
    /// # Panics
    ///
    /// When the two lengths differ.
    pub fn bernoulli_each<T: Element, P: Float>(
        &mut self,
        out: &mut [T],
        p: &[P],
    ) -> Result<(), RandomError> {
        assert_eq!(out.len(), p.len(), "one probability per sample");
        if let Some(bad) = p.iter().map(|p| p.to_f64()).find(|p| !(0.0..=1.0).contains(p)) {
            return Err(RandomError::EachProbability { p: bad });
        }
        for (slot, &p) in out.iter_mut().zip(p) {
            *slot = T::from_toss(P::standard_uniform(self) < p);
        }
        Ok(())
    }

    /// Fills `out` with the number of tosses up to the first success, each of probability `p`.
    ///
    /// # Errors
    ///
    /// When `p` is outside of `(0, 1)`.
    pub fn geometric<T: Number>(&mut self, out: &mut [T], p: f64) -> Result<(), RandomError> {
        if !(p > 0.0 && p < 1.0) {
            return Err(RandomError::OpenProbability { p });
        }
        let failure = (-p).ln_1p();
        for slot in out {
            *slot = T::from_whole((f64::standard_uniform(self).ln() / failure).ceil());
        }
        Ok(())
    }

    /// Fills `out` with integers of `[from, to)`, each as likely as the next but for the bias of a remainder (below 7 %).
    ///
    /// # Errors
    ///
    /// When the range is empty or the dtype cannot hold it.
    pub fn randint<T: Element>(&mut self, out: &mut [T], from: i64, to: i64) -> Result<(), RandomError> {
        if from >= to {
            return Err(RandomError::NoInteger { from, to });
        }
        let (least, greatest) = T::BOUNDS;
        let out_of_bounds = |bound| Err(RandomError::OutOfBounds { bound, dtype: T::C_NAME });
        if from < least || from > greatest {
            return out_of_bounds("from");
        }
        if to - 1 < least || to - 1 > greatest {
            return out_of_bounds("to - 1");
        }
        let range = to.wrapping_sub(from) as u64;
        let shifted = |offset: u64| T::from_integer(from.wrapping_add(offset as i64));
        match u32::try_from(range) {
            // Past this range the bias of a 32-bit remainder would show, so PyTorch spends 64 bits.
            Ok(range) if range < 1 << 28 => {
                self.engine.fill(out, |bits| shifted(u64::from(bits % range)));
            }
            _ => self.engine.fill_wide(out, |bits| shifted(bits % range)),
        }
        Ok(())
    }

    /// Fills `out` with integers from zero to the dtype's maximum; in floating point, to 2 to the number of digits of the
    /// significand (`random_()` without bounds).
    pub fn random_full_range<T: Element>(&mut self, out: &mut [T]) {
        for slot in out {
            *slot = T::full_range(self);
        }
    }
}

/// The low 53 bits as a multiple of 2⁻⁵³.
#[inline]
fn unit_double(bits: u64) -> f64 {
    (bits & ((1 << f64::MANTISSA_DIGITS) - 1)) as f64 * (f64::EPSILON / 2.0)
}
