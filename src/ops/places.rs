//! Places along some axes, named by positions that may repeat: read, written, and spread out again.
//!
//! Indexing by tensors, `index_select`, `take`, `masked_select` and their writing counterparts differ in how they name
//! places. What is read from or written to them, and the derivatives, are the same, and are here.

use std::sync::Arc;

use smallvec::smallvec;

use crate::array::Array;
use crate::array::kernels::combine::Combine;
use crate::array::kernels::index as kernel;
use crate::array::layout::Dims;
use crate::error::{Error, Result};
use crate::graph::{Data, Keep, Onto, Tensor, overwrite};
use crate::ops::linear::linear_with;
use crate::ops::part::tangent_or_zeros;
use crate::ops::view::Axes;

/// Places in tensors of one shape.
pub(crate) struct Places {
    /// The axes that positions count along, row-major.
    axes: Axes,
    /// The axes before this one that are not indexed stay in front of the places.
    outer_end: usize,
    positions: Vec<usize>,
    /// Shape of the tensor that is indexed.
    whole: Dims,
    /// Shape of what is read: (outer axes, shape of the positions, inner axes).
    read: Dims,
}

impl Places {
    /// Positions of shape `shape` along `axes` (ascending) of tensors of shape `whole`. If the axes are neighbours, the
    /// positions' axes take their place in the result; else they come first.
    pub fn new(whole: &[usize], axes: Axes, positions: Vec<usize>, shape: &[usize]) -> Self {
        let neighbours = axes.windows(2).all(|w| w[1] == w[0] + 1);
        let outer_end = if neighbours { axes.first().copied().unwrap_or(0) } else { 0 };
        let mut read: Dims = whole[..outer_end].into();
        read.extend_from_slice(shape);
        read.extend((outer_end..whole.len()).filter(|a| !axes.contains(a)).map(|a| whole[a]));
        Self { axes, outer_end, positions, whole: whole.into(), read }
    }

    /// Positions along one axis.
    pub fn along(whole: &[usize], axis: usize, positions: Vec<usize>) -> Self {
        let count = positions.len();
        if whole.is_empty() {
            // A number has one place; an index along its only axis is a vector all the same.
            return Self {
                axes: Axes::new(),
                outer_end: 0,
                positions: vec![0; count],
                whole: Dims::new(),
                read: Dims::new(),
            };
        }
        Self::new(whole, smallvec![axis], positions, &[count])
    }

    /// Row-major positions among all elements.
    pub fn flat(whole: &[usize], positions: Vec<usize>, shape: &[usize]) -> Self {
        Self::new(whole, (0..whole.len()).collect(), positions, shape)
    }

    /// Shape of what is read.
    pub fn shape(&self) -> &[usize] {
        &self.read
    }

    fn read(&self, x: &Array) -> Result<Array> {
        let y = Array::empty(&self.read, x.dtype())?;
        kernel::read(x, &self.axes, self.outer_end, &self.positions, &y);
        Ok(y)
    }

    fn write(&self, y: &Array, values: &Array, how: Combine) -> Result<()> {
        let values = values.cast(y.dtype())?.expand(&self.read)?.contiguous()?;
        kernel::write(y, &self.axes, self.outer_end, &self.positions, &values, how);
        Ok(())
    }
}

/// y = x at the places, as a copy. Its adjoint adds at the places.
pub(crate) fn read(name: &'static str, x: &Tensor, places: &Arc<Places>) -> Result<Tensor> {
    let y = places.read(&x.array())?;
    linear_with(name, x, y, places, spread, |t| read(name, t, places))
}

fn index(x: &Tensor, places: &Arc<Places>) -> Result<Tensor> {
    read("IndexBackward0", x, places)
}

/// Zeros with `x` added at the places: the adjoint of [`read`].
pub(crate) fn spread(x: &Tensor, places: &Arc<Places>) -> Result<Tensor> {
    let array = x.array();
    let y = Array::zeros(&places.whole, array.dtype())?;
    places.write(&y, &array, Combine::Add)?;
    linear_with("IndexPutBackward0", x, y, places, index, |t| spread(t, places))
}

/// `x` with `src`, broadcast to the shape of the places, written or added at them.
pub(crate) fn write(
    onto: Onto,
    name: &'static str,
    x: &Tensor,
    src: &Tensor,
    places: &Arc<Places>,
    accumulate: bool,
) -> Result<Tensor> {
    let source = src.array();
    let how = if accumulate { Combine::Add } else { Combine::Replace };
    let kept: Data = places.clone();
    let keep = [Keep::Data(&kept)];
    overwrite(
        onto,
        name,
        &[x, src],
        // What is added to passes its gradient on whole.
        if accumulate && !src.requires_grad() { &[] } else { &keep },
        |y| places.write(y, &source.as_before(y)?, how),
        // dx = g, with zeros at the places if they were replaced; dsrc = g at the places.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            let dx = || if accumulate { Ok(g.clone()) } else { clear(g, &cx.data(0)?) };
            let dsrc = || index(g, &cx.data(0)?);
            Ok(smallvec![cx.needs(0).then(dx).transpose()?, cx.needs(1).then(dsrc).transpose()?])
        },
        |cx| {
            let x = tangent_or_zeros(cx.tangent(0), cx.output())?;
            let src = tangent_or_zeros(cx.tangent(1), cx.input(1))?;
            write(Onto::Copy, name, &x, &src, places, accumulate)
        },
    )
}

/// `x` with zeros at the places.
pub(crate) fn clear(x: &Tensor, places: &Arc<Places>) -> Result<Tensor> {
    let zero = Tensor::zeros(&[], x.dtype())?;
    let y = x.array().copied()?;
    places.write(&y, &zero.array(), Combine::Replace)?;
    linear_with("IndexPutBackward0", x, y, places, clear, |t| clear(t, places))
}

/// Positions along an axis of this extent; negative ones count from the end.
///
/// Fails as PyTorch's indexing does, naming the axis.
pub(crate) fn wrapped(index: &[i64], extent: usize, axis: usize) -> Result<Vec<usize>> {
    let n = extent as i64;
    let wrap = |&i: &i64| {
        let at = if i < 0 { i + n } else { i };
        if (0..n).contains(&at) {
            Ok(at as usize)
        } else if n == 0 {
            Err(Error::index("index is out of bounds for dimension with size 0"))
        } else {
            Err(Error::index(format!("index {i} is out of bounds for dimension {axis} with size {extent}")))
        }
    };
    index.iter().map(wrap).collect()
}
