//! Forward mode: levels, and tensors that carry a tangent for as long as their level lasts.
//!
//! ```
//! use arcgrad::Tensor;
//! use arcgrad::graph::forward::{self, Level};
//!
//! let x = Tensor::from_slice(&[1.0_f64, 2.0], &[2])?;
//! let direction = Tensor::from_slice(&[1.0_f64, 0.0], &[2])?;
//!
//! // A function of some tensors, in one call:
//! let made = forward::jvp(|x| Ok(vec![x[0].mul(&x[0])?]), &[&x], &[&direction])?;
//! assert_eq!(made[0].1.to_vec::<f64>()?, [2.0, 0.0]);
//!
//! // The same by hand: what is computed from a dual tensor is dual too.
//! let level = Level::new();
//! let dual = level.dual(&x, &direction)?;
//! let (value, tangent) = forward::unpack(&dual.mul(&dual)?)?;
//! assert_eq!(value.to_vec::<f64>()?, [1.0, 4.0]);
//! assert_eq!(tangent.unwrap().to_vec::<f64>()?, [2.0, 0.0]);
//! drop(level);
//! assert!(dual.tangent().is_none());
//! # Ok::<(), arcgrad::Error>(())
//! ```
//!
//! Note [Tangents lie as their tensors do]: the tangent of a tensor has its shape, its strides and its place in a storage of
//! as many elements. So the tangent of a view is the same window on the tangent of its base, and a write to either shows in
//! the other as it does in the values. The base that counts here is not always the one of the history: a dual tensor shares
//! the memory of its primal and not its tangent ([`Tensor::forward_base`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};

use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::node::NodeRef;
use crate::graph::record::{linear, linear_view};
use crate::graph::row::{Operand, check_writable};
use crate::graph::saved::{Role, Unpacked};
use crate::graph::tensor::Tensor;
use crate::graph::{mode, vector_space, view};

/// How many levels there are: the one thing that an operation looks at when nobody uses forward mode.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Whether operations on this thread look for tangents.
#[inline]
pub fn propagates() -> bool {
    // Relaxed: who was handed a dual tensor was handed the level with it.
    OPEN.load(Ordering::Relaxed) != 0 && mode::get().forward
}

/// The time for which tangents last: they are gone, and their memory with them, when the level is dropped.
///
/// Several may exist (one per thread, say), but tensors of two levels do not meet in one operation.
pub struct Level(Arc<Registry>);

/// The tangents of a level; `None` once it has ended.
struct Registry(Mutex<Option<Vec<Weak<Slot>>>>);

/// Where a tangent is kept: shared by its tensor and by the nodes that saved the tensor, emptied when the level ends.
pub(crate) struct Slot {
    level: Arc<Registry>,
    tangent: Mutex<Option<Tensor>>,
}

impl Slot {
    fn new(level: &Arc<Registry>, tangent: Tensor) -> Arc<Self> {
        let mut registry = level.0.lock();
        let live = registry.is_some();
        let slot = Arc::new(Self { level: level.clone(), tangent: Mutex::new(live.then_some(tangent)) });
        if let Some(slots) = &mut *registry {
            // Those of tensors that are gone go when there is no more room, so that a long level stays small.
            if slots.len() == slots.capacity() {
                slots.retain(|slot| slot.strong_count() > 0);
                slots.reserve(slots.len().max(16));
            }
            slots.push(Arc::downgrade(&slot));
        }
        slot
    }

    fn get(&self) -> Option<Tensor> {
        self.tangent.lock().clone()
    }
}

impl Level {
    /// A level that lasts until it is dropped.
    #[must_use = "tangents last as long as the level"]
    pub fn new() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Registry(Mutex::new(Some(Vec::new())))))
    }

    /// `primal` with a tangent: a new tensor that shares the memory and the history.
    ///
    /// The tangent itself becomes the dual tensor's, unless it lies differently in memory; then a copy does. Fails when the
    /// shapes differ, when a dtype has no derivatives, and when one of both has a tangent already. In inference mode nothing is
    /// differentiated, and the new tensor has no tangent.
    pub fn dual(&self, primal: &Tensor, tangent: &Tensor) -> Result<Tensor> {
        for (x, what) in [(primal, "primal"), (tangent, "tangent")] {
            if !x.dtype().is_differentiable() {
                let dtype = x.dtype();
                return Err(Error::value(format!(
                    "Expected {what} to be floating point or complex, but got: {dtype}"
                )));
            }
        }
        if let Some(slot) = own_slot(primal) {
            return Err(if Arc::ptr_eq(&slot.level, &self.0) {
                Error::runtime(
                    "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not \
                     supported.",
                )
            } else {
                two_levels()
            });
        }
        if tangent.tangent().is_some() {
            return Err(Error::runtime(
                "Setting a forward grad that itself has a forward gradient at the same level0 is not supported.",
            ));
        }
        let _guard = without();
        let dual = alias(primal)?;
        if mode::is_inference_mode_enabled() {
            return Ok(dual);
        }
        attach(&self.0, &dual, tangent.clone())?;
        Ok(dual)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        let slots = self.0.0.lock().take();
        OPEN.fetch_sub(1, Ordering::Relaxed);
        for slot in slots.iter().flatten().filter_map(Weak::upgrade) {
            let tangent = slot.tangent.lock().take();
            drop(tangent); // after the lock: this may free a graph, and slots with it
        }
    }
}

