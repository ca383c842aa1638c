//! Maxima and means of windows over the last three axes.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

use std::ops::Range;

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::{Array, Element, pool};
use crate::with_element;

/// The window of one output position along one axis, cut to the input.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first element read.
    pub start: usize,
    /// How many are read.
    pub count: usize,
    /// How far apart they are.
    pub step: usize,
    /// What the window counts for in a mean's divisor.
    pub size: usize,
}

/// The windows of every output position, along each of three axes.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Extents of the input.
    pub input: [usize; 3],
    /// One window for each output position.
    pub axes: [Vec<Window>; 3],
    /// What a sum is divided by instead of the windows' sizes.
    pub divisor: Option<i64>,
}

impl Windows {
    /// Extents of the output.
    pub fn output(&self) -> [usize; 3] {
        [self.axes[0].len(), self.axes[1].len(), self.axes[2].len()]
    }

    fn plane(&self) -> usize {
        self.input.iter().product()
    }

    fn positions(&self) -> usize {
        self.output().iter().product()
    }

    #[inline(always)]
    fn each(&self, mut body: impl FnMut(usize, &Window, &Window, &Window)) {
        let mut at = 0;
        for d in &self.axes[0] {
            for h in &self.axes[1] {
                for w in &self.axes[2] {
                    body(at, d, h, w);
                    at += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn read(&self, d: &Window, h: &Window, w: &Window, mut body: impl FnMut(usize)) {
        for i in 0..d.count {
            for j in 0..h.count {
                let line = ((d.start + i * d.step) * self.input[1] + h.start + j * h.step) * self.input[2];
                for k in 0..w.count {
                    body(line + w.start + k * w.step);
                }
            }
        }
    }

    #[inline(always)]
    fn divided_by(&self, d: &Window, h: &Window, w: &Window) -> i64 {
        self.divisor.unwrap_or((d.size * h.size * w.size) as i64)
    }
}

struct Planes<T> {
    x: *const T,
    y: *mut T,
}

// SAFETY: `x` is only read; each task writes to its own plane of `y`.
unsafe impl<T: Send> Sync for Planes<T> {}

/// Calls `body` with each plane of `x` and of `y`, of these sizes. Both are contiguous and of type `T`.
fn each_plane<T: Element>(
    x: &Array,
    y: &Array,
    from: usize,
    to: usize,
    body: impl Fn(usize, &[T], &mut [T]) + Sync,
) {
    let planes = Planes { x: x.pointer().cast::<T>().cast_const(), y: y.pointer().cast::<T>() };
    let planes = &planes;
    let count = y.numel().checked_div(to).unwrap_or(0);
    // Few elements are not worth waking anybody.
    let block = (8192 / (from + to).max(1)).max(1);
    pool::for_each(count.div_ceil(block), &|task| {
        for i in task * block..count.min((task + 1) * block) {
            // SAFETY: both arrays hold `count` such planes, and this task alone has plane `i` of `y`.
            let (x, y) = unsafe {
                (
                    std::slice::from_raw_parts(planes.x.add(i * from), from),
                    std::slice::from_raw_parts_mut(planes.y.add(i * to), to),
                )
            };
            body(i, x, y);
        }
    });
}

/// Neighbouring output positions along the last axis whose windows are alike but for a step of `stride` from one to the next.
#[derive(Clone)]
struct Alike {
    positions: Range<usize>,
    stride: usize,
    window: Window,
}

impl Alike {
    /// The windows that are not cut by an edge; none where a plane has more elements than 32 bits count.
    fn among(windows: &[Window], plane: usize) -> Self {
        let whole = windows.iter().map(|w| w.count).max().unwrap_or(0);
        let first = windows.iter().position(|w| w.count == whole).unwrap_or(0);
        let Some(&window) = windows.get(first).filter(|_| u32::try_from(plane).is_ok()) else {
            return Self {
                positions: 0..0,
                stride: 1,
                window: Window { start: 0, count: 0, step: 1, size: 1 },
            };
        };
        let stride = windows.get(first + 1).map_or(1, |next| next.start.saturating_sub(window.start));
        let fits = |(i, w): (usize, &Window)| w.count == whole && w.start == window.start + i * stride;
        let count = windows[first..].iter().enumerate().take_while(|&(i, w)| fits((i, w))).count();
        Self { positions: first..first + count, stride, window }
    }
}

/// Positions of a line that are computed side by side.
const SIDE_BY_SIDE: usize = 64;

/// The maxima of a plane.
struct Maxima<'a, T> {
    windows: &'a Windows,
    alike: &'a Alike,
    x: &'a [T],
    y: *mut T,
    indices: *mut i64,
}

impl<T: Element> Maxima<'_, T> {
    #[inline(always)]
    fn write(&self, at: usize, value: T, index: usize) {
        // SAFETY: one of the plane's positions, and the plane is one task's.
        unsafe {
            self.y.add(at).write(value);
            self.indices.add(at).write(index as i64);
        }
    }

    /// One window.
    fn one(&self, at: usize, d: &Window, h: &Window, w: &Window) {
        let mut best = (d.start * self.windows.input[1] + h.start) * self.windows.input[2] + w.start;
        self.windows.read(d, h, w, |from| {
            if beats(self.x[from], self.x[best]) {
                best = from;
            }
        });
        self.write(at, self.x[best], best);
    }

    /// `count` windows side by side, the first of them at `w`: a tap of all of them after the other.
    #[inline(always)]
    fn several<const STRIDE: usize>(&self, at: usize, d: &Window, h: &Window, w: &Window, count: usize) {
        let stride = if STRIDE == 0 { self.alike.stride } else { STRIDE };
        let line = |i: usize, j: usize, k: usize| {
            let line = (d.start + i * d.step) * self.windows.input[1] + h.start + j * h.step;
            line * self.windows.input[2] + w.start + k * w.step
        };
        let first = &self.x[line(0, 0, 0)..];
        let mut best: [T; SIDE_BY_SIDE] = [first[0]; SIDE_BY_SIDE];
        // Where each best was found, from the first element of its window on.
        let mut found = [0_u32; SIDE_BY_SIDE];
        for (p, best) in best.iter_mut().enumerate().take(count) {
            *best = first[p * stride];
        }
        for tap in 1..d.count * h.count * w.count {
            let (i, j, k) = (tap / (h.count * w.count), tap / w.count % h.count, tap % w.count);
            let away = line(i, j, k) - line(0, 0, 0);
            let from = &first[away..][..=(count - 1) * stride];
            for p in 0..count {
                let value = from[p * stride];
                let better = beats(value, best[p]);
                best[p] = if better { value } else { best[p] };
                found[p] = if better { away as u32 } else { found[p] };
            }
        }
        for p in 0..count {
            self.write(at + p, best[p], line(0, 0, 0) + p * stride + found[p] as usize);
        }
    }
}

/// Whether a number takes the place of the best so far: a larger one does, and NaN, which is not even equal to itself.
#[inline(always)]
#[allow(clippy::eq_op)]
#[allow(clippy::needless_bitwise_bool)] // no branch: many are asked at once
fn beats<T: PartialOrd + Copy>(x: T, best: T) -> bool {
    (x > best) | (x != x)
}

impl<T: Element> Task for Maxima<'_, T> {
    type Answer = ();
    const VECTOR: bool = T::DTYPE.is_floating();
    #[inline(always)]
    fn run(&self, _: usize) {
        let [depth, height, width] = &self.windows.axes;
        let Alike { positions, stride, window } = self.alike;
        for (line, (d, h)) in depth.iter().flat_map(|d| height.iter().map(move |h| (d, h))).enumerate() {
            let at = line * width.len();
            let edges = (0..positions.start).chain(positions.end..width.len());
            edges.for_each(|p| self.one(at + p, d, h, &width[p]));
            for p in positions.clone().step_by(SIDE_BY_SIDE) {
                let count = SIDE_BY_SIDE.min(positions.end - p);
                let w = Window { start: width[p].start, ..*window };
                match stride {
                    1 => self.several::<1>(at + p, d, h, &w, count),
                    2 => self.several::<2>(at + p, d, h, &w, count),
                    _ => self.several::<0>(at + p, d, h, &w, count),
                }
            }
        }
    }
}

/// The largest element of each window and its position in the plane; NaN if there is one, the first of equal ones.
///
/// All arrays are contiguous; `indices` is of 64-bit integers.
pub fn maximum(windows: &Windows, x: &Array, y: &Array, indices: &Array) {
    let (plane, positions) = (windows.plane(), windows.positions());
    let index = Planes { x: std::ptr::null(), y: indices.pointer().cast::<i64>() };
    let (index, alike) = (&index, &Alike::among(&windows.axes[2], plane));
    with_element!(x.dtype(), T => each_plane::<T>(x, y, plane, positions, |i, x, y| {
        let indices = index.y.wrapping_add(i * positions);
        leveled(&Maxima { windows, alike, x, y: y.as_mut_ptr(), indices }, 0);
    }));
}

/// The mean of each window. Both arrays are contiguous.
pub fn mean(windows: &Windows, x: &Array, y: &Array) {
    with_element!(x.dtype(), T => each_plane::<T>(x, y, windows.plane(), windows.positions(), |_, x, y| {
        windows.each(|at, d, h, w| {
            let by = windows.divided_by(d, h, w);
            y[at] = if T::DTYPE.is_floating() {
                let mut sum = 0.0;
                windows.read(d, h, w, |from| sum += x[from].to_f64());
                T::from_f64(sum / by as f64)
            } else {
                let mut sum = 0_i64;
                windows.read(d, h, w, |from| sum = sum.wrapping_add(x[from].to_i64()));
                T::from_i64(sum / by)
            };
        });
    }));
}

/// The adjoint of [`mean`]: each window's gradient, shared out over what it read.
pub fn spread(windows: &Windows, g: &Array, dx: &Array) {
    with_element!(g.dtype(), T => each_plane::<T>(g, dx, windows.positions(), windows.plane(), |_, g, dx| {
        dx.fill(T::from_f64(0.0));
        windows.each(|at, d, h, w| {
            let share = g[at].to_f64() / windows.divided_by(d, h, w) as f64;
            windows.read(d, h, w, |to| dx[to] = T::from_f64(dx[to].to_f64() + share));
        });
    }));
}

/// Elements of each plane of `x` at positions in it.
pub fn gather(x: &Array, indices: &Array, plane: usize, positions: usize, y: &Array) {
    let at = Planes { x: indices.pointer().cast::<i64>().cast_const(), y: std::ptr::null_mut() };
    let at = &at;
    with_element!(x.dtype(), T => each_plane::<T>(x, y, plane, positions, |i, x, y| {
        // SAFETY: as many indices as elements of `y`.
        let indices = unsafe { std::slice::from_raw_parts(at.x.add(i * positions), positions) };
        for (y, &from) in y.iter_mut().zip(indices) {
            *y = x[from as usize];
        }
    }));
}

/// The adjoint of [`gather`]: adds elements of `g` into zeros.
pub fn scatter(g: &Array, indices: &Array, positions: usize, plane: usize, dx: &Array) {
    let at = Planes { x: indices.pointer().cast::<i64>().cast_const(), y: std::ptr::null_mut() };
    let at = &at;
    with_element!(g.dtype(), T => each_plane::<T>(g, dx, positions, plane, |i, g, dx| {
        // SAFETY: as many indices as elements of `g`.
        let indices = unsafe { std::slice::from_raw_parts(at.x.add(i * positions), positions) };
        dx.fill(T::from_f64(0.0));
        for (&g, &to) in g.iter().zip(indices) {
            let to = &mut dx[to as usize];
            *to = T::from_f64(to.to_f64() + g.to_f64());
        }
    }));
}
