//! A batch of gradients that walks the graph at once, on a leading axis.
//!
//! Note [A batch of gradients]: in a pass with `Options::batch` each gradient has one axis more than the value it belongs
//! to, in front. A derivative that says so ([`Rule::takes_batch`](super::Rule::takes_batch)) is given the whole batch:
//! rows, whose numbers broadcast from the right, and blocks whose label is [`Batched`]. Any other is run for one member
//! after the other, and its answers are stacked; so are hooks, which see gradients of the shapes that they know. Either
//! way the graph is planned and walked once.
//!
//! The members are taken out and put together here and not by `select` and `stack`, of which the graph knows nothing.

use std::num::NonZeroUsize;

use smallvec::SmallVec;

use crate::array::kernels::copy;
use crate::array::{Array, Dims};
use crate::error::{Error, Result};
use crate::graph::node::Grads;
use crate::graph::record::{linear, record};
use crate::graph::tensor::Tensor;
use crate::graph::vector_space;

/// How many gradients walk together; `None` for a pass of one, which has no axis for it.
pub type Batch = Option<NonZeroUsize>;

/// What a block's node is called, and whether its derivative takes a batch.
pub trait Label: Copy + Send + Sync + 'static {
    /// Whether the derivative takes gradients with a leading axis as they are.
    const TAKES_BATCH: bool;

    /// The node's name.
    fn name(self) -> &'static str;
}

impl Label for &'static str {
    const TAKES_BATCH: bool = false;

    fn name(self) -> &'static str {
        self
    }
}

/// The name of a node whose derivative takes a batch of gradients.
#[derive(Clone, Copy)]
pub struct Batched(pub &'static str);

impl Label for Batched {
    const TAKES_BATCH: bool = true;

    fn name(self) -> &'static str {
        self.0
    }
}

/// The batch that `g`, a gradient of something with `ndim` axes, is.
pub(crate) fn of(g: &Tensor, ndim: usize) -> Batch {
    let shape = g.shape();
    if shape.len() > ndim { shape.first().copied().and_then(NonZeroUsize::new) } else { None }
}

/// The shape `own` behind the batch's axis, if `g`, a gradient of something with `ndim` axes, has one.
pub(crate) fn led(g: &Tensor, ndim: usize, own: &[usize]) -> Dims {
    shape(of(g, ndim), own, 0)
}

/// One member of a batch, as a view.
fn member(batch: &Tensor, index: usize) -> Result<Tensor> {
    let array = batch.array();
    let size = array.shape()[0];
    let y = array.select(0, index)?;
    linear("SelectBackward0", batch, y, move |g| alone(g, index, size), move |t| member(t, index))
}

/// A batch that is zero but for one member: the adjoint of [`member`].
fn alone(x: &Tensor, index: usize, size: usize) -> Result<Tensor> {
    let array = x.array();
    let mut shape = Dims::from(array.shape());
    shape.insert(0, size);
    let y = Array::zeros(&shape, array.dtype())?;
    copy::copy(&array, &y.select(0, index)?);
    linear("SelectBackwardBackward0", x, y, move |g| member(g, index), move |t| alone(t, index, size))
}

/// A batch from its members. Fails where they differ in shape or dtype.
fn stack(members: &[Tensor]) -> Result<Tensor> {
    let first = members[0].array();
    for (index, x) in members.iter().enumerate() {
        let x = x.array();
        if x.shape() != first.shape() || x.dtype() != first.dtype() {
            return Err(Error::runtime(format!(
                "the gradients of a batch differ: number {index} has shape {:?} and dtype {}, the first one {:?} and {} (a hook \
                 must leave a gradient's shape and dtype)",
                x.shape(),
                x.dtype(),
                first.shape(),
                first.dtype()
            )));
        }
    }
    let mut shape = Dims::from(first.shape());
    shape.insert(0, members.len());
    let y = Array::empty(&shape, first.dtype())?;
    for (index, x) in members.iter().enumerate() {
        copy::copy(&x.array(), &y.select(0, index)?);
    }
    let inputs: Vec<&Tensor> = members.iter().collect();
    let count = members.len();
    record(
        "StackBackward0",
        &inputs,
        y,
        &[],
        move |cx| (0..count).map(|i| cx.grad(0).map(|g| member(g, i)).transpose()).collect(),
        |cx| {
            let tangent = |i| cx.tangent(i).map_or_else(|| vector_space::zeros_like(cx.input(i)), Ok);
            stack(&(0..count).map(tangent).collect::<Result<Vec<_>>>()?)
        },
    )
}

/// The gradients of one member.
pub(crate) fn members(grads: &[Option<Tensor>], index: usize) -> Result<Grads> {
    grads.iter().map(|grad| grad.as_ref().map(|g| member(g, index)).transpose()).collect()
}

/// What members answered, as a batch for each place; where some answered nothing, that counts as zero.
fn stacked(answers: Vec<Grads>) -> Result<Grads> {
    let width = answers.first().map_or(0, SmallVec::len);
    let mut places: Vec<Vec<Option<Tensor>>> = vec![Vec::with_capacity(answers.len()); width];
    for answer in answers {
        for (place, grad) in places.iter_mut().zip(answer) {
            place.push(grad);
        }
    }
    let batch = |grads: Vec<Option<Tensor>>| {
        let Some(model) = grads.iter().flatten().next().cloned() else { return Ok(None) };
        let whole = |grad: Option<Tensor>| grad.map_or_else(|| vector_space::zeros_like(&model), Ok);
        stack(&grads.into_iter().map(whole).collect::<Result<Vec<_>>>()?).map(Some)
    };
    places.into_iter().map(batch).collect()
}

/// Runs `call` for each member of a batch of gradients, which answers with that member's gradients of other things.
pub(crate) fn each(
    size: NonZeroUsize,
    grads: &[Option<Tensor>],
    mut call: impl FnMut(usize, Grads) -> Result<Grads>,
) -> Result<Grads> {
    stacked((0..size.get()).map(|i| call(i, members(grads, i)?)).collect::<Result<_>>()?)
}

/// Lets `change` change gradients: all at once, or those of one member of the batch after the other.
pub(crate) fn change(
    batch: Batch,
    grads: &mut SmallVec<[Option<Tensor>; 1]>,
    mut change: impl FnMut(&mut SmallVec<[Option<Tensor>; 1]>) -> Result<()>,
) -> Result<()> {
    let Some(size) = batch else { return change(grads) };
    let changed = each(size, grads, |_, members| {
        let mut members = members.into_iter().collect();
        change(&mut members)?;
        Ok(members.into_iter().collect())
    })?;
    *grads = changed.into_iter().collect();
    Ok(())
}

/// The shape `own` of one member behind the batch's axis, with axes of extent one between that make it `ndim` in all.
pub(crate) fn shape(batch: Batch, own: &[usize], ndim: usize) -> Dims {
    let mut shape: Dims = batch.iter().map(|size| size.get()).collect();
    let missing = ndim.saturating_sub(shape.len() + own.len());
    shape.resize(shape.len() + missing, 1);
    shape.extend_from_slice(own);
    shape
}
