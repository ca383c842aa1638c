//! One tensor as several along an axis.

use crate::array::layout;
use crate::array::reserve::{defaults, reserved};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops::part::{Bond, cut, slice};

/// How to cut an axis.
#[derive(Clone, Copy, Debug)]
pub enum Cuts<'a> {
    /// Into this many parts, as equal as can be.
    Sections(isize),
    /// At these positions.
    At(&'a [isize]),
}

/// Parts of `size` along an axis, the last one smaller if it must be; views of one node.
pub fn split(x: &Tensor, size: isize, dim: isize) -> Result<Vec<Tensor>> {
    in_runs(x, size, dim, Bond::Views)
}

/// [`split`] into tensors with memory of their own, which may be written to.
pub fn unsafe_split(x: &Tensor, size: isize, dim: isize) -> Result<Vec<Tensor>> {
    in_runs(x, size, dim, Bond::Loose)
}

/// The names of the nodes of equal and of given sizes.
fn names(bond: Bond) -> [&'static str; 2] {
    match bond {
        Bond::Views => ["SplitBackward0", "SplitWithSizesBackward0"],
        Bond::Loose => ["UnsafeSplitBackward0", "UnsafeSplitWithSizesBackward0"],
    }
}

fn in_runs(x: &Tensor, size: isize, dim: isize, bond: Bond) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("split expects at least a 1-dimensional tensor"));
    }
    if size < 0 {
        return Err(Error::runtime(format!(
            "split expects split_size be non-negative, but got split_size={size}"
        )));
    }
    let axis = layout::axis(dim, shape.len())?;
    let extent = shape[axis];
    if size == 0 && extent != 0 {
        return Err(Error::runtime(format!(
            "split_size can only be 0 if dimension size is 0, but got dimension size of {extent}"
        )));
    }
    cut(names(bond)[0], x, axis, &even(extent, size as usize)?, bond)
}

/// `extent` in runs of `size`: at least one, and the last one smaller if it must be.
fn even(extent: usize, size: usize) -> Result<Vec<usize>> {
    if extent == 0 {
        return Ok(vec![0]);
    }
    let mut sizes = reserved(extent.div_ceil(size))?;
    sizes.extend((0..extent).step_by(size).map(|start| size.min(extent - start)));
    Ok(sizes)
}

/// Parts of these sizes along an axis; views of one node. The sizes must sum to the extent.
pub fn split_with_sizes(x: &Tensor, sizes: &[isize], dim: isize) -> Result<Vec<Tensor>> {
    in_sizes(x, sizes, dim, Bond::Views)
}

/// [`split_with_sizes`] into tensors with memory of their own, which may be written to.
pub fn unsafe_split_with_sizes(x: &Tensor, sizes: &[isize], dim: isize) -> Result<Vec<Tensor>> {
    in_sizes(x, sizes, dim, Bond::Loose)
}

fn in_sizes(x: &Tensor, sizes: &[isize], dim: isize, bond: Bond) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("split expects at least a 1-dimensional tensor"));
    }
    let axis = layout::axis(dim, shape.len())?;
    if sizes.iter().any(|&n| n < 0) {
        return Err(Error::runtime(format!(
            "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes:?}"
        )));
    }
    if sizes.iter().map(|&n| n as i128).sum::<i128>() != shape[axis] as i128 {
        return Err(Error::runtime(format!(
            "split_with_sizes expects split_sizes to sum exactly to {} (input tensor's size at dimension {axis}), but got \
             split_sizes={sizes:?}",
            shape[axis]
        )));
    }
    let sizes: Vec<usize> = sizes.iter().map(|&n| n as usize).collect();
    cut(names(bond)[1], x, axis, &sizes, bond)
}

/// At most `chunks` parts of equal size along an axis, the last one smaller if it must be; views of one node.
pub fn chunk(x: &Tensor, chunks: isize, dim: isize) -> Result<Vec<Tensor>> {
    in_chunks(x, chunks, dim, Bond::Views)
}

