//! Steps of optimizers: all parameters of a group in one call, each element once.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::sum::Float;
use crate::array::pool;

/// The most tensors of state that a parameter has.
pub const STATES: usize = 3;

/// Elements that are brought through an update's loops together, in the first-level cache.
const TILE: usize = 1024;

/// Elements in a parallel piece.
const PIECE: usize = 16 * TILE;

/// Below this many elements nobody is woken.
const PARALLEL: usize = 8 * PIECE;

/// A parameter, its gradient and its state, all of one length; the places of state that an update has no use for are null.
pub struct Slot<T> {
    /// The parameter.
    pub param: *mut T,
    /// Its gradient.
    pub grad: *const T,
    /// Its state.
    pub state: [*mut T; STATES],
    /// Elements.
    pub length: usize,
}

/// What comes of a gradient before an algorithm sees it.
#[derive(Clone, Copy)]
pub struct Direction<T> {
    /// Whether steps ascend.
    pub maximize: bool,
    /// The parameter times this is added to the gradient.
    pub weight_decay: T,
}

impl<T: Float> Direction<T> {
    #[inline(always)]
    fn of(&self, p: &[T], g: &[T], d: &mut [T]) {
        let n = d.len();
        let (p, g) = (&p[..n], &g[..n]);
        if self.maximize {
            (0..n).for_each(|j| d[j] = -g[j]);
        } else {
            d.copy_from_slice(g);
        }
        if self.weight_decay != <T as Real>::ZERO {
            (0..n).for_each(|j| d[j] = d[j] + self.weight_decay * p[j]);
        }
    }
}

/// An algorithm's update of a tile of the parameter with this number. `#[inline(always)]`.
pub trait Update<T: Float>: Sync {
    /// `d` is the gradient, changed as the direction says; unused state is empty.
    fn tile(&self, tensor: usize, p: &mut [T], d: &mut [T], state: [&mut [T]; STATES]);
}

struct Steps<'a, T, U> {
    slots: &'a [Slot<T>],
    pieces: Vec<(usize, usize)>,
    direction: Direction<T>,
    update: &'a U,
}

// SAFETY: pieces do not overlap, and each is one task's.
unsafe impl<T, U: Sync> Sync for Steps<'_, T, U> {}

impl<T: Float, U: Update<T>> Task for Steps<'_, T, U> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, index: usize) {
        let (tensor, start) = self.pieces[index];
        let slot = &self.slots[tensor];
        let mut scratch = [<T as Real>::ZERO; TILE];
        for at in (start..slot.length.min(start + PIECE)).step_by(TILE) {
            let n = TILE.min(slot.length - at);
            // SAFETY: `n` elements from `at` on are inside each of the slot's arrays; by the word given to `update`, the
            // arrays are apart from one another.
            let (p, g, state) = unsafe {
                let own = |first: *mut T| std::slice::from_raw_parts_mut(first.add(at), n);
                (
                    own(slot.param),
                    std::slice::from_raw_parts(slot.grad.add(at), n),
                    slot.state.map(|first| if first.is_null() { &mut [][..] } else { own(first) }),
                )
            };
            let d = &mut scratch[..n];
            self.direction.of(p, g, d);
            self.update.tile(tensor, p, d, state);
        }
    }
}

/// Updates every slot.
///
/// # Safety
/// Every pointer that is not null leads to its slot's `length` elements, and no two of those written overlap, nor does one
/// overlap a gradient.
pub unsafe fn update<T: Float, U: Update<T>>(slots: &[Slot<T>], direction: Direction<T>, update: &U) {
    let elements: usize = slots.iter().map(|slot| slot.length).sum();
    let cut = |(i, slot): (usize, &Slot<T>)| (0..slot.length).step_by(PIECE).map(move |start| (i, start));
    let steps = Steps { slots, pieces: slots.iter().enumerate().flat_map(cut).collect(), direction, update };
    let count = steps.pieces.len();
    if elements < PARALLEL {
        (0..count).for_each(|i| leveled(&steps, i));
    } else {
        pool::for_each(count, &|i| leveled(&steps, i));
    }
}

/// Stochastic gradient descent: p -= lr v, v = momentum v + (1 - dampening) d. State: v, if there is momentum.
pub struct Sgd<T> {
    /// The learning rate.
    pub lr: T,
    /// How much of v stays; zero for none.
    pub momentum: T,
    /// One less the dampening of d.
    pub fresh: T,
    /// Whether v starts here, as d.
    pub first: bool,
    /// Whether the step is along d + momentum v.
    pub nesterov: bool,
}

impl<T: Float> Update<T> for Sgd<T> {
    #[inline(always)]
    fn tile(&self, _: usize, p: &mut [T], d: &mut [T], [v, ..]: [&mut [T]; STATES]) {
        let n = p.len();
        if self.momentum != <T as Real>::ZERO {
            if self.first {
                v.copy_from_slice(d);
            } else {
                (0..n).for_each(|j| v[j] = v[j] * self.momentum + self.fresh * d[j]);
            }
            if self.nesterov {
                (0..n).for_each(|j| d[j] = d[j] + self.momentum * v[j]);
            } else {
                d.copy_from_slice(v);
            }
        }
        let rate = -self.lr;
        (0..n).for_each(|j| p[j] = p[j] + rate * d[j]);
    }
}

/// a + weight (b - a), exact at both ends.
#[inline(always)]
fn lerp<T: Float>(a: T, b: T, weight: T) -> T {
    if weight < T::of(0.5) { a + weight * (b - a) } else { b - (b - a) * (<T as Real>::ONE - weight) }
}

/// Adam: averages m of d and v of d². State: m, v, and the largest v so far where that is divided by.
pub struct Adam<T> {
    /// What d weighs in m.
    pub weight: T,
    /// What stays of v.
    pub decay: T,
    /// What d² weighs in v.
    pub fresh: T,
    /// What is added to the root of v.
    pub eps: T,
    /// What the parameter is first multiplied with, if it shrinks.
    pub shrink: Option<T>,
    /// For each parameter: the rate, negative, by the bias of m; and the root of the bias of v.
    pub scales: Vec<(T, T)>,
}

impl<T: Float> Update<T> for Adam<T> {
    #[inline(always)]
    fn tile(&self, tensor: usize, p: &mut [T], d: &mut [T], [m, v, most]: [&mut [T]; STATES]) {
        let n = p.len();
        let (m, v) = (&mut m[..n], &mut v[..n]);
        let (rate, bias) = self.scales[tensor];
        if let Some(shrink) = self.shrink {
            (0..n).for_each(|j| p[j] = p[j] * shrink);
        }
        for j in 0..n {
            m[j] = lerp(m[j], d[j], self.weight);
            v[j] = v[j] * self.decay + self.fresh * d[j] * d[j];
        }
        let square = if most.is_empty() {
            v
        } else {
            for (most, &v) in most.iter_mut().zip(v.iter()) {
                // The comparison is false where either is NaN, which then stays.
                *most = if *most > v || most.is_nan() { *most } else { v };
            }
            most
        };
        for j in 0..n {
            p[j] = p[j] + rate * m[j] / (square[j].sqrt() / bias + self.eps);
        }
    }
}
