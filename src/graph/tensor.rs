//! `Tensor`: an array with a history.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Mutex, RecursiveRwLock, RecursiveRwLockReadGuard};

use crate::array::counted::{Counted, WeakCounted};
use crate::array::{Array, DType, Element, Scalar};
use crate::error::{Error, Result};
use crate::graph::accumulate::Slot;
use crate::graph::node::{Edge, NodeRef};
use crate::graph::{forward, mode, seen, vector_space, view};

/// A counted reference to a tensor. Clones are the same tensor: in-place changes and `.grad` are seen through each.
#[derive(Clone)]
pub struct Tensor(Counted<Inner>);

/// A reference that does not keep the tensor alive.
#[derive(Clone)]
pub struct WeakTensor(WeakCounted<Inner>);

/// What an in-place operation or a change of history replaces.
pub(crate) struct State {
    pub array: Array,
    /// Where the value came from; `None` for a leaf.
    pub history: Option<Edge>,
    /// For a view: the base's generation that `history` belongs to.
    pub generation: u32,
}

struct Inner {
    flags: AtomicU8,
    state: RecursiveRwLock<State>,
    /// For a view: the tensor it is a view of (never itself a view) and how it came to be.
    base: Option<(Tensor, view::Origin)>,
    /// For a base: how often its history was rewritten by a write through one of its views, or under them.
    generation: AtomicU32,
    /// The state's number of elements, for who asks nothing else of it.
    numel: AtomicUsize,
    /// The embedding language's object for this tensor, if one is alive. Never dereferenced here.
    foreign: AtomicPtr<()>,
    extra: OnceLock<Box<Extra>>,
}

/// What few tensors have.
#[derive(Default)]
struct Extra {
    grad: Mutex<Option<Tensor>>,
    accumulator: Mutex<Slot>,
    forward: forward::State,
    /// Anything the embedding language wants to keep with the tensor.
    attached: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

/// A leaf that wants a gradient.
const REQUIRES_GRAD: u8 = 1;
/// Has, or may have, a history: the quick test of the untracked path.
const HISTORY: u8 = 2;
/// Made in inference mode.
const INFERENCE: u8 = 4;
/// A non-leaf that keeps its gradient.
const RETAINS_GRAD: u8 = 8;
/// Forward mode keeps something with it: a tangent, or a base of its own.
const FORWARD: u8 = 16;

impl Tensor {
    /// A tensor without a history.
    #[inline]
    pub fn new(array: Array) -> Self {
        let flags = if mode::is_inference_mode_enabled() { INFERENCE } else { 0 };
        Self::build(array, None, None, flags)
    }

    /// A tensor that came from somewhere (or, with `None`, a tensor without a history).
    #[inline]
    pub(crate) fn with_history(array: Array, history: Option<Edge>) -> Self {
        let Some(edge) = &history else { return Self::new(array) };
        seen::note_output(edge, &array);
        Self::build(array, history, None, HISTORY)
    }

    /// A tensor like those that inference mode makes.
    pub(crate) fn inference(array: Array) -> Self {
        Self::build(array, None, None, INFERENCE)
    }

    /// A view of `base`, which itself is not a view.
    pub(crate) fn view_of(array: Array, history: Option<Edge>, base: Self, origin: view::Origin) -> Self {
        let mut flags = base.0.flags.load(Ordering::Relaxed) & INFERENCE;
        if let Some(edge) = &history {
            seen::note_output(edge, &array);
            flags |= HISTORY;
        }
        Self::build(array, history, Some((base, origin)), flags)
    }

    #[inline]
    fn build(array: Array, history: Option<Edge>, base: Option<(Self, view::Origin)>, flags: u8) -> Self {
        let generation = base.as_ref().map_or(0, |(base, _)| base.generation());
        Self(Counted::new(|| Inner {
            flags: AtomicU8::new(flags),
            numel: AtomicUsize::new(array.numel()),
            state: RecursiveRwLock::new(State { array, history, generation }),
            base,
            generation: AtomicU32::new(0),
            foreign: AtomicPtr::new(std::ptr::null_mut()),
            extra: OnceLock::new(),
        }))
    }

