//! Layer 2: tensors and the nodes that remember where they came from. Knows no op by name.

mod accumulate;
pub mod forward;
mod function;
mod hooks;
pub mod mode;
mod node;
pub mod ownership;
mod packing;
mod record;
pub mod row;
mod saved;
mod tensor;
mod term;
pub mod vector_space;
pub mod view;

pub use accumulate::AccumulateGrad;
pub(crate) use accumulate::retain;
pub use function::{Attached, Context, Function, attach};
pub(crate) use hooks::run_hooks;
pub use hooks::{HookHandle, LeafHook, NodeHook, NodePreHook, TensorHook};
pub use node::{Edge, Grads, Node, NodeRef, OutputMeta, Rule, WeakNode};
pub(crate) use node::{clock, set_clock};
pub use packing::{
    Package, Packed, SavedTensorHooks, disable_packing, packing_disabled, pop_saved_tensor_hooks,
    push_saved_tensor_hooks, saved_tensor_hooks,
};
pub use record::{
    Backward, Forward, Keep, Onto, assume, linear, linear_view, overwrite, record, record_many, record_views,
    record_with_work, relabel,
};
pub use row::{Operand, Row};
pub use saved::{Role, Saved, SavedValue, Unpacked};
pub use tensor::{Tensor, WeakTensor};
pub use term::{Term, TermMask};