/// The value of a dual tensor, as a tensor without a tangent that shares its memory and its history, and its tangent.
pub fn unpack(x: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
    let tangent = if propagates() { x.tangent() } else { None };
    let _guard = without();
    Ok((alias(x)?, tangent))
}

/// The outputs of a function, each with its tangent: the product of the Jacobian with `tangents`, one for each of `primals`.
///
/// Fails as the function does and as [`Level::dual`] does.
pub fn jvp(
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    primals: &[&Tensor],
    tangents: &[&Tensor],
) -> Result<Vec<(Tensor, Tensor)>> {
    if primals.len() != tangents.len() {
        return Err(Error::value(format!(
            "jvp: got {} primals and {} tangents",
            primals.len(),
            tangents.len()
        )));
    }
    let level = Level::new();
    let duals = primals.iter().zip(tangents).map(|(x, t)| level.dual(x, t)).collect::<Result<Vec<_>>>()?;
    let outputs = f(&duals)?;
    let parts = outputs.iter().map(|y| {
        let (value, tangent) = unpack(y)?;
        let tangent = tangent.map_or_else(|| vector_space::zeros_like(&value), Ok)?;
        Ok((value, tangent))
    });
    parts.collect()
}

/// No tangents: for what is computed about tangents, because there is one level.
fn without() -> mode::Guard {
    mode::enter(mode::Mode { forward: false, ..mode::get() })
}

/// A view of `x` that does not share its tangent. In inference mode there are no views.
fn alias(x: &Tensor) -> Result<Tensor> {
    if mode::is_inference_mode_enabled() {
        return Ok(Tensor::new(x.array()));
    }
    let y = linear_view("ViewBackward0", x, x.array(), |g| Ok(g.clone()), |t| Ok(t.clone()))?;
    y.set_forward_base(None);
    Ok(y)
}

/// The tangent of a tensor: its own, or the window on that of the tensor it is a view of.
#[inline]
pub(crate) fn tangent(x: &Tensor) -> Option<Tensor> {
    if OPEN.load(Ordering::Relaxed) == 0 {
        return None;
    }
    own_slot(x)?.get()
}

/// The slot of a tensor that has a tangent.
#[cold]
fn own_slot(x: &Tensor) -> Option<Arc<Slot>> {
    if let Some(slot) = x.slot().filter(|slot| slot.get().is_some()) {
        return Some(slot);
    }
    let whole = x.forward_base()?.slot()?;
    let (layout, offset) = {
        let state = x.state();
        (state.array.layout().clone(), state.array.offset())
    };
    let _guard = without();
    // Cannot fail: see Note [Tangents lie as their tensors do].
    let part = view::strided(&whole.get()?, layout, offset).ok()?;
    let slot = Slot::new(&whole.level, part);
    x.set_slot(Some(slot.clone()));
    Some(slot)
}

/// The level of the tangents among these tensors.
fn level_of(inputs: &[&Tensor]) -> Result<Option<Arc<Registry>>> {
    let mut level: Option<Arc<Registry>> = None;
    for slot in inputs.iter().filter_map(|x| own_slot(x)) {
        if level.as_ref().is_some_and(|level| !Arc::ptr_eq(level, &slot.level)) {
            return Err(two_levels());
        }
        level.get_or_insert_with(|| slot.level.clone());
    }
    Ok(level)
}

fn two_levels() -> Error {
    Error::runtime(
        "Nested forward mode AD is not supported at the moment: tensors with tangents of two levels met in one operation",
    )
}

