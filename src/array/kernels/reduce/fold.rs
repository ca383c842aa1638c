//! Folding a run of numbers in a fixed number of lanes, and columns side by side.

use crate::array::Element;
use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::reduce::driver::{COLUMNS, Reduction, Rows};

/// Numbers that one lane takes before it is emptied into the wider partial result.
pub const STEPS: usize = 32;

/// A reduction that takes one number after the other. All methods must be `#[inline(always)]`.
pub trait Fold: Sync {
    /// What is reduced.
    type In: Element;
    /// What a lane holds.
    type Lane: Copy;
    /// What lanes come to: wider than a lane where that makes sums more accurate.
    type Partial: Copy + Default + Send + Sync;
    /// The dtype of the result.
    type Out: Element;

    /// Whether a step is so short that columns are folded fastest in registers, a few of them at a time.
    const IS_SHORT: bool = true;

    /// What the lanes of a long run come to, by a shorter way, where there is one and it holds.
    #[inline(always)]
    fn leaf(&self, _x: &[Self::In]) -> Option<Self::Lane> {
        None
    }
    /// [`run`] of each row, none longer than a leaf, by a shorter way, where there is one; whether there was.
    #[inline(always)]
    fn leaves(&self, _rows: Rows<'_, Self::In>, _out: &mut [Self::Partial]) -> bool {
        false
    }
    /// Nothing yet.
    fn start(&self) -> Self::Lane;
    /// One more number.
    fn step(&self, lane: Self::Lane, x: Self::In) -> Self::Lane;
    /// Two lanes.
    fn join(&self, a: Self::Lane, b: Self::Lane) -> Self::Lane;
    /// A lane as a partial result.
    fn widen(&self, lane: Self::Lane) -> Self::Partial;
    /// Two partial results.
    fn combine(&self, a: Self::Partial, b: Self::Partial) -> Self::Partial;
    /// The result.
    fn finish(&self, partial: Self::Partial) -> Self::Out;
}

/// Lanes at the start of a cache line: where they lie in memory, no register of them spans two.
#[repr(align(64))]
pub struct Lanes<T, const LANES: usize>(pub [T; LANES]);

/// Folds a run in `LANES` lanes: number `i` goes to lane `i % LANES`, and the lanes are joined as a balanced tree.
#[inline(always)]
fn lanes<F: Fold, const LANES: usize>(fold: &F, x: &[F::In]) -> F::Lane {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let (fours, few) = blocks.as_chunks::<4>();
    let Lanes(lanes) = &mut Lanes([fold.start(); LANES]);
    for [p, q, r, s] in fours {
        for j in 0..LANES {
            lanes[j] = fold.step(fold.step(fold.step(fold.step(lanes[j], p[j]), q[j]), r[j]), s[j]);
        }
    }
    for block in few {
        for j in 0..LANES {
            lanes[j] = fold.step(lanes[j], block[j]);
        }
    }
    // Lanes are reached by constants alone, here through masks: see Note [Lanes stay in registers].
    if !rest.is_empty() {
        for j in 0..LANES {
            lanes[j] = if j < rest.len() { fold.step(lanes[j], rest[j]) } else { lanes[j] };
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        // Two slices, for the compiler to see that they are apart.
        let (low, high) = lanes.split_at_mut(width);
        for (a, &b) in low.iter_mut().zip(&high[..width]) {
            *a = fold.join(*a, b);
        }
    }
    lanes[0]
}

/// The lanes joined as a balanced tree, each half made anew: written over the lanes it would go through memory.
#[inline(always)]
pub fn joined<T: Copy, const LANES: usize>(lanes: &[T; LANES], join: impl Fn(T, T) -> T) -> T {
    #[inline(always)]
    fn half<T: Copy, const N: usize>(lanes: &[T], join: impl Fn(T, T) -> T) -> [T; N] {
        std::array::from_fn(|j| join(lanes[j], lanes[j + N]))
    }
    let eight: [T; 8] = match LANES {
        64 => half(&half::<T, 16>(&half::<T, 32>(lanes, &join), &join), &join),
        32 => half(&half::<T, 16>(lanes, &join), &join),
        16 => half(lanes, &join),
        _ => std::array::from_fn(|j| lanes[j]),
    };
    let [last] = half(&half::<T, 2>(&half::<T, 4>(&eight, &join), &join), &join);
    last
}

/// A leaf of a long run, folded in a function of its own.
///
/// Note [Lanes stay in registers]: the compiler keeps an array of lanes in registers where it sees its whole life, in a
/// small function. In a larger one the lanes lie in memory, and each step waits for the one before it to be stored: the
/// fewer and the better aligned such steps are, the less is lost.
struct Leaf<'a, F: Fold, const LANES: usize> {
    fold: &'a F,
    x: &'a [F::In],
}

impl<F: Fold, const LANES: usize> Task for Leaf<'_, F, LANES> {
    type Answer = F::Lane;
    const VECTOR: bool = F::In::DTYPE.is_floating();
    #[inline(always)]
    fn run(&self, _: usize) -> F::Lane {
        lanes::<F, LANES>(self.fold, self.x)
    }
}

