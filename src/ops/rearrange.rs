//! The same elements in other places, or more often: flips, rolls, repeats, triangles, grids.

use smallvec::SmallVec;

use crate::array::kernels::copy;
use crate::array::layout::{self, Dims, Strides};
use crate::array::reserve::reserved;
use crate::array::{Array, DType, Layout, Scalar};
use crate::error::{Error, Kind, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{self, sum_to};
use crate::graph::{Onto, Tensor, linear, overwrite, record};
use crate::ops::contiguous;
use crate::ops::gather::index_select;
use crate::ops::join::stack;
use crate::ops::part::{narrow, select, slice, tangent_or_zeros};
use crate::ops::view::{Axes, axes, repeated, reshape_to, unsqueeze};

/// A view that runs backwards along some axes.
fn reversed(x: &Array, axes: &[usize]) -> Result<Array> {
    let mut strides: Strides = x.strides().into();
    let mut offset = x.offset();
    for &axis in axes {
        if x.numel() > 0 && x.ndim() > 0 {
            offset = offset.wrapping_add_signed((x.shape()[axis] - 1) as isize * strides[axis]);
            strides[axis] = -strides[axis];
        }
    }
    Ok(x.view_with(Layout::strided(x.shape(), &strides)?, offset))
}

/// A row-major copy of a view whose strides may be negative.
fn copied(x: &Array) -> Result<Array> {
    let y = Array::empty(x.shape(), x.dtype())?;
    copy::copy(x, &y);
    Ok(y)
}

/// Some axes in reverse order.
pub fn flip(x: &Tensor, dims: &[isize]) -> Result<Tensor> {
    let axes = axes(dims, x.ndim())?;
    if let Some(axis) = repeated(&axes) {
        return Err(Error::runtime(format!("dim {axis} appears multiple times in the list of dims")));
    }
    flipped(x, axes)
}

fn flipped(x: &Tensor, axes: Axes) -> Result<Tensor> {
    let y = copied(&reversed(&x.array(), &axes)?)?;
    let again = axes.clone();
    linear("FlipBackward0", x, y, move |g| flipped(g, axes.clone()), move |t| flipped(t, again))
}

/// The columns in reverse order.
pub fn fliplr(x: &Tensor) -> Result<Tensor> {
    if x.ndim() < 2 {
        return Err(Error::runtime("Input must be >= 2-d."));
    }
    flip(x, &[1])
}

/// The rows in reverse order.
pub fn flipud(x: &Tensor) -> Result<Tensor> {
    if x.ndim() < 1 {
        return Err(Error::runtime("Input must be >= 1-d."));
    }
    flip(x, &[0])
}

/// Elements moved along axes; what leaves at the end comes back at the beginning. Without axes, `x` is one long line.
pub fn roll(x: &Tensor, shifts: &[isize], dims: &[isize]) -> Result<Tensor> {
    if dims.is_empty() && shifts.len() == 1 {
        let line = reshape_to(&x.detach(), &[x.numel()])?;
        let y = rolled(&line.array(), &[(0, shifts[0])])?.view(&x.shape())?;
        let shift = shifts[0];
        return linear(
            "RollBackward0",
            x,
            y,
            move |g| roll(g, &[shift.wrapping_neg()], &[]),
            move |t| roll(t, &[shift], &[]),
        );
    }
    if shifts.is_empty() {
        return Err(Error::runtime("`shifts` required"));
    }
    if shifts.len() != dims.len() {
        return Err(Error::runtime(format!(
            "shifts and dimensions must align. shifts: {}, dims:{}",
            shifts.len(),
            dims.len()
        )));
    }
    let moves: SmallVec<[(usize, isize); 4]> =
        axes(dims, x.ndim())?.into_iter().zip(shifts.iter().copied()).collect();
    roll_along(x, moves)
}

fn roll_along(x: &Tensor, moves: SmallVec<[(usize, isize); 4]>) -> Result<Tensor> {
    let y = rolled(&x.array(), &moves)?;
    let back: SmallVec<[(usize, isize); 4]> = moves.iter().map(|&(a, s)| (a, s.wrapping_neg())).collect();
    linear("RollBackward0", x, y, move |g| roll_along(g, back.clone()), move |t| roll_along(t, moves))
}

fn rolled(x: &Array, moves: &[(usize, isize)]) -> Result<Array> {
    let mut y = x.copied()?;
    for &(axis, shift) in moves {
        let extent = y.shape().get(axis).copied().unwrap_or(1);
        if extent < 2 {
            continue;
        }
        let shift = shift.rem_euclid(extent as isize) as usize;
        if shift == 0 {
            continue;
        }
        let moved = Array::empty(y.shape(), y.dtype())?;
        copy::copy(&y.slice(axis, 0, extent - shift, 1)?, &moved.slice(axis, shift, extent - shift, 1)?);
        copy::copy(&y.slice(axis, extent - shift, shift, 1)?, &moved.slice(axis, 0, shift, 1)?);
        y = moved;
    }
    Ok(y)
}

/// Turned by `k` right angles in the plane of two axes, from the first towards the second.
pub fn rot90(x: &Tensor, k: isize, dims: &[isize]) -> Result<Tensor> {
    if dims.len() != 2 {
        return Err(Error::runtime(format!(
            "expected total rotation dims == 2, but got dims = {}",
            dims.len()
        )));
    }
    if x.ndim() < 2 {
        return Err(Error::runtime(format!("expected total dims >= 2, but got total dims = {}", x.ndim())));
    }
    let plane = axes(dims, x.ndim())?;
    let (a, b) = (plane[0], plane[1]);
    if a == b {
        return Err(Error::runtime(format!(
            "expected rotation dims to be different, but got dim0 = {} and dim1 = {}",
            dims[0], dims[1]
        )));
    }
    turned(x, k.rem_euclid(4), [a, b])
}

fn turned(x: &Tensor, k: isize, plane: [usize; 2]) -> Result<Tensor> {
    let array = x.array();
    let [a, b] = plane;
    let mut order: Axes = (0..array.ndim()).collect();
    let view = match k {
        0 => array.clone(),
        1 => {
            order.swap(a, b);
            reversed(&array, &[b])?.permute(&order)?
        }
        2 => reversed(&array, &plane)?,
        _ => {
            order.swap(a, b);
            reversed(&array, &[a])?.permute(&order)?
        }
    };
    let back = (4 - k).rem_euclid(4);
    linear("Rot90Backward0", x, copied(&view)?, move |g| turned(g, back, plane), move |t| turned(t, k, plane))
}

/// The whole tensor so many times along each axis; new axes come first.
pub fn repeat(x: &Tensor, repeats: &[isize]) -> Result<Tensor> {
    let from = x.shape();
    let Some(skip) = repeats.len().checked_sub(from.len()) else {
        return Err(Error::runtime(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor",
        ));
    };
    let padded: Dims = std::iter::repeat_n(1, skip).chain(from.iter().copied()).collect();
    if repeats.iter().any(|&r| r < 0) {
        let shape: Vec<isize> = padded.iter().zip(repeats).map(|(&n, &r)| n as isize * r).collect();
        let negative = shape.iter().find(|&&n| n < 0).copied();
        return Err(match negative {
            Some(n) => {
                Error::runtime(format!("Trying to create tensor with negative dimension {n}: {shape:?}"))
            }
            None => Kind::NegativeSize { shape: repeats.to_vec() }.into(),
        });
    }
    let repeats: Dims = repeats.iter().map(|&r| r as usize).collect();
    repeated_by(x, repeats)
}

fn repeated_by(x: &Tensor, repeats: Dims) -> Result<Tensor> {
    let array = x.array();
    let skip = repeats.len() - array.ndim();
    // Each axis as two: the copies, and the axis itself.
    let (mut single, mut double, mut whole) = (Dims::new(), Dims::new(), Dims::new());
    for (i, &r) in repeats.iter().enumerate() {
        let n = i.checked_sub(skip).map_or(1, |i| array.shape()[i]);
        single.extend([1, n]);
        double.extend([r, n]);
        whole.push(n.checked_mul(r).ok_or_else(|| Kind::SizeOverflow { shape: repeats.clone() })?);
    }
    let y = array.contiguous()?.view(&single)?.expand(&double)?.copied()?.view(&whole)?;
    let from: Dims = array.shape().into();
    // dx = the sum of g over all copies.
    let adjoint = move |g: &Tensor| reshape_to(&sum_to(&reshape_to(g, &double)?, &single)?, &from);
    linear("RepeatBackward0", x, y, adjoint, move |t| repeated_by(t, repeats))
}

/// [`repeat`] whose list may be shorter than the shape.
pub fn tile(x: &Tensor, repeats: &[isize]) -> Result<Tensor> {
    let missing = x.ndim().saturating_sub(repeats.len());
    let repeats: SmallVec<[isize; 6]> =
        std::iter::repeat_n(1, missing).chain(repeats.iter().copied()).collect();
    repeat(x, &repeats)
}

/// Each element (or each slice along an axis) so many times in a row.
pub fn repeat_interleave(x: &Tensor, repeats: isize, dim: Option<isize>) -> Result<Tensor> {
    if repeats < 0 {
        return Err(Error::runtime("Repeats must be non-negative"));
    }
    let (x, axis) = match dim {
        None => (reshape_to(x, &[x.numel()])?, 0),
        Some(dim) if x.ndim() == 0 => (reshape_to(x, &[1])?, layout::axis(dim, 0)?),
        Some(dim) => (x.clone(), layout::axis(dim, x.ndim())?),
    };
    let shape = x.shape();
    let mut double = shape.clone();
    double.insert(axis + 1, repeats as usize);
    let mut whole = shape;
    whole[axis] = whole[axis]
        .checked_mul(repeats as usize)
        .ok_or_else(|| Kind::SizeOverflow { shape: double.clone() })?;
    let spread = vector_space::expand(&unsqueeze(&x, axis as isize + 1)?, &double)?;
    reshape_to(&contiguous(&spread)?, &whole)
}

/// [`repeat_interleave`] with a count for each element or slice.
pub fn repeat_interleave_each(x: &Tensor, repeats: &Tensor, dim: Option<isize>) -> Result<Tensor> {
    let (x, axis) = match dim {
        None => (reshape_to(x, &[x.numel()])?, 0),
        Some(dim) => (x.clone(), layout::axis(dim, x.ndim())?),
    };
    if repeats.ndim() > 1 {
        return Err(Error::runtime("repeats must be 0-dim or 1-dim tensor"));
    }
    let extent = x.shape().get(axis).copied().unwrap_or(1);
    if repeats.numel() == 1 && repeats.dtype() == DType::I64 {
        return repeat_interleave(&x, repeats.item()?.to_i64() as isize, Some(axis as isize));
    }
    if repeats.numel() != extent {
        return Err(Error::runtime(format!(
            "repeats must have the same size as input along dim, but got repeats.size(0) = {} and input.size({axis}) = {extent}",
            repeats.numel()
        )));
    }
    index_select(&x, axis as isize, &interleaved(repeats)?)
}

/// 0 as often as the first count says, 1 as often as the second, and so on.
pub fn interleaved(repeats: &Tensor) -> Result<Tensor> {
    if !matches!(repeats.dtype(), DType::I32 | DType::I64) {
        return Err(Error::unsupported("repeat_interleave_cpu", repeats.dtype()));
    }
    let counts = repeats.to_vec::<i64>()?;
    if counts.iter().any(|&n| n < 0) {
        return Err(Error::runtime("repeats can not be negative"));
    }
    let total = counts.iter().fold(0, |total: usize, &n| total.saturating_add(n as usize));
    let mut positions: Vec<i64> = reserved(total)?;
    positions.extend((0..).zip(&counts).flat_map(|(i, &n)| std::iter::repeat_n(i, n as usize)));
    Tensor::from_slice(&positions, &[positions.len()])
}

/// Which triangle of a matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Triangle {
    /// On and below a diagonal.
    Lower,
    /// On and above a diagonal.
    Upper,
}

