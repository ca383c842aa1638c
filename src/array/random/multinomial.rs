//! Samples of categories by weight: by inversion with replacement, by a race of exponentials without.

use super::{Float, Generator, RandomError};

impl Generator {
    /// Draws `samples` categories for each row of `weights`, a matrix of `categories` columns in row-major order. The indices
    /// go to the rows of `out`, a matrix of `samples` columns.
    ///
    /// Without replacement the indices come in the order in which they win a race that category `j` finishes at an exponential
    /// time of rate `weights[j]`; a category of weight zero comes last. One sample is drawn in this way in any case.
    ///
    /// # Errors
    ///
    /// When there is nothing to draw, too little to draw from, or a row is no distribution: negative, not finite, or all zero.
    ///
    /// # Panics
    ///
    /// When the lengths of `weights` and `out` are not whole and equal numbers of rows.
    pub fn multinomial<T: Float>(
        &mut self,
        weights: &[T],
        categories: usize,
        samples: usize,
        replacement: bool,
        out: &mut [i64],
    ) -> Result<(), RandomError> {
        if samples == 0 {
            return Err(RandomError::NoSamples);
        }
        if categories == 0 || (!replacement && samples > categories) {
            return Err(RandomError::TooManySamples);
        }
        assert!(
            weights.len().is_multiple_of(categories)
                && out.len().is_multiple_of(samples)
                && weights.len() / categories == out.len() / samples,
            "one row of samples per row of weights"
        );
        let rows = weights.chunks_exact(categories);
        if replacement && samples > 1 {
            // All rows are checked before the first draw: a refused call leaves the stream where it was.
            rows.clone().try_for_each(|row| cumulative(row).map(drop))?;
            for (row, out) in rows.zip(out.chunks_exact_mut(samples)) {
                self.invert_row(&cumulative(row)?, out);
            }
        } else {
            check_race(rows.clone())?;
            let mut finish = vec![T::from_f64(0.0); weights.len()];
            self.exponential(&mut finish, 1.0)?;
            for (time, &weight) in finish.iter_mut().zip(weights) {
                *time = weight / *time;
            }
            for (row, out) in finish.chunks_exact(categories).zip(out.chunks_exact_mut(samples)) {
                leaders(row, out);
            }
        }
        Ok(())
    }

    /// Inverts the cumulative distribution at one uniform sample per slot.
    fn invert_row<T: Float>(&mut self, cumulative: &[T], out: &mut [i64]) {
        for slot in out {
            let sample = f64::standard_uniform(self);
            *slot = cumulative.partition_point(|p| p.to_f64() < sample) as i64;
        }
    }
}

/// The normalized running sums of a row, summed in its own precision from left to right.
fn cumulative<T: Float>(row: &[T]) -> Result<Vec<T>, RandomError> {
    let mut sum = T::from_f64(0.0);
    let mut sums = Vec::with_capacity(row.len());
    for &weight in row {
        let value = weight.to_f64();
        if value < 0.0 || value.is_nan() {
            return Err(RandomError::NegativeWeight);
        }
        if value.is_infinite() {
            return Err(RandomError::InfiniteWeight);
        }
        sum = sum + weight;
        sums.push(sum);
    }
    if sum.to_f64() <= 0.0 {
        return Err(RandomError::NoWeight);
    }
    for partial in &mut sums {
        *partial = *partial / sum;
    }
    if let Some(last) = sums.last_mut() {
        *last = T::from_f64(1.0);
    }
    Ok(sums)
}

/// Checks all entries before any sum, which is the order of PyTorch's two messages.
fn check_race<'a, T: Float>(mut rows: impl Iterator<Item = &'a [T]> + Clone) -> Result<(), RandomError> {
    let fits = |weight: &T| weight.to_f64() >= 0.0 && weight.to_f64() < f64::INFINITY;
    if !rows.clone().all(|row| row.iter().all(fits)) {
        return Err(RandomError::Weight);
    }
    if rows.any(|row| row.iter().all(|weight| weight.to_f64() == 0.0)) {
        return Err(RandomError::NoWeight);
    }
    Ok(())
}

/// The indices of the greatest values in descending order, equal ones by index. Not a number is the greatest of all.
fn leaders<T: Float>(row: &[T], out: &mut [i64]) {
    let ahead = |&a: &usize, &b: &usize| {
        let (x, y) = (row[a].to_f64(), row[b].to_f64());
        let by_value = y.partial_cmp(&x).unwrap_or_else(|| y.is_nan().cmp(&x.is_nan()));
        by_value.then(a.cmp(&b))
    };
    if let [only] = out {
        *only = (0..row.len()).min_by(ahead).unwrap_or(0) as i64;
        return;
    }
    let mut order: Vec<usize> = (0..row.len()).collect();
    if out.len() < order.len() {
        order.select_nth_unstable_by(out.len(), ahead);
        order.truncate(out.len());
    }
    order.sort_unstable_by(ahead);
    for (slot, index) in out.iter_mut().zip(order) {
        *slot = index as i64;
    }
}
