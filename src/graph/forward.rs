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
//! the memory of its primal and not its tangent (`Tensor::forward_base`).

mod propagate;
mod tangent;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub use self::propagate::{Place, Tangents, propagate, save_tensors, set_output};
pub(crate) use self::propagate::{restore, snapshot};
pub(crate) use self::tangent::{Slot, State};
use self::tangent::{attach, own_slot};
use crate::error::{Error, Result};
use crate::graph::record::linear_view;
use crate::graph::tensor::Tensor;
use crate::graph::{mode, vector_space};

/// How many levels there are: the one thing that an operation looks at when nobody uses forward mode.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Whether operations on this thread look for tangents.
#[inline]
pub fn propagates() -> bool {
    // Relaxed: who was handed a dual tensor was handed the level with it.
    OPEN.load(Ordering::Relaxed) != 0 && mode::get().forward
}

/// Whether anybody differentiates what this thread computes, by recording or by tangents: who has a faster way that neither
/// sees must not take it then.
#[inline]
pub fn is_watched() -> bool {
    mode::is_grad_enabled() || propagates()
}

/// The time for which tangents last: they are gone, and their memory with them, when the level is dropped.
///
/// Several may exist (one per thread, say), but tensors of two levels do not meet in one operation.
pub struct Level(Arc<Registry>);

/// The tangents of a level; `None` once it has ended.
struct Registry(Mutex<Option<Vec<Weak<Slot>>>>);

impl Registry {
    /// From now on, ends this slot with the level; says whether the level is still there.
    fn admit(&self, slot: &Arc<Slot>) -> bool {
        let mut slots = self.0.lock();
        let Some(slots) = &mut *slots else { return false };
        // Those of tensors that are gone go when there is no more room, so that a long level stays small.
        if slots.len() == slots.capacity() {
            slots.retain(|slot| slot.strong_count() > 0);
            slots.reserve(slots.len().max(16));
        }
        slots.push(Arc::downgrade(slot));
        true
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
            slot.clear();
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

fn two_levels() -> Error {
    Error::runtime(
        "Nested forward mode AD is not supported at the moment: tensors with tangents of two levels met in one operation",
    )
}