    /// Copies a slice into a new tensor.
    pub fn from_slice<T: Element>(values: &[T], shape: &[usize]) -> Result<Self> {
        Ok(Self::new(Array::from_slice(values, shape)?))
    }

    /// A 0-d tensor.
    pub fn scalar(value: impl Into<Scalar>, dtype: DType) -> Result<Self> {
        Ok(Self::new(Array::scalar(value.into(), dtype)?))
    }

    /// Zeros.
    pub fn zeros(shape: &[usize], dtype: DType) -> Result<Self> {
        Ok(Self::new(Array::zeros(shape, dtype)?))
    }

    /// Ones.
    pub fn ones(shape: &[usize], dtype: DType) -> Result<Self> {
        Self::full(shape, 1.0, dtype)
    }

    /// One value everywhere.
    pub fn full(shape: &[usize], value: impl Into<Scalar>, dtype: DType) -> Result<Self> {
        Ok(Self::new(Array::full(shape, value.into(), dtype)?))
    }

    /// The array and history, for the length of a short computation on this thread.
    #[inline]
    pub(crate) fn state(&self) -> RecursiveRwLockReadGuard<'_, State> {
        // Recursive: `x * x` reads one tensor twice, and a waiting writer must not come between.
        self.0.state.read()
    }

    pub(crate) fn set_state(&self, change: impl FnOnce(&mut State)) {
        let old = {
            let mut state = self.0.state.write();
            let old = state.history.clone();
            change(&mut state);
            self.0.numel.store(state.array.numel(), Ordering::Relaxed);
            // Only this bit, and only under the lock: another thread may change the others meanwhile.
            if self.flag(HISTORY) != state.history.is_some() {
                self.set_flag(HISTORY, state.history.is_some());
            }
            old
        };
        drop(old); // after the lock: dropping may free a graph
    }

    /// Replaces the array, and the history if there is a new one.
    ///
    /// What is recorded of a leaf of another shape or dtype ends in another accumulator, which takes the hooks along: a
    /// gradient that is still on its way belongs to what the leaf was.
    pub(crate) fn set_array(&self, array: Array, history: Option<Edge>) {
        let mut is_same = true;
        self.set_state(|state| {
            is_same = state.array.shape() == array.shape() && state.array.dtype() == array.dtype();
            state.array = array;
            if history.is_some() {
                state.history = history;
            }
        });
        if !is_same && let Some(before) = self.part_with_accumulator() {
            self.hooked_accumulator().take_hooks(&before);
        }
    }

    /// The numbers: shares the storage, without the history.
    #[inline]
    pub fn array(&self) -> Array {
        self.state().array.clone()
    }

