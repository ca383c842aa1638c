//! Two sums at once, of terms of some runs of numbers: one reading where separate sums would take two.

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::fold::{self, Lanes, STEPS};
use crate::array::kernels::reduce::sum::Float;

/// Lanes of each sum, two AVX-512 registers.
const LANES: usize = 32;

/// A leaf: see Note [Lanes stay in registers].
struct Leaf<'a, T, F, const N: usize> {
    x: [&'a [T]; N],
    term: F,
}

impl<T: Float, F: Fn([T; N]) -> [T; 2] + Copy, const N: usize> Task for Leaf<'_, T, F, N> {
    type Answer = [T; 2];
    #[inline(always)]
    fn run(&self, _: usize) -> [T; 2] {
        // A copy, whose captures the compiler knows not to be written by the loops.
        let term = self.term;
        let length = self.x[0].len();
        let whole = length / LANES;
        let blocks = self.x.map(|x| &x.as_chunks::<LANES>().0[..whole]);
        let rest = self.x.map(|x| &x[whole * LANES..length]);
        let Lanes(first) = &mut Lanes([<T as Real>::ZERO; LANES]);
        let Lanes(second) = &mut Lanes([<T as Real>::ZERO; LANES]);
        for i in 0..whole {
            for j in 0..LANES {
                let [p, q] = term(blocks.map(|x| x[i][j]));
                (first[j], second[j]) = (first[j] + p, second[j] + q);
            }
        }
        // Lanes are reached by constants alone, here through masks.
        let left = length - whole * LANES;
        if left > 0 {
            for j in 0..LANES {
                let [p, q] = if j < left { term(rest.map(|x| x[j])) } else { [<T as Real>::ZERO; 2] };
                (first[j], second[j]) = (first[j] + p, second[j] + q);
            }
        }
        [fold::joined(first, |a, b| a + b), fold::joined(second, |a, b| a + b)]
    }
}

/// The sums of both terms over some runs of one length: lanes have the numbers' own precision, leaves are added in doubles.
#[inline(always)]
pub fn sums<T: Float, const N: usize>(x: [&[T]; N], term: impl Fn([T; N]) -> [T; 2] + Copy) -> [f64; 2] {
    let leaf = LANES * STEPS;
    let mut total = [0.0; 2];
    for start in (0..x[0].len()).step_by(leaf) {
        let x = x.map(|x| &x[start..x.len().min(start + leaf)]);
        let sums = leveled(&Leaf { x, term }, 0).map(Real::to_f64);
        total = [total[0] + sums[0], total[1] + sums[1]];
    }
    total
}
