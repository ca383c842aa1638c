//! Which axes go and which stay, brought to as few as possible.

use smallvec::SmallVec;

use crate::array::Array;

/// A set of axes, one bit each: an array has at most 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AxisSet(pub u64);

impl AxisSet {
    /// All axes of an array with this many dimensions.
    pub const fn all(ndim: usize) -> Self {
        if ndim >= 64 { Self(u64::MAX) } else { Self((1 << ndim) - 1) }
    }

    /// One axis; none of a 0-d array, whose only axis does not exist.
    pub const fn one(axis: usize, ndim: usize) -> Self {
        if ndim == 0 { Self(0) } else { Self(1 << axis) }
    }

    /// Whether the axis is one of them.
    #[inline]
    pub const fn contains(self, axis: usize) -> bool {
        axis < 64 && self.0 >> axis & 1 == 1
    }

    /// The same axes behind this many others.
    #[must_use]
    pub const fn behind(self, others: usize) -> Self {
        Self(self.0 << others)
    }

    /// The same set with one more.
    #[must_use]
    pub const fn with(self, axis: usize) -> Self {
        Self(self.0 | 1 << axis)
    }
}

impl FromIterator<usize> for AxisSet {
    fn from_iter<I: IntoIterator<Item = usize>>(axes: I) -> Self {
        axes.into_iter().fold(Self(0), Self::with)
    }
}

/// Some axes of an array in logical order, neighbours merged where one stride serves both.
#[derive(Clone, Debug, Default)]
pub struct Axes {
    /// Extents; none of them is 1.
    pub shape: SmallVec<[usize; 4]>,
    /// Strides in elements.
    pub strides: SmallVec<[isize; 4]>,
}

impl Axes {
    fn push(&mut self, extent: usize, stride: isize) {
        if extent == 1 {
            return;
        }
        if let (Some(last), Some(step)) = (self.shape.last_mut(), self.strides.last_mut())
            && *step == stride * extent as isize
        {
            *last *= extent;
            *step = stride;
            return;
        }
        self.shape.push(extent);
        self.strides.push(stride);
    }

    /// How many positions there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The stride of the innermost axis; 1 if there is none, for a single element lies in order with itself.
    #[inline]
    pub fn innermost(&self) -> isize {
        self.strides.last().copied().unwrap_or(1)
    }

    /// Where the position of this number lies.
    #[inline]
    pub fn offset(&self, mut index: usize) -> isize {
        if let ([_], [stride]) = (&self.shape[..], &self.strides[..]) {
            return index as isize * stride;
        }
        let mut offset = 0;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides).rev() {
            offset += (index % extent) as isize * stride;
            index /= extent;
        }
        offset
    }

    /// Calls `visit(offset, step, n)` for the runs along the innermost axis that make up positions `start..start + n`.
    pub fn each_run(&self, start: usize, n: usize, mut visit: impl FnMut(isize, isize, usize)) {
        let Some(&length) = self.shape.last() else {
            visit(0, 1, n);
            return;
        };
        let (mut at, mut left) = (start, n);
        while left > 0 {
            let count = left.min(length - at % length);
            visit(self.offset(at), self.innermost(), count);
            at += count;
            left -= count;
        }
    }
}

/// An array seen by a reduction: the axes that stay and those that go.
#[derive(Debug)]
pub struct Geometry {
    /// One position for each output, in the output's row-major order.
    pub kept: Axes,
    /// The positions that each output is made from, in logical order.
    pub reduced: Axes,
}

impl Geometry {
    /// Splits the axes of `x`.
    pub fn new(x: &Array, axes: AxisSet) -> Self {
        let (mut kept, mut reduced) = (Axes::default(), Axes::default());
        for (axis, (&extent, &stride)) in x.shape().iter().zip(x.strides()).enumerate() {
            if axes.contains(axis) { &mut reduced } else { &mut kept }.push(extent, stride);
        }
        Self { kept, reduced }
    }
}
