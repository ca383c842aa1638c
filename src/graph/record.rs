//! The one door into the graph: give an operation's output a history, if somebody will want it.

use std::any::Any;
use std::cell::OnceCell;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::batch::Label;
use crate::graph::forward::Place;
use crate::graph::keep::{Keep, kept};
use crate::graph::node::{Edge, Grads, NodeRef, OutputMeta, Rule};
use crate::graph::row::{check_overlap, check_writable};
use crate::graph::saved::{Saved, SavedValue, SavedValues, Unpacked};
use crate::graph::tensor::Tensor;
use crate::graph::{forward, mode, view};

/// What a derivative is given: the gradients of its node's outputs, and what the node kept.
pub struct Backward<'a> {
    node: &'a NodeRef,
    grads: SmallVec<[Option<Tensor>; 1]>,
    /// One bit per input; those past the 63rd share the last.
    wanted: u64,
    /// The saved values, if this pass is the last to use them.
    taken: Option<Saved>,
    /// The saved values out of their packages, once somebody asked.
    opened: OnceCell<Box<SavedValues>>,
}

impl<'a> Backward<'a> {
    /// For the engine: `wanted` has one bit per input (the last one stands for all inputs past the 63rd). With `take` the
    /// saved values leave the node, for nobody to use again.
    #[inline]
    pub fn new(node: &'a NodeRef, grads: SmallVec<[Option<Tensor>; 1]>, wanted: u64, take: bool) -> Self {
        let taken = take.then(|| node.saved.lock().take());
        Self { node, grads, wanted, taken, opened: OnceCell::new() }
    }

    /// Runs the derivative.
    pub fn run(mut self) -> Result<Grads> {
        self.node.rule().backward(&mut self)
    }

    /// Puts other gradients of the outputs in the place of those that it answers with.
    pub(crate) fn replace_grads(
        &mut self,
        grads: SmallVec<[Option<Tensor>; 1]>,
    ) -> SmallVec<[Option<Tensor>; 1]> {
        std::mem::replace(&mut self.grads, grads)
    }

    /// The node whose derivative this is.
    pub fn node(&self) -> &'a NodeRef {
        self.node
    }

    /// The gradient of an output; `None` if nothing reached it.
    #[inline]
    pub fn grad(&self, output: usize) -> Option<&Tensor> {
        self.grads.get(output).and_then(Option::as_ref)
    }

    /// The gradient of an output, handed over: the caller may then be its only holder.
    #[inline]
    pub fn take_grad(&mut self, output: usize) -> Option<Tensor> {
        self.grads.get_mut(output).and_then(Option::take)
    }

    /// Whether this pass wants the gradient of the input of this number.
    #[inline]
    pub fn needs(&self, input: usize) -> bool {
        self.has_edge(input) && self.wanted >> input.min(63) & 1 != 0
    }

    /// Whether the input of this number required a gradient when the operation was recorded.
    #[inline]
    pub(crate) fn has_edge(&self, input: usize) -> bool {
        self.node.edges().get(input).is_some_and(Option::is_some)
    }

    /// A kept tensor, with its history, provided nobody overwrote it.
    pub fn saved(&self, index: usize) -> Result<Tensor> {
        self.unpack(index)?.tensor(self.node)
    }

    /// A kept value, provided nobody overwrote it.
    pub fn unpack(&self, index: usize) -> Result<Unpacked> {
        let value = self.values(|values| Ok(values.get(index).cloned()))?;
        let value = value.unwrap_or_else(|| unreachable!("{} has no saved value {index}", self.node.name()));
        let value = value.check(self.node)?;
        if forward::propagates() { forward::restore(self.node, index, value) } else { Ok(value) }
    }

    /// Kept data of this type.
    pub fn data<T: Any + Send + Sync>(&self, index: usize) -> Result<Arc<T>> {
        let data = self.values(|values| match values.get(index) {
            Some(SavedValue::Data(data)) => Ok(Some(data.clone())),
            _ => Ok(None),
        })?;
        let data = data.and_then(|data| data.downcast().ok());
        Ok(data.unwrap_or_else(|| unreachable!("{} has no such data at {index}", self.node.name())))
    }

    /// Reads the kept values in place: under the node's lock, unless this pass took them.
    #[inline]
    pub(crate) fn values<R>(&self, read: impl FnOnce(&[SavedValue]) -> Result<R>) -> Result<R> {
        match &self.taken {
            Some(Saved::Packed(values)) => read(self.opened(values)?),
            Some(saved) => read(saved.values(self.node)?),
            None => {
                let saved = self.node.saved.lock();
                let Saved::Packed(values) = &*saved else { return read(saved.values(self.node)?) };
                let values = values.clone();
                drop(saved); // opening runs a user's function
                read(self.opened(&values)?)
            }
        }
    }

    /// The values out of their packages.
    #[cold]
    fn opened(&self, packed: &[SavedValue]) -> Result<&[SavedValue]> {
        if self.opened.get().is_none() {
            let values = packed.iter().map(SavedValue::opened).collect::<Result<_>>()?;
            // Nobody else can have filled it: this is not shared between threads.
            let _ = self.opened.set(Box::new(values));
        }
        Ok(self.opened.get().map_or(&[], |values| values.as_slice()))
    }

    /// Whether [`Self::values`] reads without a lock.
    #[inline]
    pub(crate) fn has_taken(&self) -> bool {
        self.taken.is_some()
    }
}

