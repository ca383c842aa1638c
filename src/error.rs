//! Every way a call can fail, as data; the sentence is built only when somebody reads it.

use std::fmt;
use std::sync::Arc;

use crate::array::{DType, Dims};
use crate::watch::{self, Origin};

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call. One word wide, so that the successful path moves no more than it must.
#[derive(Debug, Clone)]
pub struct Error(Box<Kind>);

/// The family of an error: what a Python binding raises for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The operation cannot be done on these values (Python: `RuntimeError`).
    Runtime,
    /// A position or axis does not exist (Python: `IndexError`).
    Index,
    /// An argument is of the wrong kind (Python: `TypeError`).
    Type,
    /// An argument has a value that is never right (Python: `ValueError`).
    Value,
    /// The operation does not exist for these kinds (Python: `NotImplementedError`).
    NotImplemented,
    /// A matrix is singular, or not positive definite, or not finite (Python: `linalg.LinAlgError`).
    LinearAlgebra,
    /// The call was interrupted from outside (Python: the pending exception, usually `KeyboardInterrupt`).
    Interrupted,
}

/// The facts of a failure.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Kind {
    /// Two shapes do not broadcast.
    Broadcast {
        /// The operation that was asked for.
        op: &'static str,
        /// Shape of the first operand.
        lhs: Dims,
        /// Shape of the second operand.
        rhs: Dims,
        /// The first axis, counted from the left of the longer shape, at which they differ.
        axis: usize,
    },
    /// An axis outside `-ndim..ndim`.
    Axis {
        /// The axis that was named.
        axis: isize,
        /// The number of dimensions there are.
        ndim: usize,
    },
    /// A shape with too many elements to address.
    SizeOverflow {
        /// The shape that was asked for.
        shape: Dims,
    },
    /// A negative extent.
    NegativeSize {
        /// The shape that was asked for.
        shape: Vec<isize>,
    },
    /// More dimensions than a tensor can have.
    TooManyDims {
        /// How many were asked for.
        ndim: usize,
    },
    /// The system has no memory of this size.
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// A view that strides cannot express.
    ViewIncompatible {
        /// The tensor's shape.
        shape: Dims,
        /// The shape that was asked for.
        wanted: Dims,
    },
    /// A shape whose element count differs from the tensor's.
    ReshapeSize {
        /// Elements there are.
        numel: usize,
        /// The shape that was asked for.
        wanted: Vec<isize>,
    },
    /// A shape that no broadcasting made of the other.
    NotReducible {
        /// The shape there is.
        from: Dims,
        /// The shape to sum it down to.
        to: Dims,
    },
    /// A value of one kind stored where only another fits.
    ResultCast {
        /// The operation that was asked for.
        op: &'static str,
        /// The dtype that was computed.
        from: DType,
        /// The dtype it should be stored as.
        to: DType,
    },
    /// A saved value was overwritten between the forward pass and its use.
    Modified {
        /// The node that saved it.
        node: String,
        /// Shape of the saved value.
        shape: Dims,
        /// Its dtype.
        dtype: DType,
        /// Which of the node's outputs it is, if it is one.
        output: Option<u16>,
        /// The version it has now.
        found: u32,
        /// The version it was saved at; if it is the one found, the write came from outside.
        expected: u32,
        /// Who wrote: an operation by its name or its node's, or somebody else in words.
        by: Option<&'static str>,
        /// Where it was saved, if that was noted.
        saved: Option<Arc<dyn Origin>>,
        /// Where it was overwritten, if that was noted.
        written: Option<Arc<dyn Origin>>,
    },
    /// A backward pass met a node whose saved values an earlier pass has freed.
    Freed {
        /// The node.
        node: String,
        /// Where it was recorded, if that was noted.
        recorded: Option<Arc<dyn Origin>>,
        /// Where the pass was called that freed it, if that was noted.
        freed: Option<Arc<dyn Origin>>,
    },
    /// A sentence that is said in one place only.
    Said {
        /// Its family.
        class: Class,
        /// The sentence.
        message: String,
    },
    /// The caller's interrupt check said stop.
    Interrupted,
    /// A panic in an operation, carried to the caller.
    Panic {
        /// What the panic said.
        message: String,
    },
    /// An error of the embedding language, carried through the core unchanged.
    Foreign(Foreign),
}

/// An embedding language's own exception, opaque to the core.
#[derive(Clone)]
pub struct Foreign(pub std::sync::Arc<dyn std::any::Any + Send + Sync>);

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foreign(..)")
    }
}

impl Error {
    /// A failure of class `Runtime` that is described in one place only.
    #[cold]
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::said(Class::Runtime, message)
    }

    /// A failure of class `Index` that is described in one place only.
    #[cold]
    pub fn index(message: impl Into<String>) -> Self {
        Self::said(Class::Index, message)
    }

    /// A failure of class `Type` that is described in one place only.
    #[cold]
    pub fn type_(message: impl Into<String>) -> Self {
        Self::said(Class::Type, message)
    }

    /// A failure of class `Value` that is described in one place only.
    #[cold]
    pub fn value(message: impl Into<String>) -> Self {
        Self::said(Class::Value, message)
    }

    /// A failure of class `LinearAlgebra` that is described in one place only.
    #[cold]
    pub fn linear_algebra(message: impl Into<String>) -> Self {
        Self::said(Class::LinearAlgebra, message)
    }

    /// A failure of class `NotImplemented`: `op` has no meaning for `dtype`.
    #[cold]
    pub fn unsupported(op: &str, dtype: DType) -> Self {
        Self::said(Class::NotImplemented, format!("\"{op}\" not implemented for '{}'", dtype.c_name()))
    }

    /// A failure of class `NotImplemented` that is described in one place only.
    #[cold]
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::said(Class::NotImplemented, message)
    }

    #[cold]
    fn said(class: Class, message: impl Into<String>) -> Self {
        Kind::Said { class, message: message.into() }.into()
    }

    /// The facts.
    pub fn kind(&self) -> &Kind {
        &self.0
    }

    /// The family.
    pub fn class(&self) -> Class {
        match &*self.0 {
            Kind::Axis { .. } => Class::Index,
            Kind::Said { class, .. } => *class,
            Kind::Interrupted => Class::Interrupted,
            _ => Class::Runtime,
        }
    }
}

