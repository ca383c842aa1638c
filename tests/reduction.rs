//! Facts of reductions and scans: values against plain double sums, layouts, empty sizes, NaN, and bits on any number of threads.

use arcgrad::array::kernels::reduce::{self, AxisSet};
use arcgrad::array::{Array, pool};
use arcgrad::{DType, Tensor, ops};
use proptest::prelude::*;

/// Numbers of mixed magnitude and sign, the same ones for the same seed.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * if state & 1 == 0 { 1.0 } else { 30.0 }
        })
        .collect()
}

/// An array of this shape, its axes stored in the given order.
fn stored(shape: &[usize], order: &[usize], seed: u64) -> Array {
    let stored: Vec<usize> = order.iter().map(|&a| shape[a]).collect();
    let values = numbers(shape.iter().product(), seed);
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &a)| back[a] = i);
    Array::from_slice(&values, &stored).unwrap().permute(&back).unwrap()
}

/// For each output in row-major order, the numbers it is made from in row-major order.
fn groups(x: &Array, axes: AxisSet) -> Vec<Vec<f64>> {
    let values = x.to_vec::<f64>().unwrap();
    let kept = reduce::shape_of(x.shape(), axes, true);
    let mut groups = vec![Vec::new(); kept.iter().product()];
    for (i, v) in values.into_iter().enumerate() {
        let (mut rest, mut place, mut step) = (i, 0, 1);
        for axis in (0..x.ndim()).rev() {
            let index = rest % x.shape()[axis];
            rest /= x.shape()[axis];
            if !axes.contains(axis) {
                place += index * step;
                step *= x.shape()[axis];
            }
        }
        groups[place].push(v);
    }
    groups
}

