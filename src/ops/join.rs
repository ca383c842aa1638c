//! Several tensors as one.

use smallvec::SmallVec;

use crate::array::kernels::copy as copying;
use crate::array::layout::{self, Dims};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::row::result_type;
use crate::graph::{Operand, Tensor, record};
use crate::ops::part::{narrow, select, tangent_or_zeros};
use crate::ops::view::{atleast_1d, atleast_2d, atleast_3d, reshape_to};

/// As many as are usually joined, on the stack.
type Few<T> = SmallVec<[T; 4]>;

fn common_dtype(tensors: &[Tensor], arrays: &[Array]) -> DType {
    match arrays {
        [first, others @ ..] if others.iter().all(|x| x.dtype() == first.dtype()) => first.dtype(),
        _ => result_type(&tensors.iter().map(Operand::Tensor).collect::<Vec<_>>()),
    }
}

/// A 1-d tensor without elements, which [`cat`] has always passed over whatever the others' shapes.
fn is_skipped(x: &[usize]) -> bool {
    x == [0]
}

/// Tensors one after the other along an axis. They agree in every other extent; dtypes promote.
pub fn cat(tensors: &[Tensor], dim: isize) -> Result<Tensor> {
    let arrays: Few<Array> = tensors.iter().map(Tensor::array).collect();
    let arrays = arrays.as_slice();
    if arrays.is_empty() {
        return Err(Error::value("torch.cat(): expected a non-empty list of Tensors"));
    }
    if let Some(i) = arrays.iter().position(|x| x.ndim() == 0) {
        return Err(Error::runtime(format!(
            "zero-dimensional tensor (at position {i}) cannot be concatenated"
        )));
    }
    let model = arrays.iter().find(|x| !is_skipped(x.shape())).unwrap_or(&arrays[0]).shape();
    let axis = layout::axis(dim, model.len())?;
    let mut total = 0;
    for (i, x) in arrays.iter().enumerate().filter(|(_, x)| !is_skipped(x.shape())) {
        if x.ndim() != model.len() {
            return Err(Error::runtime(format!(
                "Tensors must have same number of dimensions: got {} and {}",
                model.len(),
                x.ndim()
            )));
        }
        if let Some(other) = (0..model.len()).find(|&a| a != axis && x.shape()[a] != model[a]) {
            return Err(Error::runtime(format!(
                "Sizes of tensors must match except in dimension {axis}. Expected size {} but got size {} for tensor number \
                 {i} in the list (its shape is {:?}, the first one's {model:?}).",
                model[other],
                x.shape()[other],
                x.shape(),
            )));
        }
        total += x.shape()[axis];
    }
    let mut shape: Dims = model.into();
    shape[axis] = total;
    let y = Array::empty(&shape, common_dtype(tensors, arrays))?;
    let (outer, inner): (usize, usize) = (model[..axis].iter().product(), model[axis + 1..].iter().product());
    // What each contributes along the axis, if it is not passed over.
    let length_of = |x: &Array| (!is_skipped(x.shape())).then(|| x.shape()[axis]);
    let mut start = 0;
    for x in arrays {
        let Some(length) = length_of(x) else { continue };
        if !copying::into_lines(x, &y, outer, start * inner) {
            copying::copy(x, &y.slice(axis, start, length, 1)?);
        }
        start += length;
    }
    let lengths: Few<Option<usize>> = arrays.iter().map(length_of).collect();
    let inputs: Few<&Tensor> = tensors.iter().collect();
    record(
        "CatBackward0",
        &inputs,
        y,
        &[],
        // Each input's gradient is its own stretch of g.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(lengths.iter().map(|_| None).collect()) };
            let mut start = 0;
            let mut grads = crate::graph::Grads::new();
            for (i, &length) in lengths.iter().enumerate() {
                grads.push(match length {
                    _ if !cx.needs(i) => None,
                    None => Some(Tensor::zeros(&[0], g.dtype())?),
                    Some(length) => Some(narrow(g, axis as isize, start, length as isize)?),
                });
                start += length.unwrap_or(0) as isize;
            }
            Ok(grads)
        },
        |cx| cat(&tangents(tensors, |i| cx.tangent(i))?, dim),
    )
}

