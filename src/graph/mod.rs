//! Layer 2: tensors and the nodes that remember where they came from. Knows no op by name.

mod accumulate;
pub mod forward;
pub mod mode;
mod node;
mod record;
pub mod row;
mod saved;
mod tensor;
mod term;
pub mod vector_space;
pub mod view;

pub use accumulate::AccumulateGrad;
pub(crate) use accumulate::retain;
pub use node::{Edge, Grads, Node, NodeRef, OutputMeta, Rule};
pub(crate) use node::{clock, set_clock};
pub use record::{
    Backward, Forward, Keep, Onto, assume, linear, linear_view, overwrite, record, record_many, record_views,
    record_with_work, relabel,
};
pub use row::{Operand, Row};
pub use saved::{Saved, SavedValue};
pub use tensor::{Tensor, WeakTensor};
pub use term::{Term, TermMask};