#[inline(always)]
fn long<F: Fold, const LANES: usize>(fold: &F, x: &[F::In]) -> F::Partial {
    let leaf = |x| fold.leaf(x).unwrap_or_else(|| leveled(&Leaf::<F, LANES> { fold, x }, 0));
    let mut leaves = x.chunks(LANES * STEPS).map(|x| fold.widen(leaf(x)));
    let mut partial = leaves.next().unwrap_or_default();
    for leaf in leaves {
        partial = fold.combine(partial, leaf);
    }
    partial
}

/// Shorter runs have eight lanes: eight AVX2 registers of them would cost more to join than the run itself.
pub const LONG: usize = 64;

/// The most numbers whose lanes are joined but once.
const fn leaf<F: Fold>() -> usize {
    STEPS * if size_of::<F::Lane>() <= 4 { 64 } else { 32 }
}

/// Folds a run.
#[inline(always)]
pub fn run<F: Fold>(fold: &F, x: &[F::In]) -> F::Partial {
    if x.len() < LONG {
        fold.widen(lanes::<F, 8>(fold, x))
    } else if size_of::<F::Lane>() <= 4 {
        long::<F, 64>(fold, x)
    } else {
        long::<F, 32>(fold, x)
    }
}

/// Columns whose lanes, of at most so many bytes, stay in registers while the rows pass by.
const STRIP: usize = 64;
const STRIP_LANE: usize = 4;

/// Folds each column of a block of rows.
#[inline(always)]
pub fn columns<F: Fold>(fold: &F, rows: Rows<'_, F::In>, out: &mut [F::Partial]) {
    let in_strips =
        if F::IS_SHORT && size_of::<F::Lane>() <= STRIP_LANE { out.len() - out.len() % STRIP } else { 0 };
    let (strips, rest) = out.split_at_mut(in_strips);
    for (i, out) in strips.as_chunks_mut::<STRIP>().0.iter_mut().enumerate() {
        strip(fold, rows.columns(i * STRIP, STRIP), out);
    }
    if !rest.is_empty() {
        columns_by(rows.columns(in_strips, rest.len()), rest, |_| fold);
    }
}

/// Folds each column of a strip, by the steps of [`columns_by`].
#[inline(always)]
fn strip<F: Fold>(fold: &F, rows: Rows<'_, F::In>, out: &mut [F::Partial; STRIP]) {
    let mut at = 0;
    loop {
        let end = rows.count().min(at + STEPS);
        let mut lanes = [fold.start(); STRIP];
        for i in at..end {
            let row = &rows.row(i)[..STRIP];
            for j in 0..STRIP {
                lanes[j] = fold.step(lanes[j], row[j]);
            }
        }
        for j in 0..STRIP {
            let partial = fold.widen(lanes[j]);
            out[j] = if at == 0 { partial } else { fold.combine(out[j], partial) };
        }
        at = end;
        if at >= rows.count() {
            return;
        }
    }
}

/// Folds each column of a block of rows, with a fold of its own.
#[inline(always)]
pub fn columns_by<'f, F: Fold + 'f>(
    rows: Rows<'_, F::In>,
    out: &mut [F::Partial],
    fold: impl Fn(usize) -> &'f F,
) {
    let width = out.len().min(COLUMNS);
    let mut at = 0;
    loop {
        let end = rows.count().min(at + STEPS);
        let mut lanes = [fold(0).start(); COLUMNS];
        let mut i = at;
        // Lanes lie in memory: with four rows at once they are read and written a quarter as often.
        while i + 4 <= end {
            let [p, q, r, s] = std::array::from_fn(|k| &rows.row(i + k)[..width]);
            for j in 0..width {
                let fold = fold(j);
                lanes[j] = fold.step(fold.step(fold.step(fold.step(lanes[j], p[j]), q[j]), r[j]), s[j]);
            }
            i += 4;
        }
        for i in i..end {
            let row = &rows.row(i)[..width];
            for j in 0..width {
                lanes[j] = fold(j).step(lanes[j], row[j]);
            }
        }
        for j in 0..width {
            let partial = fold(j).widen(lanes[j]);
            out[j] = if at == 0 { partial } else { fold(j).combine(out[j], partial) };
        }
        at = end;
        if at >= rows.count() {
            return;
        }
    }
}

/// A fold as a reduction.
pub struct Folded<F>(pub F);

impl<F: Fold> Reduction for Folded<F> {
    type In = F::In;
    type Partial = F::Partial;
    type Out = F::Out;
    #[inline(always)]
    fn run(&self, x: &[F::In], _: usize) -> F::Partial {
        run(&self.0, x)
    }
    #[inline(always)]
    fn rows(&self, rows: Rows<'_, F::In>, out: &mut [F::Partial]) {
        if rows.width() <= leaf::<F>() && self.0.leaves(rows, out) {
            return;
        }
        for (i, out) in out.iter_mut().enumerate() {
            *out = run(&self.0, rows.row(i));
        }
    }
    #[inline(always)]
    fn columns(&self, rows: Rows<'_, F::In>, _: usize, out: &mut [F::Partial]) {
        columns(&self.0, rows, out);
    }
    #[inline(always)]
    fn combine(&self, a: F::Partial, b: F::Partial) -> F::Partial {
        self.0.combine(a, b)
    }
    #[inline(always)]
    fn finish(&self, partial: F::Partial) -> F::Out {
        self.0.finish(partial)
    }
}
