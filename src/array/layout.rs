//! Shapes and strides. A layout is immutable and shared: an element-wise result has the very layout of its operand.

mod recent;

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::array::emplace;
use crate::error::{Error, Kind, Result};

/// Extents, inline up to six.
pub type Dims = SmallVec<[usize; 6]>;
/// Strides in elements, inline up to six.
pub type Strides = SmallVec<[isize; 6]>;

/// The most dimensions a tensor can have.
pub const MAX_NDIM: usize = 64;

/// Shape and strides of a view, with what is asked of them most often.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Dims,
    strides: Strides,
    numel: usize,
    contiguous: bool,
}

impl Layout {
    /// The layout of a freshly made, row-major array.
    ///
    /// Fails when the element count overflows or there are more than 64 dimensions.
    pub fn contiguous(shape: &[usize]) -> Result<Arc<Self>> {
        if shape.is_empty() {
            return Ok(Self::scalar());
        }
        recent::row_major(shape, || {
            let numel = numel(shape)?;
            let strides = contiguous_strides(shape);
            Ok(emplace::arc(|| Self { shape: shape.into(), strides, numel, contiguous: true }))
        })
    }

    /// The layout of a single number.
    pub fn scalar() -> Arc<Self> {
        static SCALAR: OnceLock<Arc<Layout>> = OnceLock::new();
        SCALAR
            .get_or_init(|| {
                Arc::new(Self { shape: Dims::new(), strides: Strides::new(), numel: 1, contiguous: true })
            })
            .clone()
    }

    /// Any layout. The caller answers for the strides staying inside the storage.
    pub fn strided(shape: &[usize], strides: &[isize]) -> Result<Arc<Self>> {
        debug_assert_eq!(shape.len(), strides.len());
        if shape.is_empty() {
            return Ok(Self::scalar());
        }
        recent::strided(shape, strides, || {
            let numel = numel(shape)?;
            let contiguous = numel == 0 || is_contiguous(shape, strides);
            Ok(emplace::arc(|| Self { shape: shape.into(), strides: strides.into(), numel, contiguous }))
        })
    }

    /// Extents.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Strides, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.numel
    }

    /// Whether elements lie in row-major order without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.contiguous
    }

    /// Number of dimensions.
    #[inline]
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Elements from the first to one past the last, along the strides (all of them non-negative).
    pub fn extent(&self) -> usize {
        if self.numel == 0 {
            return 0;
        }
        1 + self.shape.iter().zip(&self.strides).map(|(&n, &s)| (n - 1) * s.unsigned_abs()).sum::<usize>()
    }

    /// [`Layout::extent`], if it can be represented.
    pub fn checked_extent(&self) -> Option<usize> {
        if self.numel == 0 {
            return Some(0);
        }
        self.shape
            .iter()
            .zip(&self.strides)
            .try_fold(1_usize, |sum, (&n, &s)| sum.checked_add((n - 1).checked_mul(s.unsigned_abs())?))
    }

    /// Whether two positions share an element (an expanded axis, say): such a view must not be written to.
    pub fn overlaps_itself(&self) -> bool {
        if self.contiguous || self.numel <= 1 {
            return false;
        }
        let mut axes: SmallVec<[(usize, usize); 8]> = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|(n, _)| **n > 1)
            .map(|(&n, &s)| (s.unsigned_abs(), n))
            .collect();
        axes.sort_unstable();
        let mut reach = 0;
        for (stride, n) in axes {
            if stride <= reach {
                return true;
            }
            reach += stride * (n - 1);
        }
        false
    }
}