/// What a forward-mode rule is given: the inputs, their tangents, and the output.
pub struct Forward<'a> {
    inputs: &'a [&'a Tensor],
    output: &'a Tensor,
}

impl Forward<'_> {
    /// The tangent of an input; `None` counts as zero.
    pub fn tangent(&self, input: usize) -> Option<Tensor> {
        self.inputs[input].tangent()
    }

    /// An input.
    pub fn input(&self, input: usize) -> &Tensor {
        self.inputs[input]
    }

    /// The output, without its tangent.
    pub fn output(&self) -> &Tensor {
        self.output
    }
}

/// A rule made of a name and a closure: what blocks are recorded as.
struct Block<L, B> {
    label: L,
    work: u64,
    backward: B,
}

impl<L, B> Rule for Block<L, B>
where
    L: Label,
    B: Fn(&Backward<'_>) -> Result<Grads> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        self.label.name()
    }
    fn takes_batch(&self) -> bool {
        L::TAKES_BATCH
    }
    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        (self.backward)(cx)
    }
    fn work(&self, elements: u64) -> u64 {
        elements.max(self.work)
    }
}

/// Whether an operation on these would be recorded.
#[inline]
pub(crate) fn is_recorded(inputs: &[&Tensor]) -> bool {
    mode::is_grad_enabled() && inputs.iter().any(|x| x.requires_grad())
}

fn edges_of(inputs: &[&Tensor]) -> SmallVec<[Option<Edge>; 2]> {
    inputs.iter().map(|x| x.gradient_edge()).collect()
}

fn meta(y: &Array) -> OutputMeta {
    OutputMeta { layout: y.layout().clone(), dtype: y.dtype() }
}