fn tangents(tensors: &[Tensor], tangent: impl Fn(usize) -> Option<Tensor>) -> Result<Vec<Tensor>> {
    tensors.iter().enumerate().map(|(i, x)| tangent_or_zeros(tangent(i), x)).collect()
}

/// Tensors of one shape along a new axis. Dtypes promote.
pub fn stack(tensors: &[Tensor], dim: isize) -> Result<Tensor> {
    let arrays: Few<Array> = tensors.iter().map(Tensor::array).collect();
    let arrays = arrays.as_slice();
    let Some(first) = arrays.first() else {
        return Err(Error::runtime("stack expects a non-empty TensorList"));
    };
    let axis = layout::axis(dim, first.ndim() + 1)?;
    if let Some((i, x)) = arrays.iter().enumerate().find(|(_, x)| x.shape() != first.shape()) {
        return Err(Error::runtime(format!(
            "stack expects each tensor to be equal size, but got {:?} at entry 0 and {:?} at entry {i}",
            first.shape(),
            x.shape()
        )));
    }
    let mut shape: Dims = first.shape().into();
    shape.insert(axis, arrays.len());
    let y = Array::empty(&shape, common_dtype(tensors, arrays))?;
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    for (i, x) in arrays.iter().enumerate() {
        if !copying::into_lines(x, &y, outer, i * inner) {
            copying::copy(x, &y.select(axis, i)?);
        }
    }
    let inputs: Few<&Tensor> = tensors.iter().collect();
    let count = tensors.len();
    record(
        "StackBackward0",
        &inputs,
        y,
        &[],
        // Each input's gradient is its own place in g.
        move |cx| {
            let part = |i: usize| {
                let g = cx.grad(0).filter(|_| cx.needs(i));
                g.map(|g| select(g, axis as isize, i as isize)).transpose()
            };
            (0..count).map(part).collect()
        },
        |cx| stack(&tangents(tensors, |i| cx.tangent(i))?, dim),
    )
}

fn nonempty(name: &str, tensors: &[Tensor]) -> Result<()> {
    if tensors.is_empty() {
        return Err(Error::runtime(format!("{name} expects a non-empty TensorList")));
    }
    Ok(())
}

/// Side by side: along the second axis, or the first if there is only one.
pub fn hstack(tensors: &[Tensor]) -> Result<Tensor> {
    nonempty("hstack", tensors)?;
    let tensors = tensors.iter().map(atleast_1d).collect::<Result<Vec<_>>>()?;
    cat(&tensors, isize::from(tensors[0].ndim() != 1))
}

/// On top of one another: along the first axis; a vector is a row.
pub fn vstack(tensors: &[Tensor]) -> Result<Tensor> {
    nonempty("vstack", tensors)?;
    cat(&tensors.iter().map(atleast_2d).collect::<Result<Vec<_>>>()?, 0)
}

/// In depth: along the third axis.
pub fn dstack(tensors: &[Tensor]) -> Result<Tensor> {
    nonempty("dstack", tensors)?;
    cat(&tensors.iter().map(atleast_3d).collect::<Result<Vec<_>>>()?, 2)
}

/// Side by side; a vector is a column.
pub fn column_stack(tensors: &[Tensor]) -> Result<Tensor> {
    nonempty("column_stack", tensors)?;
    let columns =
        tensors.iter().map(|x| if x.ndim() <= 1 { reshape_to(x, &[x.numel(), 1]) } else { Ok(x.clone()) });
    hstack(&columns.collect::<Result<Vec<_>>>()?)
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("cat", |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[2, 1])?]), |x| Ok(vec![cat(x, 1)?])),
    Check::new("stack", |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[2, 3])?]), |x| Ok(vec![stack(x, 1)?])),
    Check::new(
        "column_stack",
        |s| Ok(vec![s.normal(&[2])?, s.normal(&[2, 3])?]),
        |x| Ok(vec![column_stack(x)?]),
    ),
];
