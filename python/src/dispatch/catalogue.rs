//! What has been registered, as data: from it the stub of the module is written.

use std::sync::Mutex;

use pyo3::prelude::*;

use crate::dispatch::{Binding, Signature};
use crate::properties::Property;

static REGISTERED: Mutex<Vec<(&'static Binding, &'static str)>> = Mutex::new(Vec::new());

/// Notes a binding and where it appears.
pub fn note(binding: &'static Binding, place: &'static str) {
    if let Ok(mut registered) = REGISTERED.lock() {
        registered.push((binding, place));
    }
}

/// A parameter: its name, kind, whether `None` is accepted, its default, and whether it must be named.
type Parameter = (String, String, bool, Option<String>, bool);
/// A binding: its name, place, docstring, and its overloads: parameters and what comes back.
type Described = (&'static str, &'static str, String, Vec<(Vec<Parameter>, String)>);

fn describe(signature: &Signature) -> (Vec<Parameter>, String) {
    let parameters = signature
        .parameters
        .iter()
        .map(|p| (p.name.clone(), format!("{:?}", p.kind), p.optional, p.default.clone(), p.keyword_only));
    (parameters.collect(), signature.returns.clone())
}

/// Every binding and every attribute of Tensor (place `property`, one overload that says its type).
#[pyfunction]
pub fn _signatures() -> Vec<Described> {
    let registered = REGISTERED.lock().map(|r| r.clone()).unwrap_or_default();
    let bindings = registered.iter().map(|(binding, place)| {
        (
            binding.name,
            *place,
            binding.doc.trim().to_owned(),
            binding.signatures().iter().map(describe).collect(),
        )
    });
    let property = |p: &Property| {
        let kind = if p.set.is_some() { "attribute" } else { "property" };
        (p.name, kind, p.doc.to_owned(), vec![(Vec::new(), p.kind.to_owned())])
    };
    bindings.chain(crate::bindings::properties::PROPERTIES.iter().map(property)).collect()
}
