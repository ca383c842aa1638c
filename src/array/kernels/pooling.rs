//! Maxima and means of windows over the last three axes.

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

/// The largest element of each window and its position in the plane; NaN if there is one, the first of equal ones.
///
/// All arrays are contiguous; `indices` is of 64-bit integers.
pub fn maximum(windows: &Windows, x: &Array, y: &Array, indices: &Array) {
    let (plane, positions) = (windows.plane(), windows.positions());
    let index = Planes { x: std::ptr::null(), y: indices.pointer().cast::<i64>() };
    let index = &index;
    with_element!(x.dtype(), T => each_plane::<T>(x, y, plane, positions, |i, x, y| {
        // SAFETY: as for plane `i` of `y`.
        let indices = unsafe { std::slice::from_raw_parts_mut(index.y.add(i * positions), positions) };
        windows.each(|at, d, h, w| {
            let mut best = (d.start * windows.input[1] + h.start) * windows.input[2] + w.start;
            windows.read(d, h, w, |from| {
                // A number that is not even equal to itself is NaN.
                #[allow(clippy::eq_op)]
                if x[from] > x[best] || x[from] != x[from] {
                    best = from;
                }
            });
            y[at] = x[best];
            indices[at] = best as i64;
        });
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
