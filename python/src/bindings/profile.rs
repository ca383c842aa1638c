//! What the profiler asks of the core.

use arcgrad::graph::profile::{self, Details};
use arcgrad::watch;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bindings;
use crate::profile::{PyRange, event};

bindings! {
    /// Times operations from now on, on all threads: the moment in nanoseconds, or None if they are timed already.
    function _start_profile {
        "(bool shapes, bool stacks, bool memory) -> Any" => |a| {
            let details = Details { shapes: a.flag(0)?, origins: a.flag(1)?, memory: a.flag(2)? };
            profile::start(details).into_pyobject(a.py())?.unbind()
        }
    }
    /// Times operations no more: what ended since the start, as tuples.
    function _stop_profile {
        "() -> Any" => |a| {
            let events = a.py().detach(profile::stop);
            let events = events.iter().map(|e| event(a.py(), e)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(a.py(), events)?.into_any().unbind()
        }
    }
    /// Whether operations are timed.
    function _is_profiled { "() -> bool" => |_a| watch::is_timed() }
    /// Begins a range of the user's, which lasts until `end` is called on the answer or it is gone.
    function _begin_range {
        "(str name) -> Any" => |a| Bound::new(a.py(), PyRange::begin(a.str(0)?))?.into_any().unbind()
    }
}