/// Whether two views of one buffer, the second of which begins so many elements further on, have a place in common, `a` being
/// broadcast to the shape of `b`.
///
/// Where their strides are not the same it is said of all whose ranges meet.
pub fn have_common_place(a: &Layout, b: &Layout, apart: isize) -> bool {
    /// So many steps along one axis are not tried: axes that lie one within the other have two at most.
    const TRIED: isize = 4;
    const MOST_AXES: usize = 8;
    /// A stride, and how many of them the places of the two can lie apart.
    type Axis = (isize, [isize; 2]);

    fn reaches(axes: &[Axis], apart: isize) -> bool {
        let Some((&(stride, [low, high]), inner)) = axes.split_last() else { return apart == 0 };
        let [least, most] = inner.iter().fold([0, 0], |[least, most], (stride, [low, high])| {
            [least + low * stride, most + high * stride]
        });
        let from = low.max(-(most - apart).div_euclid(stride));
        let to = high.min((apart - least).div_euclid(stride));
        to - from >= TRIED || (from..=to).any(|steps| reaches(inner, apart - steps * stride))
    }

    if a.numel == 0 || b.numel == 0 {
        return false;
    }
    let ndim = a.ndim().max(b.ndim());
    // How many strides the last position is from the first, and how long they are.
    let axis = |x: &Layout, i: usize| match (i + x.ndim()).checked_sub(ndim) {
        Some(i) if x.shape[i] > 1 && x.strides[i] != 0 => (x.shape[i] as isize - 1, x.strides[i]),
        _ => (0, 0),
    };
    let mut axes: SmallVec<[Axis; 6]> = SmallVec::new();
    let mut is_even = true;
    for i in 0..ndim {
        let ((n, s), (m, t)) = (axis(a, i), axis(b, i));
        is_even &= s == t || n == 0 || m == 0;
        if n.max(m) > 0 {
            axes.push((s.max(t), [-m, n]));
        }
    }
    if is_even && axes.len() <= MOST_AXES {
        axes.sort_unstable();
        return reaches(&axes, apart);
    }
    apart < a.extent() as isize && -apart < b.extent() as isize
}

/// The number of elements, or why there cannot be so many.
pub fn numel(shape: &[usize]) -> Result<usize> {
    if shape.len() > MAX_NDIM {
        return Err(Kind::TooManyDims { ndim: shape.len() }.into());
    }
    let mut n: usize = 1;
    let mut zero = false;
    for &extent in shape {
        zero |= extent == 0;
        n = match n.checked_mul(extent.max(1)) {
            Some(n) if isize::try_from(n).is_ok() => n,
            _ if zero || shape.contains(&0) => {
                return Err(Error::runtime(format!("Stride calculation overflowed with sizes={shape:?}")));
            }
            _ => return Err(Kind::SizeOverflow { shape: shape.into() }.into()),
        };
    }
    Ok(if zero { 0 } else { n })
}

/// Row-major strides; an axis of extent 0 counts as 1, as in PyTorch. The shape's element count must be representable.
pub fn contiguous_strides(shape: &[usize]) -> Strides {
    let mut strides: Strides = SmallVec::from_elem(1, shape.len());
    let mut step = 1_isize;
    for (stride, &extent) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.wrapping_mul(extent.max(1) as isize);
    }
    strides
}

/// Strides without gaps that keep the order in which the axes lie in memory; row-major if positions share elements.
pub fn dense_strides(shape: &[usize], strides: &[isize]) -> Strides {
    let mut axes: SmallVec<[usize; 6]> = (0..shape.len()).collect();
    if shape.iter().zip(strides).any(|(&n, &s)| n > 1 && s == 0) {
        return contiguous_strides(shape);
    }
    // Stable: of two axes with one stride (one of them has extent 1), the first stays outside.
    axes.sort_by_key(|&axis| std::cmp::Reverse(strides[axis]));
    let mut dense: Strides = SmallVec::from_elem(1, shape.len());
    let mut step = 1_isize;
    for &axis in axes.iter().rev() {
        dense[axis] = step;
        step = step.wrapping_mul(shape[axis].max(1) as isize);
    }
    dense
}

fn is_contiguous(shape: &[usize], strides: &[isize]) -> bool {
    let mut step = 1_isize;
    for (&extent, &stride) in shape.iter().zip(strides).rev() {
        if extent != 1 {
            if stride != step {
                return false;
            }
            step *= extent as isize;
        }
    }
    true
}