impl From<Kind> for Error {
    #[cold]
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Broadcast { op, lhs, rhs, axis } => {
                let ndim = lhs.len().max(rhs.len());
                let extent = |s: &Dims| (axis + s.len()).checked_sub(ndim).map_or(1, |i| s[i]);
                write!(
                    f,
                    "The size of tensor a ({}) must match the size of tensor b ({}) at non-singleton dimension {axis} \
                     ({op}: the shapes are {lhs:?} and {rhs:?}; sizes are compared from the right and must be equal or 1)",
                    extent(lhs),
                    extent(rhs)
                )
            }
            Kind::Axis { axis, ndim } => {
                let n = (*ndim).max(1) as isize;
                write!(
                    f,
                    "Dimension out of range (expected to be in range of [{}, {}], but got {axis})",
                    -n,
                    n - 1
                )
            }
            Kind::SizeOverflow { shape } => {
                write!(f, "Storage size calculation overflowed with sizes={shape:?}")
            }
            Kind::NegativeSize { shape } => write!(
                f,
                "Dimension size must be non-negative: Trying to create tensor with negative dimension {}: {shape:?}",
                shape.iter().find(|&&n| n < 0).unwrap_or(&0)
            ),
            Kind::TooManyDims { ndim } => {
                write!(f, "a tensor has at most 64 dimensions, but {ndim} were asked for (ndim > 64)")
            }
            Kind::OutOfMemory { bytes } => write!(
                f,
                "can't allocate memory: you tried to allocate {bytes} bytes, which this system does not have"
            ),
            Kind::ViewIncompatible { shape, wanted } => write!(
                f,
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two \
                 contiguous subspaces): a view of shape {wanted:?} of a tensor of shape {shape:?}. Use .reshape(...) instead."
            ),
            Kind::ReshapeSize { numel, wanted } => {
                write!(f, "shape '{wanted:?}' is invalid for input of size {numel}")
            }
            Kind::NotReducible { from, to } => {
                write!(f, "a value of shape {from:?} cannot be summed down to shape {to:?}")
            }
            Kind::ResultCast { op, from, to } => write!(
                f,
                "result type {} can't be cast to the desired output type {} ({op}_ would store {from} as {to}; convert the target with \
                 .to({from}) or use the operation that returns a new tensor)",
                from.scalar_name(),
                to.scalar_name()
            ),
            Kind::Modified { node, shape, dtype, output, found, expected, by, saved, written } => {
                let what = output
                    .map_or_else(|| "saved by".to_owned(), |output| format!("which is output {output} of"));
                write!(
                    f,
                    "one of the variables needed for gradient computation has been modified by an inplace operation: \
                     [{} {shape:?}], {what} {node}, is at version {found}; expected version {expected} instead. It was saved by \
                     {node}{} and overwritten by {}{}. Hint: clone() the tensor before it is overwritten, or use the operation \
                     that returns a new tensor{}.",
                    dtype.tensor_name(),
                    Line(saved.as_deref()),
                    if found == expected {
                        "whoever else uses its memory, as a NumPy array does".to_owned()
                    } else {
                        by.map_or_else(|| "somebody".to_owned(), in_place_name)
                    },
                    Line(written.as_deref()),
                    Advice(saved.is_some() || written.is_some()),
                )
            }
            Kind::Freed { node, recorded, freed } => {
                write!(
                    f,
                    "Trying to backward through the graph a second time (or directly access saved tensors after they have \
                     already been freed). Saved intermediate values of the graph are freed when you call .backward() or \
                     autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if \
                     you need to access saved tensors after calling backward. (The freed node is {node}{}",
                    Line(recorded.as_deref()),
                )?;
                match freed {
                    Some(freed) => write!(f, "; it was freed by the call at {}.)", freed.line()),
                    None if recorded.is_some() => f.write_str(".)"),
                    None => write!(f, "; {}.)", watch::witness().advice()),
                }
            }
            Kind::Said { message, .. } => f.write_str(message),
            Kind::Interrupted => f.write_str("interrupted"),
            Kind::Panic { message } => {
                write!(f, "internal error: {message} (this is a bug in arcgrad; please report it)")
            }
            Kind::Foreign(_) => f.write_str("an exception of the embedding language"),
        }
    }
}

/// A place in parentheses, or nothing.
struct Line<'a>(Option<&'a dyn Origin>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |origin| write!(f, " ({})", origin.line()))
    }
}

/// What to do to be told more, unless places were noted.
struct Advice(bool);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 { Ok(()) } else { write!(f, " ({})", watch::witness().advice()) }
    }
}

/// Who wrote, in a sentence: the in-place form of an operation, given its name or its node's, as in `index_put_`; somebody
/// else as given.
pub(crate) fn in_place_name(by: &str) -> String {
    let Some((operation, _)) = by.split_once("Backward") else {
        return if by.contains(' ') { by.to_owned() } else { format!("{by}_") };
    };
    let mut name = String::new();
    for letter in operation.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name + "_"
}

impl std::error::Error for Error {}
