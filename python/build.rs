//! Tells the sources which interpreter they are compiled for: `cfg(Py_GIL_DISABLED)` for one without a GIL.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
