//! The kernels by themselves, at the sizes of `benches/python/programs/`: what those programs time through Python.
//!
//! `cargo bench --bench kernels` times them, `cargo bench --bench kernels product` those of a part, and with `-- --test`
//! each runs once. Before it is timed an answer is compared with a plain loop in `f64`, or held to an identity.

mod answer;
mod draw;
mod elementwise;
mod layer;
mod optimizer;
mod product;
mod reduction;
mod work;

fn main() {
    divan::main();
}
