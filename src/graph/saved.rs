//! What a node keeps for its derivative, and the check that nobody overwrote it since.

use std::any::Any;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::kernels::tile::Source;
use crate::array::{Array, Scalar, sharing};
use crate::error::{Error, Kind, Result};
use crate::graph::node::{Edge, NodeRef};
use crate::graph::packing::Packed;
use crate::graph::tensor::{Tensor, WeakTensor};

/// Anything that a derivative can need.
pub type Data = Arc<dyn Any + Send + Sync>;

/// Several saved values.
pub type SavedValues = SmallVec<[SavedValue; 2]>;

/// The saved values of a node.
#[derive(Default)]
pub enum Saved {
    /// They are there.
    Live(SavedValues),
    /// They are there, and some have to be unpacked before use.
    Packed(SavedValues),
    /// There never were any: the node can run any number of times.
    #[default]
    Nothing,
    /// A backward pass has freed them.
    Freed,
}

impl Saved {
    pub(crate) fn take(&mut self) -> Self {
        let freed = match self {
            Self::Nothing => Self::Nothing,
            Self::Live(_) | Self::Packed(_) | Self::Freed => Self::Freed,
        };
        std::mem::replace(self, freed)
    }

    /// What is there, packed values as they are, or why it no longer is.
    #[inline]
    pub(crate) fn values(&self, node: &NodeRef) -> Result<&[SavedValue]> {
        match self {
            Self::Live(values) | Self::Packed(values) => Ok(values),
            Self::Nothing => Ok(&[]),
            Self::Freed => Err(freed(node)),
        }
    }
}

/// One kept value.
#[derive(Clone)]
pub enum SavedValue {
    /// A custom function's `None`.
    Nothing,
    /// A number, as it was given.
    Scalar(Scalar),
    /// What a derivative needs that is no tensor: places, classes. Nobody but the derivative sees it.
    Data(Data),
    /// A tensor. Its history is not kept here but read off the node's own edge (or is the node itself), so that what is saved
    /// can never own the node that saves it.
    Tensor {
        /// The numbers.
        array: Array,
        /// The storage's version when it was kept.
        version: u32,
        /// Where it stood.
        role: Role,
    },
    /// A tensor of which more is kept.
    Kept(Box<Kept>),
    /// A tensor in a user's package.
    Packed(Arc<Packed>),
}

/// A saved tensor that is no input or output, or whose memory others use.
#[derive(Clone)]
pub struct Kept {
    /// The numbers.
    pub array: Array,
    /// The storage's version when it was kept.
    version: u32,
    /// The numbers' fingerprint, if others use the memory.
    contents: Option<u64>,
    /// Where it stood.
    pub place: Place,
    /// The tensor itself, which is not kept alive: it may come to own the node.
    original: Option<WeakTensor>,
}

/// What a saved tensor of which more is kept is to its node.
#[derive(Clone)]
pub enum Place {
    /// An input or output.
    Role(Role),
    /// Something that a custom function computed on the way, with the history that it had.
    Other(Option<Edge>),
}

impl Place {
    /// What it is, if it is an input or an output.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(*role),
            Self::Other(_) => None,
        }
    }
}

impl Kept {
    fn new(array: Array, place: Place) -> Self {
        let storage = array.storage();
        let version = storage.version();
        let contents = storage.is_shared().then(|| sharing::fingerprint(&array));
        Self { array, version, contents, place, original: None }
    }

    /// Whether one of these values has the same numbers of the same moment.
    fn is_among(&self, values: &[SavedValue]) -> bool {
        values.iter().any(|other| match other {
            SavedValue::Kept(other) => {
                other.contents.is_some()
                    && (other.contents, other.version) == (self.contents, self.version)
                    && other.array.is_same_view(&self.array)
            }
            _ => false,
        })
    }

    fn is_intact(&self) -> bool {
        match self.contents {
            _ if self.array.storage().version() != self.version => false,
            Some(contents) => sharing::fingerprint(&self.array) == contents,
            None => is_intact(&self.array, self.version),
        }
    }
}