/// [`chunk`] into tensors with memory of their own, which may be written to.
pub fn unsafe_chunk(x: &Tensor, chunks: isize, dim: isize) -> Result<Vec<Tensor>> {
    in_chunks(x, chunks, dim, Bond::Loose)
}

fn in_chunks(x: &Tensor, chunks: isize, dim: isize, bond: Bond) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("chunk expects at least a 1-dimensional tensor"));
    }
    if chunks <= 0 {
        return Err(Error::runtime(format!("chunk expects `chunks` to be greater than 0, got: {chunks}")));
    }
    let axis = layout::axis(dim, shape.len())?;
    let (extent, chunks) = (shape[axis], chunks as usize);
    if extent == 0 {
        return cut(names(bond)[1], x, axis, &defaults(chunks)?, bond);
    }
    cut(names(bond)[0], x, axis, &even(extent, extent.div_ceil(chunks))?, bond)
}

/// Parts along an axis that need not be equal, each a view of its own.
pub fn tensor_split(x: &Tensor, cuts: Cuts<'_>, dim: isize) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims",
        ));
    }
    let axis = layout::axis(dim, shape.len())?;
    let part = |start: isize, end: Option<isize>| slice(x, axis as isize, Some(start), end, 1);
    match cuts {
        Cuts::Sections(sections) => {
            if sections <= 0 {
                return Err(Error::runtime(format!(
                    "number of sections must be larger than 0, got {sections}"
                )));
            }
            let (size, longer) = (shape[axis] as isize / sections, shape[axis] as isize % sections);
            let bound = |i: isize| i * size + i.min(longer);
            let mut parts = reserved(sections as usize)?;
            for i in 0..sections {
                parts.push(part(bound(i), Some(bound(i + 1)))?);
            }
            Ok(parts)
        }
        Cuts::At(positions) => {
            let ends = positions.iter().copied().map(Some).chain([None]);
            let starts = std::iter::once(0).chain(positions.iter().copied());
            starts.zip(ends).map(|(start, end)| part(start, end)).collect()
        }
    }
}

/// [`tensor_split`] along the axis of columns; sections must divide it.
pub fn hsplit(x: &Tensor, cuts: Cuts<'_>) -> Result<Vec<Tensor>> {
    dividing(x, "hsplit", 1, isize::from(x.ndim() != 1), cuts)
}

/// [`tensor_split`] along the axis of rows; sections must divide it.
pub fn vsplit(x: &Tensor, cuts: Cuts<'_>) -> Result<Vec<Tensor>> {
    dividing(x, "vsplit", 2, 0, cuts)
}

/// [`tensor_split`] along the third axis; sections must divide it.
pub fn dsplit(x: &Tensor, cuts: Cuts<'_>) -> Result<Vec<Tensor>> {
    dividing(x, "dsplit", 3, 2, cuts)
}

fn dividing(x: &Tensor, name: &str, least: usize, dim: isize, cuts: Cuts<'_>) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.len() < least {
        return Err(Error::runtime(format!(
            "torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {} dimensions!",
            shape.len()
        )));
    }
    if let Cuts::Sections(sections) = cuts
        && (sections == 0 || shape[dim as usize] as isize % sections != 0)
    {
        return Err(Error::runtime(format!(
            "torch.{name} attempted to split along dimension {dim}, but the size of the dimension {} is not divisible by \
             the split_size {sections}!",
            shape[dim as usize]
        )));
    }
    tensor_split(x, cuts, dim)
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("split", |s| Ok(vec![s.normal(&[5, 2])?]), |x| split(&x[0], 2, 0)),
    Check::new(
        "split_with_sizes",
        |s| Ok(vec![s.normal(&[5, 2])?]),
        |x| split_with_sizes(&x[0], &[1, 0, 4], 0),
    ),
    Check::new("unsafe_split", |s| Ok(vec![s.normal(&[5, 2])?]), |x| unsafe_split(&x[0], 2, 0)),
    Check::new(
        "tensor_split",
        |s| Ok(vec![s.normal(&[5, 2])?]),
        |x| tensor_split(&x[0], Cuts::Sections(3), 0),
    ),
];
