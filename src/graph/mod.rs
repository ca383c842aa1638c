//! Layer 2: tensors and the nodes that remember where they came from. Knows no op by name.

mod accumulate;
pub(crate) mod batch;
pub mod forward;
mod function;
mod hooks;
mod keep;
mod live;
pub mod mode;
mod node;
mod nonfinite;
pub mod ownership;
pub(crate) mod packing;
pub mod profile;
mod record;
pub mod row;
mod saved;
mod seen;
mod tensor;
mod term;
pub mod vector_space;
pub mod view;

pub use accumulate::AccumulateGrad;
pub(crate) use accumulate::retain;
pub use batch::{Batch, Batched, Label};
pub use function::{Attached, Context, Function, attach};
pub(crate) use hooks::run_hooks;
pub use hooks::{HookHandle, LeafHook, NodeHook, NodePreHook, TensorHook};
pub use keep::Keep;
pub use live::{Lives, Mark, live_nodes, lives_since, mark, reachable_lives};
pub use node::{Edge, Grads, Node, NodeRef, OutputMeta, Rule, WeakNode};
pub(crate) use node::{clock, set_clock};
pub use nonfinite::{NonFinite, first_nonfinite};
pub use packing::{
    Package, Packed, SavedTensorHooks, disable_packing, packing_disabled, pop_saved_tensor_hooks,
    push_saved_tensor_hooks, saved_tensor_hooks,
};
pub(crate) use record::is_recorded;
pub use record::{
    Backward, Forward, Onto, assume, linear, linear_view, overwrite, record, record_many, record_views,
    record_with_work, relabel,
};
pub use row::{Operand, Row};
pub use saved::{Data, Kept, Place, Role, Saved, SavedValue, Unpacked};
pub(crate) use seen::Derivative;
pub use seen::{Range, has_nan};
pub use tensor::{Tensor, WeakTensor};
pub use term::{Term, TermMask, Value};
