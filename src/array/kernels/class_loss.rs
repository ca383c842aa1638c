//! The entries of a table of log-probabilities that classes name, weighted, and their adjoint.

use crate::array::{Array, Element};
use crate::error::Result;
use crate::with_element;

/// Classes of every position, checked; `None` where a position is to be ignored.
pub struct Classes {
    /// The class of each position, in row-major order of `[batch, ..positions]`.
    pub at: Vec<Option<usize>>,
    /// How many classes there are.
    pub count: usize,
    /// Positions of an image.
    pub positions: usize,
    /// The weight of each class.
    pub weight: Option<Vec<f64>>,
}

impl Classes {
    fn weight(&self, class: usize) -> f64 {
        self.weight.as_ref().map_or(1.0, |w| w[class])
    }

    /// The weights of all positions that count, together.
    pub fn total(&self) -> f64 {
        self.at.iter().flatten().map(|&class| self.weight(class)).sum()
    }

    fn index(&self, position: usize, class: usize) -> usize {
        (position / self.positions * self.count + class) * self.positions + position % self.positions
    }
}

/// -w x of each position's class, of contiguous `x` `[batch, classes, ..positions]`; zero where ignored.
pub fn each(classes: &Classes, x: &Array, y: &Array) {
    with_element!(x.dtype(), T => {
        // SAFETY: contiguous by the caller's word; `y` is fresh.
        let (x, y) = unsafe { (x.as_slice::<T>().unwrap_or_default(), y.as_mut_slice::<T>().unwrap_or_default()) };
        for (position, (y, class)) in y.iter_mut().zip(&classes.at).enumerate() {
            *y = T::from_f64(class.map_or(0.0, |c| -classes.weight(c) * x[classes.index(position, c)].to_f64()));
        }
    });
}

/// The sum of [`each`].
pub fn sum(classes: &Classes, x: &Array) -> Result<f64> {
    let mut total = 0.0;
    with_element!(x.dtype(), T => {
        // SAFETY: contiguous by the caller's word, and only read.
        let x = unsafe { x.as_slice::<T>() }.unwrap_or_default();
        for (position, class) in classes.at.iter().enumerate() {
            if let Some(c) = *class {
                total -= classes.weight(c) * x[classes.index(position, c)].to_f64();
            }
        }
    });
    Ok(total)
}

/// The adjoint of [`each`], times a scale: zeros of `dx`, with each position's gradient at its class. `g` has one element
/// for each position, or one for all.
pub fn spread(classes: &Classes, g: &Array, scale: f64, dx: &Array) {
    with_element!(dx.dtype(), T => {
        // SAFETY: contiguous by the caller's word; `dx` is fresh.
        let (g, dx) = unsafe { (g.as_slice::<T>().unwrap_or_default(), dx.as_mut_slice::<T>().unwrap_or_default()) };
        for (position, class) in classes.at.iter().enumerate() {
            if let Some(c) = *class {
                let g = if g.len() == 1 { g[0] } else { g[position] };
                dx[classes.index(position, c)] = T::from_f64(-classes.weight(c) * scale * g.to_f64());
            }
        }
    });
}