/// The axis that a possibly negative number names. A 0-d tensor accepts 0 and -1.
#[inline]
pub fn axis(axis: isize, ndim: usize) -> Result<usize> {
    let n = ndim.max(1) as isize;
    let i = if axis < 0 { axis + n } else { axis };
    if (0..n).contains(&i) { Ok(i as usize) } else { Err(Kind::Axis { axis, ndim }.into()) }
}

/// The shape that both broadcast to.
pub fn broadcast(op: &'static str, a: &[usize], b: &[usize]) -> Result<Dims> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let skip = long.len() - short.len();
    let mut shape = Dims::from_slice(long);
    for (i, &m) in short.iter().enumerate() {
        let n = &mut shape[skip + i];
        if *n == 1 {
            *n = m;
        } else if m != 1 && m != *n {
            return Err(broadcast_error(op, a, b));
        }
    }
    Ok(shape)
}

#[cold]
fn broadcast_error(op: &'static str, a: &[usize], b: &[usize]) -> Error {
    let ndim = a.len().max(b.len());
    let extent = |s: &[usize], axis: usize| (axis + s.len()).checked_sub(ndim).map_or(1, |i| s[i]);
    // The rightmost clash is the one that is compared first.
    let axis = (0..ndim)
        .rev()
        .find(|&i| extent(a, i) != extent(b, i) && extent(a, i) != 1 && extent(b, i) != 1)
        .unwrap_or(0);
    Kind::Broadcast { op, lhs: a.into(), rhs: b.into(), axis }.into()
}

/// Checks extents given by a user: all non-negative.
pub fn sizes(shape: &[isize]) -> Result<Dims> {
    shape
        .iter()
        .map(|&n| usize::try_from(n))
        .collect::<std::result::Result<Dims, _>>()
        .map_err(|_| Kind::NegativeSize { shape: shape.to_vec() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(x: &Layout) -> Vec<isize> {
        let mut places = vec![0];
        for (&n, &stride) in x.shape().iter().zip(x.strides()) {
            places = places.iter().flat_map(|p| (0..n as isize).map(move |i| p + i * stride)).collect();
        }
        places
    }

    fn have_one(a: &Layout, b: &Layout, apart: isize) -> bool {
        let of_a = places(a);
        places(b).iter().any(|place| of_a.contains(&(place + apart)))
    }

    #[test]
    fn common_places_are_found_and_no_others_where_strides_agree() {
        for strides in [[8, 1], [1, 8], [9, 2], [3, 1], [2, 8], [5, 0], [40, 4]] {
            for (rows, columns) in [(1, 1), (3, 1), (1, 4), (3, 4), (2, 2), (0, 3)] {
                let target = Layout::strided(&[3, 4], &strides).unwrap();
                let read = Layout::strided(&[rows, columns], &strides).unwrap();
                let line = Layout::strided(&[columns], &strides[1..]).unwrap();
                for apart in -100..100 {
                    for x in [&read, &line] {
                        let found = have_common_place(x, &target, apart);
                        assert_eq!(found, have_one(x, &target, apart), "{x:?} {target:?} {apart}");
                    }
                }
            }
        }
    }

    #[test]
    fn common_places_are_not_missed_where_strides_differ() {
        let views =
            [([3, 4], [8, 1]), ([4, 3], [1, 8]), ([2, 5], [11, 2]), ([5, 1], [3, 0]), ([2, 3], [9, 4])];
        for (shape, strides) in views {
            for (other, steps) in views {
                let [a, b] =
                    [(shape, strides), (other, steps)].map(|(n, s)| Layout::strided(&n, &s).unwrap());
                for apart in -60..60 {
                    if have_one(&a, &b, apart) {
                        assert!(have_common_place(&a, &b, apart), "{a:?} {b:?} {apart}");
                    }
                }
            }
        }
    }
}