/// Whether nobody wrote to these numbers since they were saved.
#[inline]
fn is_intact(array: &Array, version: u32) -> bool {
    array.storage().version() == version && (!array.storage().is_shared() || !sharing::is_changed(array))
}

/// What a saved tensor is to its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The input of this number.
    Input(u16),
    /// The output of this number.
    Output(u16),
}

impl SavedValue {
    /// Keeps an array as it is now. `others` are values that were kept just before; memory that others use is looked
    /// through once, however often it is kept.
    #[inline]
    pub fn array(array: Array, role: Role, others: &[Self]) -> Self {
        if array.storage().is_shared() {
            return Self::again(&array, role, others).unwrap_or_else(|| Self::kept(array, Place::Role(role)));
        }
        let version = array.storage().version();
        Self::Tensor { array, version, role }
    }

    /// The one of `others` that has the same numbers, in another role.
    #[cold]
    fn again(array: &Array, role: Role, others: &[Self]) -> Option<Self> {
        others.iter().find_map(|other| match other {
            Self::Kept(kept) if kept.array.is_same_view(array) => {
                Some(Self::Kept(Box::new(Kept { place: Place::Role(role), ..(**kept).clone() })))
            }
            _ => None,
        })
    }

    /// Keeps an array as it is now, with more of it.
    #[cold]
    pub(crate) fn kept(array: Array, place: Place) -> Self {
        Self::Kept(Box::new(Kept::new(array, place)))
    }

    /// Keeps a tensor as it is now, and remembers which one it was ([`Self::original`]).
    pub(crate) fn of(x: &Tensor, place: Place) -> Self {
        let kept = Kept::new(x.array(), place);
        Self::Kept(Box::new(Kept { original: Some(x.downgrade()), ..kept }))
    }

    /// Keeps a tensor that is neither an input nor an output.
    pub(crate) fn other(x: &Tensor) -> Self {
        Self::of(x, Place::Other(x.gradient_edge()))
    }

    /// The tensor that was saved, if somebody holds it and it still has the numbers and the history of `unpacked`, which was
    /// made from this value.
    pub fn original(&self, unpacked: &Tensor) -> Option<Tensor> {
        let Self::Kept(kept) = self else { return None };
        let x = kept.original.as_ref()?.upgrade()?;
        let is_same_edge = match (x.gradient_edge(), unpacked.gradient_edge()) {
            (None, None) => true,
            (Some(a), Some(b)) => a.node.is(&b.node) && a.output == b.output,
            _ => false,
        };
        (is_same_edge && x.state().array.is_same_view(&kept.array)).then_some(x)
    }

    /// Says that an output is kept as it is although its version is yet to be raised by the operation itself.
    pub(crate) fn expect_write(&mut self) {
        match self {
            Self::Tensor { version, role: Role::Output(_), .. } => *version += 1,
            Self::Kept(kept) if matches!(kept.place.role(), Some(Role::Output(_))) => kept.version += 1,
            _ => {}
        }
    }

    /// The numbers, overwritten or not, and what they are to the node; `None` for what is no tensor, or packed.
    pub fn numbers(&self) -> Option<(&Array, Option<Role>)> {
        match self {
            Self::Tensor { array, role, .. } => Some((array, Some(*role))),
            Self::Kept(kept) => Some((&kept.array, kept.place.role())),
            Self::Nothing | Self::Scalar(_) | Self::Data(_) | Self::Packed(_) => None,
        }
    }