impl Triangle {
    /// How many positions of a matrix are inside.
    fn count(self, rows: usize, columns: usize, diagonal: isize) -> usize {
        let (r, c, d) = (rows as i128, columns as i128, diagonal as i128);
        // Positions on and below diagonal `d`: rows that grow by one, then whole ones.
        let below = |d: i128| {
            let first = (-d).clamp(0, r);
            let whole = (c - d - 1).clamp(first, r);
            (first + d + 1 + whole + d) * (whole - first) / 2 + c * (r - whole)
        };
        let count = match self {
            Self::Lower => below(d),
            Self::Upper => r * c - below(d - 1),
        };
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// The columns of a row that are outside.
    fn outside(self, row: usize, columns: usize, diagonal: isize) -> std::ops::Range<usize> {
        let at = |i: isize| i.clamp(0, columns as isize) as usize;
        let row = row as isize;
        match self {
            Self::Lower => at(row.saturating_add(diagonal).saturating_add(1))..columns,
            Self::Upper => 0..at(row.saturating_add(diagonal)),
        }
    }
}

/// `x`, a batch of matrices, with zeros outside a triangle.
pub fn triangle(onto: Onto, which: Triangle, x: &Tensor, diagonal: isize) -> Result<Tensor> {
    let (name, said) = match which {
        Triangle::Lower => ("TrilBackward0", "tril"),
        Triangle::Upper => ("TriuBackward0", "triu"),
    };
    let ndim = x.ndim();
    if ndim < 2 {
        return Err(Error::runtime(format!("{said}: input tensor must have at least 2 dimensions")));
    }
    overwrite(
        onto,
        name,
        &[x],
        &[],
        |y| {
            let (rows, columns) = (y.shape()[ndim - 2], y.shape()[ndim - 1]);
            for row in 0..rows {
                let outside = which.outside(row, columns, diagonal);
                if !outside.is_empty() {
                    let line = y.select(ndim - 2, row)?.slice(ndim - 2, outside.start, outside.len(), 1)?;
                    crate::array::kernels::fill::fill(&line, Scalar::Int(0));
                }
            }
            Ok(())
        },
        move |cx| {
            let dx = cx.grad(0).map(|g| triangle(Onto::Copy, which, g, diagonal)).transpose()?;
            Ok(smallvec::smallvec![dx])
        },
        |cx| {
            let x = tangent_or_zeros(cx.tangent(0), cx.output())?;
            triangle(Onto::Copy, which, &x, diagonal)
        },
    )
}

/// The positions of a triangle of a matrix of this shape: a row of rows and a row of columns.
pub fn triangle_indices(
    which: Triangle,
    rows: isize,
    columns: isize,
    diagonal: isize,
    dtype: DType,
) -> Result<Tensor> {
    for (name, n) in [("row", rows), ("col", columns)] {
        if n < 0 {
            return Err(Error::runtime(format!("{name} must be non-negative, got{n}")));
        }
    }
    let (rows, columns) = (rows as usize, columns as usize);
    let count = which.count(rows, columns, diagonal);
    let mut first: Vec<i64> = reserved(count.saturating_mul(2))?;
    let mut second: Vec<i64> = reserved(count)?;
    // The rows before and after those that have a position inside are not walked through.
    let skipped = if which == Triangle::Lower { diagonal.saturating_neg().max(0) as usize } else { 0 };
    for row in skipped..rows {
        if second.len() == count {
            break;
        }
        let outside = which.outside(row, columns, diagonal);
        let inside = if which == Triangle::Lower { 0..outside.start } else { outside.end..columns };
        first.extend(inside.clone().map(|_| row as i64));
        second.extend(inside.map(|column| column as i64));
    }
    first.extend(second);
    Ok(Tensor::new(Array::from_slice(&first, &[2, count])?.cast(dtype)?))
}

/// Grids of coordinates from vectors. `xy` exchanges the first two axes of the result.
pub fn meshgrid(tensors: &[Tensor], xy: bool) -> Result<Vec<Tensor>> {
    if tensors.is_empty() {
        return Err(Error::runtime("meshgrid expects a non-empty TensorList"));
    }
    if let Some(x) = tensors.iter().find(|x| x.ndim() > 1) {
        return Err(Error::runtime(format!(
            "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {:?}",
            x.shape()
        )));
    }
    if tensors.iter().any(|x| x.dtype() != tensors[0].dtype()) {
        return Err(Error::runtime("torch.meshgrid expects all tensors to have the same dtype"));
    }
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    if xy && tensors.len() >= 2 {
        order.swap(0, 1);
    }
    let shape: Dims = order.iter().map(|&i| tensors[i].numel()).collect();
    let mut grids = vec![None; tensors.len()];
    for (axis, &i) in order.iter().enumerate() {
        let mut line: Dims = shape.iter().map(|_| 1).collect();
        line[axis] = shape[axis];
        let grid = vector_space::expand(&reshape_to(&tensors[i], &line)?, &shape)?;
        grids[i] = Some(grid);
    }
    Ok(grids.into_iter().flatten().collect())
}

/// All tuples of one element of each vector, one a row.
pub fn cartesian_prod(tensors: &[Tensor]) -> Result<Tensor> {
    if let Some(x) = tensors.iter().find(|x| x.ndim() != 1) {
        return Err(Error::runtime(format!("Expect a 1D vector, but got shape {:?}", x.shape())));
    }
    if let [only] = tensors {
        return Ok(only.clone());
    }
    let columns: Vec<Tensor> = meshgrid(tensors, false)?
        .iter()
        .map(|grid| reshape_to(grid, &[grid.numel()]))
        .collect::<Result<_>>()?;
    stack(&columns, 1)
}

/// Matrices along the diagonal of a larger one, zeros elsewhere. A vector is a row, a number a 1 by 1 matrix.
pub fn block_diag(tensors: &[Tensor]) -> Result<Tensor> {
    let matrices: Vec<Array> = tensors
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let x = x.array();
            match *x.shape() {
                [] => x.view(&[1, 1]),
                [n] => x.view(&[1, n]),
                [_, _] => Ok(x),
                _ => Err(Error::runtime(format!(
                    "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {} dimensions",
                    x.ndim()
                ))),
            }
        })
        .collect::<Result<_>>()?;
    let dtype = matrices.iter().map(Array::dtype).reduce(DType::promote).unwrap_or(DType::F32);
    let total = |axis: usize| matrices.iter().map(|m| m.shape()[axis]).sum::<usize>();
    let shape = if matrices.is_empty() { [1, 0] } else { [total(0), total(1)] };
    let y = Array::zeros(&shape, dtype)?;
    let mut places = Vec::with_capacity(matrices.len());
    let (mut row, mut column) = (0, 0);
    for matrix in &matrices {
        let [rows, columns] = [matrix.shape()[0], matrix.shape()[1]];
        copy::copy(matrix, &y.slice(0, row, rows, 1)?.slice(1, column, columns, 1)?);
        places.push([row, rows, column, columns]);
        row += rows;
        column += columns;
    }
    let inputs: Vec<&Tensor> = tensors.iter().collect();
    let shapes: Vec<Dims> = tensors.iter().map(Tensor::shape).collect();
    record(
        "BlockDiagBackward0",
        &inputs,
        y,
        &[],
        // Each input's gradient is its own block of g.
        move |cx| {
            let block = |i: usize| {
                let g = cx.grad(0).filter(|_| cx.needs(i));
                let [row, rows, column, columns] = places[i].map(|n| n as isize);
                g.map(|g| reshape_to(&narrow(&narrow(g, 0, row, rows)?, 1, column, columns)?, &shapes[i]))
                    .transpose()
            };
            (0..places.len()).map(block).collect()
        },
        |cx| {
            let tangents = tensors.iter().enumerate().map(|(i, x)| tangent_or_zeros(cx.tangent(i), x));
            block_diag(&tangents.collect::<Result<Vec<_>>>()?)
        },
    )
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("flip", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![flip(&x[0], &[0, -1])?])),
    Check::new(
        "roll",
        |s| Ok(vec![s.normal(&[2, 3])?]),
        |x| Ok(vec![roll(&x[0], &[1, -4], &[0, 1])?, roll(&x[0], &[2], &[])?]),
    ),
    Check::new(
        "rot90",
        |s| Ok(vec![s.normal(&[2, 3])?]),
        |x| Ok(vec![rot90(&x[0], 1, &[0, 1])?, rot90(&x[0], -1, &[1, 0])?]),
    ),
    Check::new("repeat", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![repeat(&x[0], &[2, 1, 3])?])),
    Check::new(
        "repeat_interleave",
        |s| Ok(vec![s.normal(&[2, 3])?]),
        |x| {
            let counts = Tensor::from_slice(&[2_i64, 0, 1], &[3])?;
            Ok(vec![repeat_interleave(&x[0], 2, Some(1))?, repeat_interleave_each(&x[0], &counts, Some(1))?])
        },
    ),
    Check::new(
        "triangle",
        |s| Ok(vec![s.normal(&[2, 3, 4])?]),
        |x| {
            let lower = triangle(Onto::Copy, Triangle::Lower, &x[0], 1)?;
            Ok(vec![lower, triangle(Onto::Copy, Triangle::Upper, &x[0], -1)?])
        },
    ),
    Check::new("meshgrid", |s| Ok(vec![s.normal(&[2])?, s.normal(&[3])?]), |x| meshgrid(x, true)),
    Check::new(
        "cartesian_prod",
        |s| Ok(vec![s.normal(&[2])?, s.normal(&[3])?]),
        |x| Ok(vec![cartesian_prod(x)?]),
    ),
    Check::new("block_diag", |s| Ok(vec![s.normal(&[2, 1])?, s.normal(&[3])?]), |x| Ok(vec![block_diag(x)?])),
    Check::new(
        "parts of parts",
        |s| Ok(vec![s.normal(&[4, 3])?]),
        |x| Ok(vec![select(&slice(&x[0], 0, Some(1), None, 2)?, 0, 1)?]),
    ),
];
