//! Tangents and where they are kept: with a tensor, in its base's, laid out as the tensor is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::{OPEN, Registry, two_levels, without};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::record::linear;
use crate::graph::row::check_writable;
use crate::graph::tensor::Tensor;
use crate::graph::view;

/// Where a tangent is kept: shared by its tensor and by the nodes that saved the tensor, emptied when the level ends.
pub(crate) struct Slot {
    pub(super) level: Arc<Registry>,
    tangent: Mutex<Option<Tensor>>,
}

impl Slot {
    pub(super) fn new(level: &Arc<Registry>, tangent: Tensor) -> Arc<Self> {
        let slot = Arc::new(Self { level: level.clone(), tangent: Mutex::new(Some(tangent)) });
        if !level.admit(&slot) {
            slot.clear();
        }
        slot
    }

    pub(super) fn get(&self) -> Option<Tensor> {
        self.tangent.lock().clone()
    }

    pub(super) fn clear(&self) {
        let tangent = self.tangent.lock().take();
        drop(tangent); // after the lock: this may free a graph, and slots with it
    }
}

/// What forward mode keeps with few tensors.
#[derive(Default)]
pub(crate) struct State {
    slot: Mutex<Option<Arc<Slot>>>,
    /// For a view: the tensor whose tangent this one's is a window on, or that there is none; `None` if it is the base.
    #[allow(clippy::option_option)] // three cases, of which the inner two are one answer
    base: Mutex<Option<Option<Tensor>>>,
}

impl Tensor {
    /// The tangent of forward mode, its own or a window on that of the tensor it is a view of, whether or not this thread
    /// propagates tangents.
    #[inline]
    pub fn tangent(&self) -> Option<Self> {
        if OPEN.load(Ordering::Relaxed) == 0 {
            return None;
        }
        own_slot(self)?.get()
    }

    /// Where this tensor's own tangent is, or was.
    pub(crate) fn slot(&self) -> Option<Arc<Slot>> {
        self.forward_state()?.slot.lock().clone()
    }

    pub(crate) fn set_slot(&self, slot: Option<Arc<Slot>>) {
        let state = match self.forward_state() {
            Some(state) => state,
            None if slot.is_none() => return,
            None => self.forward_state_or_default(),
        };
        let old = std::mem::replace(&mut *state.slot.lock(), slot);
        drop(old);
    }

    /// The tensor whose tangent a view's tangent is a window on.
    pub(super) fn forward_base(&self) -> Option<Self> {
        match self.forward_state().and_then(|state| state.base.lock().clone()) {
            Some(base) => base,
            None => self.base().cloned(),
        }
    }

    /// Sets the base of a new view for forward mode.
    pub(super) fn set_forward_base(&self, base: Option<Self>) {
        *self.forward_state_or_default().base.lock() = Some(base);
    }

    /// For a new view of `x`: its base for forward mode, if that is not the one of the history.
    #[inline]
    pub(crate) fn inherit_forward_base(&self, x: &Self) {
        if let Some(state) = x.forward_state()
            && let Some(base) = state.base.lock().clone()
        {
            self.set_forward_base(Some(base.unwrap_or_else(|| x.clone())));
        }
    }
}

/// The slot of a tensor that has a tangent.
#[cold]
pub(super) fn own_slot(x: &Tensor) -> Option<Arc<Slot>> {
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
pub(super) fn level_of(inputs: &[&Tensor]) -> Result<Option<Arc<Registry>>> {
    let mut level: Option<Arc<Registry>> = None;
    for slot in inputs.iter().filter_map(|x| own_slot(x)) {
        if level.as_ref().is_some_and(|level| !Arc::ptr_eq(level, &slot.level)) {
            return Err(two_levels());
        }
        level.get_or_insert_with(|| slot.level.clone());
    }
    Ok(level)
}

/// A tangent that no input's tangent shares memory with, unless the values do: a later write to one must not show in the
/// other.
pub(super) fn own(inputs: &[&Tensor], y: &Tensor, tangent: Tensor) -> Result<Tensor> {
    let shares = |a: &Tensor, b: &Tensor| a.state().array.storage().is(b.state().array.storage());
    let is_shared = inputs
        .iter()
        .any(|x| !shares(x, y) && x.tangent().is_some_and(|of_input| shares(&of_input, &tangent)));
    if is_shared { copied(&tangent, tangent.array().copied()?) } else { Ok(tangent) }
}

/// `copy`, which holds the numbers of `x`, with its history.
pub(super) fn copied(x: &Tensor, copy: Array) -> Result<Tensor> {
    linear("CloneBackward0", x, copy, |g| Ok(g.clone()), |t| Ok(t.clone()))
}

/// Makes `tangent` the tangent of `y`, which has none: as it is, or laid out as `y` is.
pub(super) fn attach(level: &Arc<Registry>, y: &Tensor, tangent: Tensor) -> Result<()> {
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
pub(super) fn write(level: &Arc<Registry>, x: &Tensor, tangent: &Tensor) -> Result<()> {
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
