//! Layouts that a thread asked for lately. Programs ask for few of them over and over, and to find one costs a third of what
//! it costs to make it and to free it soon after.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::LocalKey;

use super::Layout;
use crate::error::Result;

/// Layouts of a kind that a thread remembers, each in the one place that its numbers lead to. A power of two.
const PLACES: usize = 16;

/// Of more axes than this a layout is not remembered: its numbers lie in memory of their own.
const NDIM_MAX: usize = 6;

type Table = RefCell<[Option<Arc<Layout>>; PLACES]>;

thread_local! {
    static ROW_MAJOR: Table = const { RefCell::new([const { None }; PLACES]) };
    static STRIDED: Table = const { RefCell::new([const { None }; PLACES]) };
}

/// The row-major layout of this shape, which `make` makes.
#[inline]
pub(super) fn row_major(shape: &[usize], make: impl Fn() -> Result<Arc<Layout>>) -> Result<Arc<Layout>> {
    find(&ROW_MAJOR, shape, 0, |layout| layout.shape() == shape, make)
}

/// The layout of this shape and these strides, which `make` makes.
#[inline]
pub(super) fn strided(
    shape: &[usize],
    strides: &[isize],
    make: impl Fn() -> Result<Arc<Layout>>,
) -> Result<Arc<Layout>> {
    let steps = strides.iter().fold(0, |hash, &stride| mixed(hash, stride as usize));
    find(&STRIDED, shape, steps, |layout| layout.shape() == shape && layout.strides() == strides, make)
}

#[inline]
fn find(
    table: &'static LocalKey<Table>,
    shape: &[usize],
    seed: usize,
    is_it: impl Fn(&Layout) -> bool,
    make: impl Fn() -> Result<Arc<Layout>>,
) -> Result<Arc<Layout>> {
    if shape.len() > NDIM_MAX {
        return make();
    }
    let hash = shape.iter().fold(seed, |hash, &extent| mixed(hash, extent));
    let found = table.try_with(|table| {
        let mut table = table.borrow_mut();
        let place = &mut table[hash >> (usize::BITS - PLACES.ilog2())];
        match place {
            Some(layout) if is_it(layout) => Ok(layout.clone()),
            _ => Ok(place.insert(make()?).clone()),
        }
    });
    // A thread that is ending has no table any more.
    found.unwrap_or_else(|_| make())
}

/// One more number in a hash, whose high bits are the good ones.
#[inline]
fn mixed(hash: usize, number: usize) -> usize {
    /// An odd number without pattern.
    const FACTOR: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;
    (hash.rotate_left(5) ^ number.wrapping_add(1)).wrapping_mul(FACTOR)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number of elements, and whether they lie in row-major order without gaps.
    fn plain(shape: &[usize], strides: &[isize]) -> (usize, bool) {
        let numel = shape.iter().product();
        let mut step = 1;
        let mut in_order = true;
        for (&extent, &stride) in shape.iter().zip(strides).rev() {
            in_order &= extent == 1 || stride == step;
            step *= extent as isize;
        }
        (numel, numel == 0 || in_order)
    }

    proptest! {
        /// Far more layouts than there are places, many of them asked for again.
        #[test]
        fn a_layout_is_the_one_asked_for_whatever_was_asked_for_before(
            asked in prop::collection::vec(prop::collection::vec((0usize..4, -2isize..5), 0..9), 200),
            row_major: bool,
        ) {
            for axes in asked {
                let (shape, mut strides): (Vec<usize>, Vec<isize>) = axes.into_iter().unzip();
                let layout = if row_major {
                    for i in 0..shape.len() {
                        strides[i] = shape[i + 1..].iter().map(|&n| n.max(1) as isize).product();
                    }
                    Layout::contiguous(&shape)?
                } else {
                    Layout::strided(&shape, &strides)?
                };
                prop_assert_eq!((layout.shape(), layout.strides()), (&shape[..], &strides[..]));
                prop_assert_eq!((layout.numel(), layout.is_contiguous()), plain(&shape, &strides));
            }
        }
    }

    #[test]
    fn one_that_was_asked_for_lately_is_found_again() {
        let [first, second] = [0, 1].map(|_| Layout::strided(&[2, 3], &[1, 2]).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        let [first, second] = [0, 1].map(|_| Layout::contiguous(&[2, 3]).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn a_thread_that_is_ending_still_gets_layouts() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                assert_eq!(Layout::contiguous(&[2, 3]).unwrap().numel(), 6);
            }
        }
        thread_local!(static LAST: Last = const { Last });
        let thread = std::thread::spawn(|| {
            // Set up before the tables are, and so torn down after them.
            LAST.with(|_| ());
            Layout::contiguous(&[2, 3]).unwrap();
        });
        thread.join().unwrap();
    }
}
