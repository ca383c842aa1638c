//! Walks over strided memory, in runs along the last axis.

use smallvec::SmallVec;

use crate::array::Array;

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
    // Where `start` lies along each axis.
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer.len());
    let mut rest = start / length;
    let mut column = start % length;
    let mut offset = column as isize * step;
    for axis in (0..outer.len()).rev() {
        index[axis] = rest % outer[axis];
        rest /= outer[axis];
        offset += index[axis] as isize * strides[axis];
    }
    let mut left = n;
    loop {
        let count = left.min(length - column);
        visit(offset, step, count);
        left -= count;
        if left == 0 {
            return;
        }
        offset -= column as isize * step;
        column = 0;
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < outer[axis] {
                break;
            }
            offset -= outer[axis] as isize * strides[axis];
            index[axis] = 0;
        }
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
