//! Walks over strided memory, in runs along the last axis.

use smallvec::SmallVec;

use crate::array::Array;

/// A line of a shape: a place along every axis but the last.
pub struct Line<'a> {
    /// The extents of those axes.
    outer: &'a [usize],
    index: SmallVec<[usize; 6]>,
}

impl<'a> Line<'a> {
    /// The line of this number, in row-major order.
    pub fn of(outer: &'a [usize], number: usize) -> Self {
        let mut index = SmallVec::from_elem(0, outer.len());
        let mut rest = number;
        for (index, extent) in index.iter_mut().zip(outer).rev() {
            *index = rest % extent;
            rest /= extent;
        }
        Self { outer, index }
    }

    /// Goes on to the next, and from the last to the first: `moved(axis, by)` is told of every axis along which that is.
    #[inline]
    pub fn advance(&mut self, mut moved: impl FnMut(usize, isize)) {
        for (axis, (index, extent)) in self.index.iter_mut().zip(self.outer).enumerate().rev() {
            if *index + 1 < *extent {
                *index += 1;
                return moved(axis, 1);
            }
            moved(axis, -(*index as isize));
            *index = 0;
        }
    }

    /// Elements from the first line of an array to this one.
    #[inline]
    pub fn offset(&self, strides: &[isize]) -> isize {
        self.index.iter().zip(strides).map(|(&i, s)| i as isize * s).sum()
    }
}

/// Calls `visit(offset, step, n)` for the runs along the last axis that make up elements `start..start + n`.
pub fn walk(
    shape: &[usize],
    strides: &[isize],
    start: usize,
    n: usize,
    mut visit: impl FnMut(isize, isize, usize),
) {
    let Some((&length, outer)) = shape.split_last() else {
        visit(0, 0, n);
        return;
    };
    let step = strides[outer.len()];
    let mut line = Line::of(outer, start / length);
    let mut column = start % length;
    let mut first = line.offset(strides);
    let mut left = n;
    loop {
        let count = left.min(length - column);
        visit(first + column as isize * step, step, count);
        left -= count;
        if left == 0 {
            return;
        }
        column = 0;
        line.advance(|axis, by| first += by * strides[axis]);
    }
}

/// The strides of `x` along the axes of a shape it broadcasts to.
pub fn broadcast_strides(x: &Array, shape: &[usize]) -> SmallVec<[isize; 6]> {
    let skip = shape.len() - x.ndim();
    let mut strides: SmallVec<[isize; 6]> = SmallVec::from_elem(0, shape.len());
    for (i, (&n, &s)) in x.shape().iter().zip(x.strides()).enumerate() {
        strides[skip + i] = if n == 1 { 0 } else { s };
    }
    strides
}

/// Calls `visit(first, step, n)` for runs that together cover every element of `y` once.
pub fn each_run(y: &Array, mut visit: impl FnMut(*mut u8, isize, usize)) {
    let size = y.dtype().size() as isize;
    if y.numel() > 0 {
        walk(y.shape(), y.strides(), 0, y.numel(), |offset, step, n| {
            visit(y.pointer().wrapping_offset(offset * size), step, n);
        });
    }
}