fn cases() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, AxisSet, u64)> {
    let size = prop_oneof![3 => 1_usize..5, 2 => 5_usize..40, 1 => 60_usize..150];
    prop::collection::vec(size, 1..4).prop_flat_map(|shape| {
        let n = shape.len();
        let order = Just((0..n).collect::<Vec<_>>()).prop_shuffle();
        (Just(shape), order, (0..1_u64 << n).prop_map(AxisSet), any::<u64>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn sums_of_any_layout_are_near_the_sums_in_doubles((shape, order, axes, seed) in cases()) {
        let x = stored(&shape, &order, seed);
        let y = reduce::sum_over(&x, axes, false, DType::F32).unwrap().to_vec::<f64>().unwrap();
        for (y, group) in y.iter().zip(groups(&x, axes)) {
            let exact: f64 = group.iter().sum();
            let size: f64 = group.iter().map(|v| v.abs()).sum();
            // At most 32 additions in a lane, six of lanes, and one rounding of the result.
            prop_assert!((y - exact).abs() <= 39.0 * f64::from(f32::EPSILON) / 2.0 * size, "{y} {exact}");
        }
    }

    #[test]
    fn extremes_and_their_positions_agree_with_a_search((shape, order, axes, seed) in cases()) {
        let x = stored(&shape, &order, seed);
        let max = reduce::max(&x, axes, false).unwrap().to_vec::<f64>().unwrap();
        let argmin = reduce::argmin(&x, axes, false).unwrap().to_vec::<i64>().unwrap();
        for ((max, argmin), group) in max.iter().zip(argmin).zip(groups(&x, axes)) {
            prop_assert_eq!(*max, group.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            let least = group.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert_eq!(argmin as usize, group.iter().position(|v| *v == least).unwrap());
        }
    }

    #[test]
    fn variances_are_near_those_in_doubles((shape, order, axes, seed) in cases()) {
        let x = stored(&shape, &order, seed);
        let y = reduce::spread(&x, axes, false, reduce::Moment::Variance, 0.0).unwrap().to_vec::<f64>().unwrap();
        for (y, group) in y.iter().zip(groups(&x, axes)) {
            let mean = group.iter().sum::<f64>() / group.len() as f64;
            let exact = group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / group.len() as f64;
            let largest = group.iter().map(|v| v * v).fold(0.0, f64::max);
            prop_assert!((y - exact).abs() <= 1e-5 * exact + 1e-12 * largest, "{y} {exact}");
        }
    }

    #[test]
    fn softmax_sums_to_one_along_any_axis((shape, order, _, seed) in cases(), axis in 0_usize..3) {
        let axis = axis % shape.len();
        let x = Tensor::new(stored(&shape, &order, seed));
        let y = ops::softmax(&x, axis as isize, None).unwrap();
        let logs = ops::log_softmax(&x, axis as isize, None).unwrap().to_vec::<f64>().unwrap();
        for (y, log) in y.to_vec::<f64>().unwrap().iter().zip(logs) {
            prop_assert!((y - log.exp()).abs() <= 2e-6 + 1e-5 * y);
        }
        let sums = ops::sum(&y, Some(&[axis as isize]), false, None).unwrap().to_vec::<f64>().unwrap();
        prop_assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-5));
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let before = pool::num_threads();
    let shapes: [(&[usize], &[usize], u64); 5] = [
        (&[300_001], &[0], 1),
        (&[700, 301], &[0, 1], 1),
        (&[700, 301], &[0, 1], 2),
        (&[60, 70, 50], &[2, 0, 1], 5),
        (&[90_000, 3], &[0, 1], 1),
    ];
    for (shape, order, axes) in shapes {
        let x = stored(shape, order, 7);
        let bits = || {
            let axes = AxisSet(axes);
            let t = Tensor::new(x.clone());
            [
                reduce::sum_over(&x, axes, false, DType::F32).unwrap(),
                reduce::spread(&x, axes, false, reduce::Moment::Deviation, 1.0).unwrap(),
                reduce::logsumexp(&x, axes, false).unwrap(),
                ops::softmax(&t, 0, None).unwrap().array(),
                ops::cumsum(&t, -1, None).unwrap().array(),
            ]
            .map(|y| y.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        pool::set_num_threads(1);
        let expected = bits();
        for threads in [2, 3, 4, 8] {
            pool::set_num_threads(threads);
            assert_eq!(bits(), expected, "{threads} threads, shape {shape:?}");
        }
    }
    pool::set_num_threads(before);
}

#[test]
fn ten_million_ones_sum_to_ten_million() {
    let x = Array::full(&[10_000_000], 1.0.into(), DType::F32).unwrap();
    assert_eq!(reduce::sum(&x, &[0], DType::F32).unwrap().to_vec::<f32>().unwrap(), [1e7]);
}

#[test]
fn nan_is_the_largest_and_the_smallest_and_the_first_of_them_is_found() {
    let mut values = numbers(1000, 3);
    (values[700], values[900]) = (f32::NAN, f32::NAN);
    for shape in [[1000, 1], [10, 100], [100, 10]] {
        let x = Tensor::from_slice(&values, &shape).unwrap();
        assert!(ops::max(&x).unwrap().item().unwrap().to_f64().is_nan());
        assert!(ops::min(&x).unwrap().item().unwrap().to_f64().is_nan());
        assert_eq!(ops::argmax(&x, None, false).unwrap().to_vec::<i64>().unwrap(), [700]);
        assert_eq!(ops::argmin(&x, None, false).unwrap().to_vec::<i64>().unwrap(), [700]);
        let (values, places) = ops::max_dim(&x, 0, false).unwrap();
        for (value, place) in values.to_vec::<f32>().unwrap().iter().zip(places.to_vec::<i64>().unwrap()) {
            assert_eq!(
                value.is_nan(),
                [700, 900].iter().any(|i| place as usize == i / shape[1]) && value.is_nan()
            );
        }
    }
}

#[test]
fn equal_values_share_the_gradient_of_amax_but_not_of_max_along_an_axis() {
    let gradient = |f: fn(&Tensor) -> arcgrad::Result<Tensor>| {
        let x = Tensor::from_slice(&[1.0_f64, 3.0, 3.0, 2.0], &[4]).unwrap().requires_grad_(true).unwrap();
        let root = arcgrad::engine::root(&f(&x).unwrap(), 0, None).unwrap();
        arcgrad::engine::backward(vec![root], None, arcgrad::engine::Options::default()).unwrap();
        x.grad().unwrap().to_vec::<f64>().unwrap()
    };
    assert_eq!(gradient(|x| ops::amax(x, None, false)), [0.0, 0.5, 0.5, 0.0]);
    assert_eq!(gradient(ops::max), [0.0, 0.5, 0.5, 0.0]);
    assert_eq!(gradient(|x| Ok(ops::max_dim(x, 0, false)?.0)), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(gradient(|x| ops::vector_norm(&ops::sub(x, x)?, 2.0, None, false, None)), [0.0; 4]);
}

#[test]
fn nothing_sums_to_zero_multiplies_to_one_and_has_no_largest() {
    let x = Tensor::zeros(&[0, 3], DType::F32).unwrap();
    assert_eq!(ops::sum(&x, Some(&[0]), false, None).unwrap().to_vec::<f32>().unwrap(), [0.0; 3]);
    assert_eq!(ops::prod(&x, Some(0), false, None).unwrap().to_vec::<f32>().unwrap(), [1.0; 3]);
    assert!(ops::mean(&x, None, false, None).unwrap().item().unwrap().to_f64().is_nan());
    assert!(ops::var(&x, None, 1.0, false).unwrap().item().unwrap().to_f64().is_nan());
    assert_eq!(
        ops::logsumexp(&x, Some(&[0]), false).unwrap().to_vec::<f32>().unwrap(),
        [f32::NEG_INFINITY; 3]
    );
    assert!(ops::max(&x).unwrap_err().to_string().contains("Expected reduction dim to be specified"));
    let error = ops::max_dim(&x, 0, false).unwrap_err().to_string();
    assert_eq!(error, "max(): Expected reduction dim 0 to have non-zero size.");
    assert_eq!(ops::max_dim(&x, 1, false).unwrap().0.shape()[..], [0]);
}

#[test]
fn integers_are_summed_in_64_bits_and_have_no_mean() {
    let x = Tensor::from_slice(&[i32::MAX, i32::MAX], &[2]).unwrap();
    let y = ops::sum(&x, None, false, None).unwrap();
    assert_eq!((y.dtype(), y.to_vec::<i64>().unwrap()), (DType::I64, vec![2 * i64::from(i32::MAX)]));
    let error = ops::mean(&x, None, false, None).unwrap_err().to_string();
    assert!(error.contains("could not infer output dtype"), "{error}");
}
