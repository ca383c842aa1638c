//! Two sums at once, of terms of three runs of numbers: one reading where separate sums would take two.

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::fold::{self, Lanes, STEPS};
use crate::array::kernels::reduce::sum::Float;

/// Lanes of each sum, two AVX-512 registers.
const LANES: usize = 32;

/// A leaf: see Note [Lanes stay in registers].
struct Leaf<'a, T, F> {
    x: [&'a [T]; 3],
    term: F,
}

impl<T: Float, F: Fn([T; 3]) -> [T; 2] + Copy> Task for Leaf<'_, T, F> {
    type Answer = [T; 2];
    #[inline(always)]
    fn run(&self, _: usize) -> [T; 2] {
        // A copy, whose captures the compiler knows not to be written by the loops.
        let term = self.term;
        let [a, b, c] = self.x.map(|x| x.as_chunks::<LANES>());
        let Lanes(first) = &mut Lanes([<T as Real>::ZERO; LANES]);
        let Lanes(second) = &mut Lanes([<T as Real>::ZERO; LANES]);
        for ((a, b), c) in a.0.iter().zip(b.0).zip(c.0) {
            for j in 0..LANES {
                let [p, q] = term([a[j], b[j], c[j]]);
                (first[j], second[j]) = (first[j] + p, second[j] + q);
            }
        }
        // What is left of each run, with zeros behind it, of which every term must be zero.
        let [a, b, c] = [a.1, b.1, c.1].map(|rest| {
            let mut block = [<T as Real>::ZERO; LANES];
            block[..rest.len()].copy_from_slice(rest);
            block
        });
        for j in 0..LANES {
            let [p, q] = term([a[j], b[j], c[j]]);
            (first[j], second[j]) = (first[j] + p, second[j] + q);
        }
        [fold::joined(first, |a, b| a + b), fold::joined(second, |a, b| a + b)]
    }
}

/// The sums of both terms, zero of zeros, over three runs of one length: lanes have the numbers' own precision, leaves are added in
/// doubles.
#[inline(always)]
pub fn sums<T: Float>(x: [&[T]; 3], term: impl Fn([T; 3]) -> [T; 2] + Copy) -> [f64; 2] {
    let leaf = LANES * STEPS;
    let mut total = [0.0; 2];
    for start in (0..x[0].len()).step_by(leaf) {
        let x = x.map(|x| &x[start..x.len().min(start + leaf)]);
        let sums = leveled(&Leaf { x, term }, 0).map(Real::to_f64);
        total = [total[0] + sums[0], total[1] + sums[1]];
    }
    total
}
