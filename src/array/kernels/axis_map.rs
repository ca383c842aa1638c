//! A sparse linear map along one axis: padding by reflection, interpolation, and their adjoints.

use crate::array::reserve::reserved;
use crate::array::{Array, Element, pool};
use crate::error::{Error, Result};
use crate::with_element;

/// For each output position, which input positions it reads, with which weights.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisMap {
    inputs: usize,
    /// Where each output's entries begin, and where the last's end.
    starts: Vec<usize>,
    entries: Vec<(usize, f64)>,
}

impl AxisMap {
    /// The map of `inputs` positions whose outputs read these entries.
    ///
    /// Fails when there is no memory for so many outputs.
    pub fn new(
        inputs: usize,
        outputs: impl ExactSizeIterator<Item = impl IntoIterator<Item = (usize, f64)>>,
    ) -> Result<Self> {
        let starts = reserved(outputs.len().saturating_add(1))?;
        let entries = reserved(outputs.len())?;
        Ok(Self::filled(inputs, starts, entries, outputs))
    }

    /// The map, in two lists that are empty yet.
    fn filled(
        inputs: usize,
        mut starts: Vec<usize>,
        mut entries: Vec<(usize, f64)>,
        outputs: impl IntoIterator<Item = impl IntoIterator<Item = (usize, f64)>>,
    ) -> Self {
        starts.push(0);
        for output in outputs {
            entries.extend(output);
            starts.push(entries.len());
        }
        assert!(entries.iter().all(|&(from, _)| from < inputs), "an entry outside its axis");
        Self { inputs, starts, entries }
    }

    /// The map whose outputs are each one input.
    pub fn choosing(inputs: usize, outputs: impl ExactSizeIterator<Item = usize>) -> Result<Self> {
        Self::new(inputs, outputs.map(|from| [(from, 1.0)]))
    }

    /// How many positions it reads.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many positions it gives.
    pub fn outputs(&self) -> usize {
        self.starts.len() - 1
    }

    /// The adjoint.
    pub fn transposed(&self) -> Self {
        let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.inputs];
        for output in 0..self.outputs() {
            for &(from, weight) in &self.entries[self.starts[output]..self.starts[output + 1]] {
                columns[from].push((output, weight));
            }
        }
        Self::filled(self.outputs(), Vec::new(), Vec::new(), columns)
    }
}

struct Target<T>(*mut T);
// SAFETY: each task writes to its own part.
unsafe impl<T: Send> Sync for Target<T> {}

/// Maps an axis of a contiguous array.
pub fn apply(map: &AxisMap, x: &Array, axis: usize) -> Result<Array> {
    if x.shape()[axis] != map.inputs {
        return Err(Error::runtime("an axis and its map differ in extent"));
    }
    let mut shape: crate::array::Dims = x.shape().into();
    shape[axis] = map.outputs();
    let y = Array::empty(&shape, x.dtype())?;
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    if y.numel() == 0 {
        return Ok(y);
    }
    with_element!(x.dtype(), T => {
        // SAFETY: contiguous by the caller's word, and only read here.
        let x = unsafe { x.as_slice::<T>() }.unwrap_or_default();
        let target = Target(y.pointer().cast::<T>());
        let target = &target;
        let outputs = map.outputs();
        pool::for_each(outer, &|i| {
            // SAFETY: part `i` of `y` is this task's alone.
            let y = unsafe { std::slice::from_raw_parts_mut(target.0.add(i * outputs * inner), outputs * inner) };
            let x = &x[i * map.inputs * inner..][..map.inputs * inner];
            for (output, line) in y.chunks_exact_mut(inner).enumerate() {
                let entries = &map.entries[map.starts[output]..map.starts[output + 1]];
                match entries {
                    [(from, 1.0)] => line.copy_from_slice(&x[from * inner..][..inner]),
                    _ => {
                        for (k, y) in line.iter_mut().enumerate() {
                            let sum: f64 = entries.iter().map(|&(from, w)| w * x[from * inner + k].to_f64()).sum();
                            *y = T::from_f64(sum);
                        }
                    }
                }
            }
        });
    });
    Ok(y)
}
