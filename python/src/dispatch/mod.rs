//! One declared signature per function: from it come the parsing of arguments, the errors for wrong ones, the Tensor
//! method, the module function and the stub.

mod arguments;
pub mod catalogue;
mod enter;
mod signature;

pub use arguments::{Args, work, work_of};
pub use enter::{Binding, Entry, Fast, Implementation, Overload, enter, register};
pub use signature::{Kind, Signature};

/// Declares bindings. Each is a name, where it appears, and its overloads, tried in order:
///
/// ```text
/// bindings! {
///     both sum {
///         "(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor"
///             => |a| a.call(ops::sum, (a.tensor(0)?, a.axes(1)?, a.flag(2)?, a.dtype(3)?)),
///     }
/// }
/// ```
///
/// `function`: only in the module; `method`: only on Tensor; `both`: in both, the method's self being the first
/// parameter. A doc comment before the name becomes its docstring.
#[macro_export]
macro_rules! bindings {
    ($( $(#[doc = $doc:literal])* $place:ident $name:ident { $( $signature:literal => |$a:ident| $call:expr ),+ $(,)? } )*) => {
        /// The bindings declared here.
        pub static ENTRIES: &[$crate::dispatch::Entry] = &[ $( {
            static BINDING: $crate::dispatch::Binding = $crate::dispatch::Binding::new(
                stringify!($name),
                concat!($( $doc, "\n" ),*),
                &[ $( $crate::dispatch::Overload {
                    signature: $signature,
                    call: |$a| $crate::convert::Answer::object($call, $a.py()),
                } ),+ ],
            );
            unsafe extern "C" fn function(
                _: *mut pyo3::ffi::PyObject,
                args: *const *mut pyo3::ffi::PyObject,
                count: pyo3::ffi::Py_ssize_t,
                names: *mut pyo3::ffi::PyObject,
            ) -> *mut pyo3::ffi::PyObject {
                // SAFETY: CPython calls this with its fast-call arguments, holding the GIL.
                unsafe { $crate::dispatch::enter(&BINDING, std::ptr::null_mut(), args, count, names) }
            }
            unsafe extern "C" fn method(
                this: *mut pyo3::ffi::PyObject,
                args: *const *mut pyo3::ffi::PyObject,
                count: pyo3::ffi::Py_ssize_t,
                names: *mut pyo3::ffi::PyObject,
            ) -> *mut pyo3::ffi::PyObject {
                // SAFETY: as above; `this` is the object the method was called on.
                unsafe { $crate::dispatch::enter(&BINDING, this, args, count, names) }
            }
            $crate::dispatch::Entry { binding: &BINDING, function, method, place: stringify!($place) }
        } ),* ];
    };
}
