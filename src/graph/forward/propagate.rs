//! What happens to tangents when an operation runs, and when a backward pass meets what it saved.

use smallvec::{SmallVec, smallvec};

use super::tangent::{Slot, attach, copied, level_of, own, own_slot, write};
use super::{propagates, without};
use crate::error::Result;
use crate::graph::node::NodeRef;
use crate::graph::row::Operand;
use crate::graph::saved::{Role, Unpacked};
use crate::graph::tensor::Tensor;
use crate::graph::vector_space;

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
