//! The binding: converts, enters the core, converts back. The only crate that names pyo3.

mod allocation;
mod array_interface;
mod bindings;
mod collector;
mod convert;
mod device;
mod dispatch;
mod dtype;
mod ending;
mod error;
mod function;
mod generator;
mod hooks;
mod identity;
mod legacy;
mod named;
mod nested;
mod node;
mod once;
mod origin;
mod overrides;
mod pass;
mod profile;
mod properties;
mod saved;
mod size;
mod tensor;
mod weak;

use pyo3::prelude::*;

// Nothing here counts on the GIL to keep other threads away: see Note [Without the GIL] in docs/engine.md.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    identity::check(module.py())?;
    origin::register()?;
    ending::register(module)?;
    module.add_class::<tensor::PyTensor>()?;
    module.add_class::<node::PyNode>()?;
    module.add_class::<profile::PyRange>()?;
    module.add_class::<saved::SavedTensor>()?;
    module.add_class::<weak::PyWeakTensor>()?;
    module.add_class::<device::PyDevice>()?;
    module.add_class::<generator::PyGenerator>()?;
    module.add("default_generator", generator::default_object(module.py())?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("LinAlgError", module.py().get_type::<error::LinAlgError>())?;
    dtype::register(module)?;
    dispatch::register(module, &bindings::rows::entries())?;
    for group in bindings::GROUPS {
        dispatch::register(module, *group)?;
    }
    properties::register(module.py(), bindings::properties::PROPERTIES)?;
    bindings::rows::register_aliases(module)?;
    module.add_function(wrap_pyfunction!(dispatch::catalogue::_signatures, module)?)?;
    Ok(())
}