/// Makes the output tensor of an operation with one output, and gives it a history if an input wants a gradient.
///
/// In this order: the node's name (PyTorch's), the inputs, the output's numbers, what to keep, the derivative, and the
/// forward-mode rule (called at once, and only if an input has a tangent).
///
/// A derivative is written in tensor operations, so that it can be differentiated in turn. It returns one gradient per
/// input; it may leave out (`None`) those for which `needs` is false, and need not undo broadcasting.
pub fn record<L, B, F>(
    label: L,
    inputs: &[&Tensor],
    y: Array,
    keep: &[Keep<'_>],
    backward: B,
    rule: F,
) -> Result<Tensor>
where
    L: Label,
    B: Fn(&Backward<'_>) -> Result<Grads> + Send + Sync + 'static,
    F: FnOnce(&Forward<'_>) -> Result<Tensor>,
{
    record_with_work(label, 0, inputs, y, keep, backward, rule)
}

/// [`record`] for an operation whose derivative takes longer than one pass over its output: `work` is in elements of
/// element-wise work (a multiply-add counts as about a quarter).
pub fn record_with_work<L, B, F>(
    label: L,
    work: u64,
    inputs: &[&Tensor],
    y: Array,
    keep: &[Keep<'_>],
    backward: B,
    rule: F,
) -> Result<Tensor>
where
    L: Label,
    B: Fn(&Backward<'_>) -> Result<Grads> + Send + Sync + 'static,
    F: FnOnce(&Forward<'_>) -> Result<Tensor>,
{
    let history = (is_recorded(inputs) && y.dtype().is_differentiable()).then(|| {
        let saved = kept(keep, inputs, std::slice::from_ref(&y))?;
        let node =
            NodeRef::new(Block { label, work, backward }, edges_of(inputs), smallvec![meta(&y)], saved);
        Ok::<_, Error>(Edge { node, output: 0 })
    });
    let history = history.transpose()?;
    let node = forward::propagates().then(|| history.as_ref().map(|edge| edge.node.clone()));
    let y = Tensor::with_history(y, history);
    if let Some(node) = node {
        propagate(Place::Fresh, inputs, &y, node.as_ref(), rule)?;
    }
    Ok(y)
}

/// Gives `y` its tangent if an input has one.
#[cold]
fn propagate<F>(place: Place, inputs: &[&Tensor], y: &Tensor, node: Option<&NodeRef>, rule: F) -> Result<()>
where
    F: FnOnce(&Forward<'_>) -> Result<Tensor>,
{
    forward::propagate(place, inputs, std::slice::from_ref(y), node, || {
        Ok(smallvec![Some(rule(&Forward { inputs, output: y })?)])
    })
}

/// Makes the output of a linear operation of one input: its forward-mode rule is the operation itself.
pub fn linear<L, A, F>(label: L, x: &Tensor, y: Array, adjoint: A, itself: F) -> Result<Tensor>
where
    L: Label,
    A: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    F: FnOnce(&Tensor) -> Result<Tensor>,
{
    record(
        label,
        &[x],
        y,
        &[],
        move |cx| Ok(smallvec![cx.grad(0).map(&adjoint).transpose()?]),
        |cx| match cx.tangent(0) {
            Some(tangent) => itself(&tangent),
            None => crate::graph::vector_space::zeros_like(cx.output()),
        },
    )
}

/// [`linear`] for an operation whose output shares the input's storage.
pub fn linear_view<L, A, F>(label: L, x: &Tensor, y: Array, adjoint: A, itself: F) -> Result<Tensor>
where
    L: Label,
    A: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    F: FnOnce(&Tensor) -> Result<Tensor>,
{
    let history = (is_recorded(&[x]) && y.dtype().is_differentiable()).then(|| {
        let backward = move |cx: &Backward<'_>| -> Result<Grads> {
            Ok(smallvec![cx.grad(0).map(&adjoint).transpose()?])
        };
        let rule = Block { label, work: 0, backward };
        let node = NodeRef::new(rule, edges_of(&[x]), smallvec![meta(&y)], Saved::Nothing);
        Edge { node, output: 0 }
    });
    let y = view::of(x, y, history, false);
    if forward::propagates() {
        let itself = || Ok(smallvec![x.tangent().map(|t| itself(&t)).transpose()?]);
        forward::propagate(Place::View, &[x], std::slice::from_ref(&y), None, itself)?;
    }
    Ok(y)
}

/// [`record`] for an operation with several outputs. Outputs without derivatives (indices) have integer dtypes.
///
/// The forward-mode rule is given all outputs and returns a tangent for each.
pub fn record_many<B, F>(
    name: &'static str,
    inputs: &[&Tensor],
    outputs: Vec<Array>,
    keep: &[Keep<'_>],
    backward: B,
    rule: F,
) -> Result<Vec<Tensor>>
where
    B: Fn(&Backward<'_>) -> Result<Grads> + Send + Sync + 'static,
    F: FnOnce(&[&Tensor], &[Tensor]) -> Result<Vec<Option<Tensor>>>,
{
    let node = is_recorded(inputs).then(|| {
        let saved = kept(keep, inputs, &outputs)?;
        let metas = outputs.iter().map(meta).collect();
        Ok::<_, Error>(NodeRef::new(Block { label: name, work: 0, backward }, edges_of(inputs), metas, saved))
    });
    let node = node.transpose()?;
    let made: Vec<Tensor> = (0..)
        .zip(outputs)
        .map(|(output, y)| {
            let tracked = y.dtype().is_differentiable();
            let history = node.as_ref().filter(|_| tracked).map(|node| Edge { node: node.clone(), output });
            Tensor::with_history(y, history)
        })
        .collect();
    if forward::propagates() {
        let rule = || Ok(rule(inputs, &made)?.into_iter().collect());
        forward::propagate(Place::Fresh, inputs, &made, node.as_ref(), rule)?;
    }
    Ok(made)
}

/// [`record_many`] for outputs that share the input's storage (`unbind`, `split`): all are views of `x`.
pub fn record_views<B, F>(
    name: &'static str,
    x: &Tensor,
    outputs: Vec<Array>,
    backward: B,
    itself: F,
) -> Result<Vec<Tensor>>
where
    B: Fn(&Backward<'_>) -> Result<Grads> + Send + Sync + 'static,
    F: FnOnce(&Tensor) -> Result<Vec<Tensor>>,
{
    let tracked = is_recorded(&[x]);
    let node = tracked.then(|| {
        let metas = outputs.iter().map(meta).collect();
        NodeRef::new(Block { label: name, work: 0, backward }, edges_of(&[x]), metas, Saved::Nothing)
    });
    let made: Vec<Tensor> = (0..)
        .zip(outputs)
        .map(|(output, y)| {
            view::of(x, y, node.as_ref().map(|node| Edge { node: node.clone(), output }), true)
        })
        .collect();
    if forward::propagates() {
        let itself = || match x.tangent() {
            Some(tangent) => Ok(itself(&tangent)?.into_iter().map(Some).collect()),
            None => Ok(smallvec![]),
        };
        forward::propagate(Place::View, &[x], &made, None, itself)?;
    }
    Ok(made)
}

/// Where an operation that overwrites a part of a tensor puts its result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Onto {
    /// Into a copy: the tensor stays as it is.
    Copy,
    /// Into the tensor's own memory.
    Itself,
    /// Into the tensor's own memory, the same number everywhere, so that several positions may be one place.
    Throughout,
}

/// Records an operation that overwrites a part of its first input, in place or in a copy of it.
///
/// `write` is given the memory, which holds the first input's numbers. The derivative is that of the operation that
/// returns a new tensor; it must not keep the first input.
///
/// In place, an input that shares a part of the memory is refused, unless it is a single number.
pub fn overwrite<W, B, F>(
    onto: Onto,
    name: &'static str,
    inputs: &[&Tensor],
    keep: &[Keep<'_>],
    write: W,
    backward: B,
    rule: F,
) -> Result<Tensor>
where
    W: FnOnce(&Array) -> Result<()>,
    B: Fn(&Backward<'_>) -> Result<Grads> + Send + Sync + 'static,
    F: FnOnce(&Forward<'_>) -> Result<Tensor>,
{
    let x = inputs[0];
    let array = x.array();
    if onto == Onto::Copy {
        let y = array.copied()?;
        write(&y)?;
        return record(name, inputs, y, keep, backward, rule);
    }
    let recorded = is_recorded(inputs);
    view::check_write(name, x, recorded)?;
    let places = (onto == Onto::Throughout).then(|| array.places()).transpose()?.flatten();
    let target = places.as_ref().unwrap_or(&array);
    check_writable(name, target)?;
    for input in &inputs[1..] {
        let state = input.state();
        if state.array.ndim() > 0 {
            check_overlap(&state.array, target)?;
        }
    }
    write(target)?;
    let history = (recorded && array.dtype().is_differentiable()).then(|| {
        let saved = kept(keep, inputs, std::slice::from_ref(&array))?;
        let node = NodeRef::new(
            Block { label: name, work: 0, backward },
            edges_of(inputs),
            smallvec![meta(&array)],
            saved,
        );
        Ok::<_, Error>(Edge { node, output: 0 })
    });
    let history = history.transpose()?;
    let node = forward::propagates().then(|| history.as_ref().map(|edge| edge.node.clone()));
    view::rebase(x, name, history);
    if let Some(node) = node {
        propagate(Place::Written, inputs, x, node.as_ref(), rule)?;
    }
    Ok(x.clone())
}

/// Records an operation that changes a tensor's own shape and strides and keeps its memory.
pub fn relabel<A, F>(name: &'static str, x: &Tensor, y: Array, adjoint: A, itself: F) -> Result<Tensor>
where
    A: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    F: FnOnce(&Tensor) -> Result<Tensor>,
{
    let recorded = is_recorded(&[x]);
    view::check_write(name, x, recorded)?;
    let history = (recorded && y.dtype().is_differentiable()).then(|| {
        let backward = move |cx: &Backward<'_>| -> Result<Grads> {
            Ok(smallvec![cx.grad(0).map(&adjoint).transpose()?])
        };
        let rule = Block { label: name, work: 0, backward };
        let node = NodeRef::new(rule, edges_of(&[x]), smallvec![meta(&y)], Saved::Nothing);
        Edge { node, output: 0 }
    });
    if history.is_some() && x.base_and_origin().is_none() {
        x.raise_generation();
    }
    x.set_array(y, history);
    if forward::propagates() {
        let itself = || Ok(smallvec![x.tangent().map(|t| itself(&t)).transpose()?]);
        forward::propagate(Place::View, &[x], std::slice::from_ref(x), None, itself)?;
    }
    Ok(x.clone())
}

/// Gives `x` the values and the history of `y`, which was computed from it and has its shape.
pub fn assume(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let array = x.array();
    view::check_write("assign", x, is_recorded(&[x, y]))?;
    check_writable("copy", &array)?;
    crate::array::kernels::copy::copy(&y.array(), &array);
    view::rebase(x, "copy", y.history());
    if forward::propagates() {
        let of_y = || Ok(smallvec![y.tangent()]);
        forward::propagate(Place::Written, &[x, y], std::slice::from_ref(x), None, of_y)?;
    }
    Ok(x.clone())
}