/// How the outputs of an operation lie in memory, with regard to its inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In memory of their own.
    Fresh,
    /// They are views of an input.
    View,
    /// The output is the first input, overwritten.
    Written,
}

/// The tangents of an operation's outputs, one each; `None` stands for zeros or for an output that has none.
pub type Tangents = SmallVec<[Option<Tensor>; 1]>;

/// Gives the outputs of an operation their tangents if an input has one. Called after the outputs have their histories.
///
/// `rule` computes them; what it does itself carries no tangents. `node` is the operation's, for what it saved.
#[cold]
pub fn propagate(
    place: Place,
    inputs: &[&Tensor],
    outputs: &[Tensor],
    node: Option<&NodeRef>,
    rule: impl FnOnce() -> Result<Tangents>,
) -> Result<()> {
    let Some(level) = level_of(inputs)? else { return Ok(()) };
    let _guard = without();
    let tangents = rule()?;
    if place == Place::Written {
        // What a node saved of the overwritten tensor stays what it was.
        save(node, inputs, &[]);
    }
    for (y, tangent) in outputs.iter().zip(tangents) {
        if !y.dtype().is_differentiable() {
            continue;
        }
        match (place, tangent) {
            (Place::Fresh, Some(tangent)) => attach(&level, y, own(inputs, y, tangent)?)?,
            (Place::View, Some(tangent)) => attach(&level, y, tangent)?,
            (Place::Written, Some(tangent)) => write(&level, y, &tangent)?,
            (Place::Written, None) => write(&level, y, &vector_space::zeros_like(y)?)?,
            (Place::Fresh | Place::View, None) => {}
        }
    }
    save(node, if place == Place::Written { &[] } else { inputs }, outputs);
    Ok(())
}

/// Gives the output of a custom operation on `inputs` its tangent, after it has its history.
///
/// An output that is an input, overwritten, passes it on to whoever shares its memory. `None` stands for zeros if `y` has a
/// tangent already. Does nothing if no input has a tangent. Fails when the shapes differ.
pub fn set_output(inputs: &[&Tensor], y: &Tensor, tangent: Option<Tensor>) -> Result<()> {
    let place = match (inputs.iter().any(|x| x.is(y)), y.is_view()) {
        (true, _) => Place::Written,
        (false, true) => Place::View,
        (false, false) => Place::Fresh,
    };
    propagate(place, inputs, std::slice::from_ref(y), None, || Ok(smallvec![tangent]))
}

/// A tangent that no input's tangent shares memory with, unless the values do: a later write to one must not show in the
/// other.
fn own(inputs: &[&Tensor], y: &Tensor, tangent: Tensor) -> Result<Tensor> {
    let shares = |a: &Tensor, b: &Tensor| a.state().array.storage().is(b.state().array.storage());
    let is_shared = inputs
        .iter()
        .any(|x| !shares(x, y) && x.tangent().is_some_and(|of_input| shares(&of_input, &tangent)));
    if is_shared { copied(&tangent, tangent.array().copied()?) } else { Ok(tangent) }
}

/// `copy`, which holds the numbers of `x`, with its history.
fn copied(x: &Tensor, copy: Array) -> Result<Tensor> {
    linear("CloneBackward0", x, copy, |g| Ok(g.clone()), |t| Ok(t.clone()))
}

/// Makes `tangent` the tangent of `y`, which has none: as it is, or laid out as `y` is.
fn attach(level: &Arc<Registry>, y: &Tensor, tangent: Tensor) -> Result<()> {
    let (shape, given) = (y.shape(), tangent.shape());
    if shape != given {
        return Err(Error::runtime(format!(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not \
             supported. Tensor is of size {:?} while the given forward gradient is of size {:?}.",
            shape.as_slice(),
            given.as_slice()
        )));
    }
    let target = y.array();
    let tangent = if lies_alike(&target, &tangent.array()) {
        tangent
    } else {
        let copy = blank(&target, &tangent)?;
        check_writable("copy", &copy)?;
        crate::array::kernels::copy::copy(&tangent.array(), &copy);
        copied(&tangent, copy)?
    };
    y.set_slot(Some(Slot::new(level, tangent)));
    Ok(())
}

fn elements(x: &Array) -> usize {
    x.storage().bytes() / x.dtype().size()
}

/// Whether a window on one is the same window on the other.
fn lies_alike(a: &Array, b: &Array) -> bool {
    elements(a) == elements(b)
        && (a.numel() == 0 || a.offset() == b.offset())
        && a.shape()
            .iter()
            .zip(a.strides().iter().zip(b.strides()))
            .all(|(&extent, (a, b))| extent <= 1 || a == b)
}

