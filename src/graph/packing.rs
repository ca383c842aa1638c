//! Saved tensors on their way through a user's hands: what a node keeps may be packed (offloaded, compressed, dropped to be
//! computed again) and is unpacked when its derivative asks for it. Each thread has its own stack of hooks; the innermost is
//! used.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::mode;
use crate::graph::node::{clock, set_clock};
use crate::graph::saved::{Place, Role, Saved, SavedValue};
use crate::graph::tensor::Tensor;

/// What a saved tensor was packed into.
pub type Package = Box<dyn Any + Send + Sync>;

/// Packs and unpacks saved tensors.
pub trait SavedTensorHooks: Any + Send + Sync {
    /// Called, without recording, when a tensor is saved: with its numbers, without its history. A custom function's tensor
    /// that has no history comes itself.
    fn pack(&self, x: Tensor) -> Result<Package>;
    /// Called, without recording, whenever a derivative asks for the tensor. The shape and dtype must be those of before.
    fn unpack(&self, package: &(dyn Any + Send + Sync)) -> Result<Tensor>;
}

/// A package, what it is to its node, and who can open it.
pub struct Packed {
    hooks: Arc<dyn SavedTensorHooks>,
    package: Package,
    place: Place,
}

/// Note [A hook leaves no trace in the order]: a hook may compute much, and run passes even. The ages of what it records do not
/// count, so that the pass it is called from goes in the order that it would have had without it. Checkpoints rely on it: what
/// a function saves is known by its number, and must come in the same order when the function runs again.
fn aside<R>(hook: impl FnOnce() -> R) -> R {
    let before = clock();
    let answer = hook();
    set_clock(before);
    answer
}

impl Packed {
    /// What `pack` answered.
    pub fn package(&self) -> &(dyn Any + Send + Sync) {
        &*self.package
    }

    /// Shows the package, and who packed it if nobody else holds that.
    pub(crate) fn show(self: &Arc<Self>, show: &mut dyn FnMut(&dyn Any)) {
        if Arc::strong_count(self) == 1 {
            show(&*self.package);
            if Arc::strong_count(&self.hooks) == 1 {
                show(&*self.hooks);
            }
        }
    }

    /// What it is to its node, if it is an input or an output.
    pub fn role(&self) -> Option<Role> {
        self.place.role()
    }

    /// Who packed it.
    pub fn hooks(&self) -> &dyn SavedTensorHooks {
        &*self.hooks
    }

    /// Packs a value.
    pub(crate) fn pack(hooks: Arc<dyn SavedTensorHooks>, value: &SavedValue) -> Result<SavedValue> {
        let (array, place) = match value {
            SavedValue::Tensor { array, role, .. } => (array, Place::Role(*role)),
            SavedValue::Kept(kept) => (&kept.array, kept.place.clone()),
            SavedValue::Nothing | SavedValue::Scalar(_) | SavedValue::Data(_) | SavedValue::Packed(_) => {
                return Ok(value.clone());
            }
        };
        let _guard = mode::no_grad();
        let before = array.storage().version();
        let bare = Tensor::new(array.clone());
        let given = value.original(&bare).unwrap_or(bare);
        let package = aside(|| hooks.pack(given))?;
        if array.storage().version() != before {
            return Err(Error::runtime(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be \
                 modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need \
                 to perform in-place operations on the input to a pack hook.",
            ));
        }
        Ok(SavedValue::Packed(Arc::new(Self { hooks, package, place })))
    }

    /// The value again.
    pub(crate) fn open(&self) -> Result<SavedValue> {
        let x = {
            let _guard = mode::no_grad();
            aside(|| self.hooks.unpack(&*self.package))?
        };
        Ok(SavedValue::of(&x, self.place.clone()))
    }
}

thread_local! {
    static STACK: RefCell<Vec<Arc<dyn SavedTensorHooks>>> = const { RefCell::new(Vec::new()) };
    static DISABLED: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

fn note(stack: &[Arc<dyn SavedTensorHooks>]) {
    mode::set(mode::Mode { packs: !stack.is_empty(), ..mode::get() });
}

/// From now on packs what this thread saves with these. Fails where [`disable_packing`] said so.
pub fn push_saved_tensor_hooks(hooks: Arc<dyn SavedTensorHooks>) -> Result<()> {
    if let Some(message) = packing_disabled() {
        return Err(Error::runtime(&*message));
    }
    STACK.with_borrow_mut(|stack| {
        stack.push(hooks);
        note(stack);
    });
    Ok(())
}

/// Takes the innermost hooks away.
pub fn pop_saved_tensor_hooks() -> Option<Arc<dyn SavedTensorHooks>> {
    STACK.with_borrow_mut(|stack| {
        let top = stack.pop();
        note(stack);
        top
    })
}

/// Until it is dropped, hooks may come into force on this thread; those that are still in force then go.
pub(crate) struct Scope(usize);

/// Opens a scope: what a hook inside of a pass pushes and forgets ends with the pass.
#[inline]
pub(crate) fn scope() -> Scope {
    Scope(STACK.with_borrow(Vec::len))
}

impl Drop for Scope {
    fn drop(&mut self) {
        let forgotten = STACK.with_borrow_mut(|stack| {
            if stack.len() <= self.0 {
                return Vec::new();
            }
            let forgotten = stack.split_off(self.0);
            note(stack);
            forgotten
        });
        drop(forgotten); // outside of the borrow: a hook's end may look at the stack
    }
}

/// The innermost hooks.
pub fn saved_tensor_hooks() -> Option<Arc<dyn SavedTensorHooks>> {
    STACK.with_borrow(|stack| stack.last().cloned())
}

/// Makes [`push_saved_tensor_hooks`] fail on this thread with this sentence, or, given `None`, no longer. Answers with the
/// sentence of before. Fails when hooks are in force.
pub fn disable_packing(message: Option<Arc<str>>) -> Result<Option<Arc<str>>> {
    if let Some(message) = &message
        && saved_tensor_hooks().is_some()
    {
        return Err(Error::runtime(&**message));
    }
    Ok(DISABLED.replace(message))
}

/// Why hooks may not be used on this thread, if they may not.
pub fn packing_disabled() -> Option<Arc<str>> {
    DISABLED.with_borrow(Clone::clone)
}

/// What an operation saves, packed if hooks are in force.
#[inline]
pub(crate) fn pack(saved: Saved) -> Result<Saved> {
    if mode::get().packs { pack_all(saved) } else { Ok(saved) }
}

#[cold]
fn pack_all(saved: Saved) -> Result<Saved> {
    let (Saved::Live(values), Some(hooks)) = (&saved, saved_tensor_hooks()) else { return Ok(saved) };
    let packed = values.iter().map(|value| Packed::pack(hooks.clone(), value));
    Ok(Saved::Packed(packed.collect::<Result<_>>()?))
}