    /// What it is to the node, if it is one of its inputs or outputs.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Packed(packed) => packed.role(),
            other => other.numbers().and_then(|(_, role)| role),
        }
    }

    /// The numbers, provided they were not overwritten.
    pub fn check(&self, node: &NodeRef) -> Result<Unpacked> {
        match self {
            Self::Nothing | Self::Data(_) => Ok(Unpacked::Nothing),
            Self::Scalar(value) => Ok(Unpacked::Scalar(*value)),
            Self::Packed(_) => self.opened()?.check(node),
            Self::Kept(kept) => {
                self.source(node, &[])?;
                Ok(match &kept.place {
                    Place::Role(role) => Unpacked::Array(kept.array.clone(), *role),
                    Place::Other(edge) => Unpacked::Tensor(with_edge(kept.array.clone(), edge.clone())),
                })
            }
            Self::Tensor { array, role, .. } => {
                self.source(node, &[])?;
                Ok(Unpacked::Array(array.clone(), *role))
            }
        }
    }

    /// The value with its package opened.
    pub fn opened(&self) -> Result<Self> {
        match self {
            Self::Packed(packed) => packed.open(),
            other => Ok(other.clone()),
        }
    }

    /// The numbers for a kernel, provided they were not overwritten. `intact` are values of the node that just passed.
    #[inline]
    pub(crate) fn source(&self, node: &NodeRef, intact: &[Self]) -> Result<Source<'_>> {
        match self {
            Self::Scalar(value) => Ok(Source::Scalar(*value)),
            Self::Tensor { array, version, .. } if is_intact(array, *version) => Ok(Source::Array(array)),
            Self::Tensor { array, version, role } => Err(modified(node, array, *version, Some(*role))),
            Self::Kept(kept) if kept.is_among(intact) || kept.is_intact() => Ok(Source::Array(&kept.array)),
            Self::Kept(kept) => Err(modified(node, &kept.array, kept.version, kept.place.role())),
            Self::Packed(_) | Self::Nothing | Self::Data(_) => {
                unreachable!("kernels of rows read open packages, numbers and tensors")
            }
        }
    }
}

#[cold]
fn freed(node: &NodeRef) -> Error {
    let seen = node.seen();
    Kind::Freed {
        node: node.name().to_owned(),
        recorded: seen.as_ref().and_then(|seen| seen.origin.clone()),
        freed: seen.and_then(|seen| seen.freed.clone()),
    }
    .into()
}

#[cold]
fn modified(node: &NodeRef, array: &Array, expected: u32, role: Option<Role>) -> Error {
    let storage = array.storage();
    let noted = storage.noted_write_after(expected);
    Kind::Modified {
        node: node.name().to_owned(),
        shape: array.shape().into(),
        dtype: array.dtype(),
        output: match role {
            Some(Role::Output(output)) => Some(output),
            Some(Role::Input(_)) | None => None,
        },
        found: storage.version(),
        expected,
        by: noted.as_ref().map(|write| write.by).or_else(|| storage.writer()),
        saved: node.origin(),
        written: noted.map(|write| write.origin),
    }
    .into()
}

/// A saved value that passed its check.
#[derive(Clone)]
pub enum Unpacked {
    /// A custom function's `None`.
    Nothing,
    /// A number.
    Scalar(Scalar),
    /// An array and what it is to the node.
    Array(Array, Role),
    /// A tensor with a history of its own.
    Tensor(Tensor),
}

impl Unpacked {
    /// As a tensor with its history, for derivatives of derivatives.
    pub fn tensor(self, node: &NodeRef) -> Result<Tensor> {
        Ok(match self {
            Self::Nothing => {
                return Err(Error::runtime(format!("{}: None was saved at this position", node.name())));
            }
            Self::Scalar(value) => Tensor::scalar(value, crate::array::DType::F64)?,
            Self::Array(array, Role::Output(output)) => {
                Tensor::with_history(array, Some(Edge { node: node.clone(), output: u32::from(output) }))
            }
            Self::Array(array, Role::Input(input)) => {
                with_edge(array, node.edges().get(usize::from(input)).cloned().flatten())
            }
            Self::Tensor(x) => x,
        })
    }
}

/// A tensor whose gradient goes to `edge`: the leaf itself if it is one's, and these still are its numbers.
fn with_edge(array: Array, edge: Option<Edge>) -> Tensor {
    if let Some(leaf) = edge.as_ref().and_then(|e| e.node.leaf())
        && leaf.array().storage().is(array.storage())
    {
        return leaf;
    }
    Tensor::with_history(array, edge)
}