/// Zeros that lie as `target` does, of the dtype of `tangent`.
fn blank(target: &Array, tangent: &Tensor) -> Result<Array> {
    let dtype = tangent.dtype();
    let flat = Array::zeros(&[elements(target)], dtype)?;
    Array::from_parts(flat.storage().clone(), target.layout().clone(), target.offset(), dtype)
}

/// Gives `x`, which was just overwritten, its new tangent: written into the old one, or into that of its base, so that
/// whoever shares memory with `x` sees the change in their tangents too.
fn write(level: &Arc<Registry>, x: &Tensor, tangent: &Tensor) -> Result<()> {
    if let Some(before) = x.tangent() {
        return view::replace(&before, tangent);
    }
    let Some(base) = x.forward_base() else { return attach(level, x, tangent.clone()) };
    let (array, whole) = (x.array(), base.array());
    attach(level, &base, Tensor::new(blank(&whole, tangent)?))?;
    let whole = base.tangent().unwrap_or_else(|| unreachable!("attached just now"));
    let part = view::strided(&whole, array.layout().clone(), array.offset())?;
    view::replace(&part, tangent)?;
    x.set_slot(Some(Slot::new(level, part)));
    Ok(())
}

/// Keeps, with what a node saved, the tangents that it had: a backward pass during this level has tangents too.
fn save(node: Option<&NodeRef>, inputs: &[&Tensor], outputs: &[Tensor]) {
    let Some(node) = node else { return };
    let Ok(values) = node.saved_values() else { return };
    for (index, value) in values.iter().enumerate() {
        let tensor = match value.role() {
            Some(Role::Input(i)) => inputs.get(usize::from(i)).copied(),
            Some(Role::Output(i)) => outputs.get(usize::from(i)),
            None => None,
        };
        if let Some(slot) = tensor.and_then(own_slot) {
            node.extra_or_default().tangents.lock().push((index, slot));
        }
    }
}

/// Keeps the tangents of what a custom operation saved: its own tensors, in the order of its saved values.
pub fn save_tensors(node: &NodeRef, tensors: &[Option<Tensor>]) {
    if !propagates() {
        return;
    }
    for (index, x) in tensors.iter().enumerate() {
        if let Some(slot) = x.as_ref().and_then(own_slot) {
            node.extra_or_default().tangents.lock().push((index, slot));
        }
    }
}

/// Copies of the operands that lie in the first one's memory, which is about to be overwritten, with their histories and
/// tangents; `None` if no operand has a tangent.
#[cold]
pub(crate) fn snapshot<const N: usize>(operands: &[Operand<'_>; N]) -> Result<Option<[Option<Tensor>; N]>> {
    let tensors = operands.map(|x| match x {
        Operand::Tensor(x) => Some(x),
        Operand::Scalar(_) => None,
    });
    let slots = tensors.map(|x| x.and_then(own_slot));
    let (true, Some(target)) = (slots.iter().any(Option::is_some), tensors[0].map(Tensor::array)) else {
        return Ok(None);
    };
    let _guard = without();
    let mut copies = [const { None }; N];
    for ((copy, x), slot) in copies.iter_mut().zip(tensors).zip(slots) {
        let Some((x, array)) = x.map(|x| (x, x.array())).filter(|(_, x)| x.storage().is(target.storage()))
        else {
            continue;
        };
        let before = copy.insert(Tensor::with_history(array.copied()?, x.gradient_edge()));
        if let Some((tangent, slot)) = slot.and_then(|slot| Some((slot.get()?, slot))) {
            let tangent = copied(&tangent, tangent.array().copied()?)?;
            before.set_slot(Some(Slot::new(&slot.level, tangent)));
        }
    }
    Ok(Some(copies))
}

/// A saved value with the tangent that it was saved with.
#[cold]
pub(crate) fn restore(node: &NodeRef, index: usize, value: Unpacked) -> Result<Unpacked> {
    let Some(extra) = node.extra() else { return Ok(value) };
    let slot = extra.tangents.lock().iter().find(|(i, _)| *i == index).map(|(_, slot)| slot.clone());
    let Some(slot) = slot.filter(|slot| slot.get().is_some()) else { return Ok(value) };
    let x = value.tensor(node)?;
    // A leaf comes back as itself and has its tangent, if it still has one.
    if !x.is_leaf() || !x.requires_grad() {
        x.set_slot(Some(slot));
    }
    Ok(Unpacked::Tensor(x))
}