    /// Extents.
    pub fn shape(&self) -> crate::array::Dims {
        self.state().array.shape().into()
    }
    /// Number of dimensions.
    pub fn ndim(&self) -> usize {
        self.state().array.ndim()
    }
    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        // Relaxed: as flags.
        self.0.numel.load(Ordering::Relaxed)
    }
    /// Element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.state().array.dtype()
    }

    /// Whether both are the same tensor.
    pub fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }

    /// A number that no other living tensor has.
    pub fn id(&self) -> usize {
        self.0.address()
    }

    /// A reference that does not keep the tensor alive.
    pub fn downgrade(&self) -> WeakTensor {
        WeakTensor(self.0.downgrade())
    }

    /// The slot for the embedding language's object of this tensor.
    #[inline]
    pub fn foreign(&self) -> &AtomicPtr<()> {
        &self.0.foreign
    }

    /// Anything the embedding language wants to keep with the tensor.
    pub fn attached(&self) -> &Mutex<Option<Box<dyn Any + Send + Sync>>> {
        &self.extra().attached
    }

    #[inline]
    fn flag(&self, bit: u8) -> bool {
        // Relaxed: flags change under Python's or the user's own ordering; a tensor handed to a thread brings them along.
        self.0.flags.load(Ordering::Relaxed) & bit != 0
    }

    fn set_flag(&self, bit: u8, on: bool) {
        if on {
            self.0.flags.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.0.flags.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    fn extra(&self) -> &Extra {
        self.0.extra.get_or_init(Box::default)
    }

    /// Where a leaf has its accumulator.
    #[inline]
    pub(super) fn accumulator_slot(&self) -> &Mutex<Slot> {
        &self.extra().accumulator
    }

    /// [`Tensor::accumulator_slot`], if anything was ever there.
    #[inline]
    pub(super) fn existing_accumulator_slot(&self) -> Option<&Mutex<Slot>> {
        self.0.extra.get().map(|extra| &extra.accumulator)
    }

    /// If this is the only reference to the tensor: the node that made it and the accumulator that has its hooks, unless
    /// another thread is at work on them.
    pub(crate) fn owned_nodes(&self) -> Option<(Option<NodeRef>, Option<NodeRef>)> {
        if self.0.holders() != 1 {
            return None;
        }
        let history = self.0.state.try_read()?.history.as_ref().map(|edge| edge.node.clone());
        let hooked = self.existing_accumulator_slot().and_then(|slot| slot.try_lock()?.hooked());
        Some((history, hooked))
    }

    /// Whether an operation on this tensor would be recorded.
    #[inline]
    pub fn requires_grad(&self) -> bool {
        if self.0.base.is_none() { self.flag(REQUIRES_GRAD | HISTORY) } else { self.requires_grad_as_view() }
    }

    /// A view requires a gradient if its base does, also one that was made without recording.
    #[cold]
    fn requires_grad_as_view(&self) -> bool {
        view::refresh(self) || self.flag(REQUIRES_GRAD) || self.base().is_some_and(Self::requires_grad)
    }

    /// Whether it is a leaf that was itself asked for a gradient.
    pub(crate) fn wants_gradient_as_leaf(&self) -> bool {
        self.flag(REQUIRES_GRAD) && self.is_leaf()
    }

    /// Whether the user made it: it has no history.
    pub fn is_leaf(&self) -> bool {
        self.history().is_none()
    }

    /// Whether it was made in inference mode.
    pub fn is_inference(&self) -> bool {
        self.flag(INFERENCE)
    }

    /// Asks for a gradient, or no longer.
    ///
    /// Fails for dtypes that have none, and for a non-leaf that should no longer want one.
    pub fn requires_grad_(self, yes: bool) -> Result<Self> {
        self.set_requires_grad(yes)?;
        Ok(self)
    }

    /// Asks for a gradient, or no longer. See [`Tensor::requires_grad_`].
    pub fn set_requires_grad(&self, yes: bool) -> Result<()> {
        if !self.is_leaf() {
            if yes {
                return Ok(());
            }
            return Err(Error::runtime(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a \
                 subgraph that doesn't require differentiation use var_no_grad = var.detach().",
            ));
        }
        if yes && !self.dtype().is_differentiable() {
            return Err(Error::runtime(format!(
                "Only Tensors of floating point and complex dtype can require gradients (this one is {}; \
                 .to(float32) makes a copy that can)",
                self.dtype()
            )));
        }
        if yes && self.is_inference() && !mode::is_inference_mode_enabled() {
            return Err(Error::runtime(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.",
            ));
        }
        self.set_flag(REQUIRES_GRAD, yes);
        Ok(())
    }

    /// The node that made it, and which of its outputs it is.
    pub fn history(&self) -> Option<Edge> {
        if self.0.base.is_some() {
            view::refresh(self);
        }
        self.state().history.clone()
    }

    /// The node that made it.
    pub fn grad_fn(&self) -> Option<NodeRef> {
        self.history().map(|e| e.node)
    }

    /// Where a gradient of this tensor goes: the node that made it, or the accumulator of a leaf; `None` if it wants none.
    #[inline]
    pub fn gradient_edge(&self) -> Option<Edge> {
        if !self.requires_grad() {
            return None;
        }
        // A leaf's state has nothing to say, and to read it costs two locked instructions.
        let state = (self.0.base.is_some() || self.flag(HISTORY)).then(|| self.state());
        self.gradient_edge_in(state.as_deref())
    }

    /// [`Tensor::gradient_edge`] of a tensor that requires a gradient, for who reads its state already, if it has to be read.
    #[inline]
    pub(crate) fn gradient_edge_in(&self, state: Option<&State>) -> Option<Edge> {
        if let Some(edge) = state.and_then(|state| state.history.as_ref()) {
            return Some(edge.clone());
        }
        // A view without a history of its own, made before its base was asked for a gradient, wants none: it is no leaf.
        (self.0.base.is_none() || self.flag(REQUIRES_GRAD))
            .then(|| Edge { node: self.accumulator(), output: 0 })
    }

    /// The accumulated gradient.
    pub fn grad(&self) -> Option<Self> {
        self.0.extra.get()?.grad.lock().clone()
    }

    /// Replaces the accumulated gradient.
    pub fn set_grad(&self, grad: Option<Self>) {
        if grad.is_none() && self.0.extra.get().is_none() {
            return;
        }
        let old = std::mem::replace(&mut *self.extra().grad.lock(), grad);
        drop(old);
    }

    /// Adds into `.grad`. Without a gradient so far, takes this one over if nobody else holds it.
    ///
    /// The lock is held while adding, so that contributions from several threads all arrive; addition never calls back.
    pub(crate) fn accumulate_grad(&self, grad: Self) -> Result<()> {
        let mut slot = self.extra().grad.lock();
        *slot = Some(vector_space::accumulate(slot.as_ref(), grad)?);
        Ok(())
    }

    /// Whether nobody else holds this tensor or its storage, so that its memory may be taken over.
    pub(crate) fn is_unshared(&self) -> bool {
        let alone =
            self.0.holders() == 1 && self.0.base.is_none() && self.state().array.storage().is_unique();
        // Acquire: who held it before, on another thread perhaps, is done reading.
        std::sync::atomic::fence(Ordering::Acquire);
        alone
    }

    /// Makes a non-leaf keep its gradient in `.grad`.
    pub fn retain_grad(&self) -> Result<()> {
        if !self.requires_grad() {
            return Err(Error::runtime("can't retain_grad on Tensor that has requires_grad=False"));
        }
        if let Some(edge) = self.history()
            && !self.flag(RETAINS_GRAD)
        {
            self.set_flag(RETAINS_GRAD, true);
            edge.node.extra_or_default().retained.lock().push((edge.output, self.downgrade()));
        }
        Ok(())
    }

    /// After an in-place operation gave this tensor a new history: the gradient to keep is that of the new value.
    pub(crate) fn move_retained(&self, before: Option<&Edge>, after: Option<&Edge>) {
        if !self.retains_grad() {
            return;
        }
        if let Some(extra) = before.and_then(|edge| edge.node.extra()) {
            extra.retained.lock().retain(|(_, tensor)| !tensor.is(self));
        }
        if let Some(edge) = after {
            edge.node.extra_or_default().retained.lock().push((edge.output, self.downgrade()));
        }
    }

    /// Whether `retain_grad` was called on this non-leaf.
    pub fn retains_grad(&self) -> bool {
        self.flag(RETAINS_GRAD)
    }

    /// The same numbers without a history; shares the storage.
    pub fn detach(&self) -> Self {
        let detached = Self::new(self.array());
        if self.is_inference() {
            detached.set_flag(INFERENCE, true);
        }
        detached
    }

    /// Makes this tensor show the other's numbers, sharing their storage (assignment to `.data`). The history stays.
    ///
    /// Fails when the tensor has a gradient-carrying history or accumulator and the dtype differs.
    pub fn set_data(&self, data: &Self) -> Result<()> {
        let array = data.array();
        if array.dtype() != self.dtype() && self.requires_grad() && !array.dtype().is_differentiable() {
            return Err(Error::runtime(
                "data set to a tensor that requires gradients must be floating point or complex dtype",
            ));
        }
        let same = {
            let state = self.state();
            state.array.shape() == array.shape() && state.array.dtype() == array.dtype()
        };
        if !same {
            // A tangent belongs to its shape.
            self.set_slot(None);
        }
        self.set_array(array, None);
        Ok(())
    }

    /// [`Tensor::set_data`] for good: graphs recorded so far no longer lead to this tensor.
    ///
    /// Fails as that does.
    pub fn set_(&self, source: &Self) -> Result<()> {
        view::check_leaf("set", self)?;
        self.set_data(source)?;
        drop(self.part_with_accumulator());
        Ok(())
    }

    /// Drops this tensor's own history.
    pub fn detach_(&self) -> Result<()> {
        if self.is_view() {
            return Err(Error::runtime(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for \
                 training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence \
                 detach_() cannot be called on these gradients.",
            ));
        }
        self.set_state(|state| state.history = None);
        self.set_flag(REQUIRES_GRAD, false);
        self.set_slot(None);
        Ok(())
    }

    /// How often the storage was written to.
    pub fn version(&self) -> u32 {
        self.state().array.storage().version()
    }

    /// The tensor this one is a view of.
    pub fn base(&self) -> Option<&Self> {
        self.0.base.as_ref().map(|(base, _)| base)
    }

    /// The base and how the view came to be.
    pub(crate) fn base_and_origin(&self) -> Option<&(Self, view::Origin)> {
        self.0.base.as_ref()
    }

    /// Whether it is a view of another tensor.
    pub fn is_view(&self) -> bool {
        self.0.base.is_some()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.0.generation.load(Ordering::Acquire)
    }

    pub(crate) fn raise_generation(&self) -> u32 {
        // AcqRel: pairs with `generation`, so that who sees the number sees the history that came with it.
        self.0.generation.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// What forward mode keeps with few tensors, if with this one.
    #[inline]
    pub(crate) fn forward_state(&self) -> Option<&forward::State> {
        if !self.flag(FORWARD) {
            return None;
        }
        self.0.extra.get().map(|extra| &extra.forward)
    }

    /// What forward mode keeps with few tensors, made on first use.
    pub(crate) fn forward_state_or_default(&self) -> &forward::State {
        self.set_flag(FORWARD, true);
        &self.extra().forward
    }

    /// The value of the only element.
    pub fn item(&self) -> Result<Scalar> {
        self.state().array.item()
    }

    /// The elements in row-major order, converted to `T`.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.array().to_vec()
    }
}

impl WeakTensor {
    /// Whether it refers to this tensor.
    pub fn is(&self, tensor: &Tensor) -> bool {
        self.0.address() == tensor.0.address()
    }

    /// The tensor, if it still lives.
    pub fn upgrade(&self) -> Option<Tensor> {
        self.0.upgrade().map(Tensor)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let array = self.array();
        write!(f, "Tensor(shape={:?}, dtype={}", array.shape(), array.dtype())?;
        if let Ok(values) = array.to_vec::<f64>() {
            if values.len() <= 16 {
                write!(f, ", {values:?}")?;
            } else {
                write!(f, ", {:?}...", &values[..16])?;
            }
        }
        match self.history() {
            Some(edge) => write!(f, ", grad_fn={})", edge.node.name()),
            None if self.requires_grad() => f.write_str(", requires_grad)"),
            None => f.write_str(")"),
        }
    }
}
