//! Facts of indexing, gathering, scattering and sorting, held against plain loops over index tuples.

use arcgrad::array::pool;
use arcgrad::graph::Onto;
use arcgrad::ops::{self, Index, Reduce, Value};
use arcgrad::{DType, Tensor, engine};
use proptest::prelude::*;

/// A tensor of this shape that counts up, stored with its axes reversed, so that no stride is the row-major one.
fn counting(shape: &[usize]) -> Tensor {
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let n: usize = shape.iter().product();
    let x = Tensor::from_slice(&(0..n as i64).collect::<Vec<_>>(), &reversed).unwrap();
    ops::numpy_t(&x).unwrap()
}

fn values(x: &Tensor) -> Vec<i64> {
    x.to_vec().unwrap()
}

/// The row-major position of an index tuple.
fn flat(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (&n, &i)| at * n + i)
}

/// All index tuples of a shape in row-major order.
fn tuples(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for &n in shape {
        all = all.into_iter().flat_map(|t| (0..n).map(move |i| [&t[..], &[i]].concat())).collect();
    }
    all
}

fn wrap(i: i64, n: usize) -> usize {
    (if i < 0 { i + n as i64 } else { i }) as usize
}

proptest! {
    #[test]
    fn a_slice_is_what_python_says(n in 1_usize..7, start in -9_isize..9, end in -9_isize..9, step in 1_isize..4) {
        let x = counting(&[n, 2]);
        let y = ops::getitem(&x, &[Index::Slice { start: Some(start), end: Some(end), step }]).unwrap();
        let clamp = |i: isize| (if i < 0 { i + n as isize } else { i }).clamp(0, n as isize) as usize;
        let whole = values(&x);
        let want: Vec<i64> = (clamp(start)..clamp(end))
            .step_by(step as usize)
            .flat_map(|i| [whole[2 * i], whole[2 * i + 1]])
            .collect();
        prop_assert_eq!(values(&y), want);
        prop_assert!(y.is_view());
    }

    #[test]
    fn separated_index_tensors_put_their_axes_first(
        a in prop::collection::vec(-3_i64..3, 1..5), c in -4_i64..4,
    ) {
        let shape = [3, 2, 4];
        let x = counting(&shape);
        let first = Tensor::from_slice(&a, &[a.len()]).unwrap();
        let last = Tensor::from_slice(&[c], &[1]).unwrap();
        let whole = Index::Slice { start: None, end: None, step: 1 };
        let y = ops::getitem(&x, &[Index::Tensor(first), whole, Index::Tensor(last)]).unwrap();
        prop_assert_eq!(&y.shape()[..], &[a.len(), 2][..]);
        let source = values(&x);
        let want: Vec<i64> = tuples(&[a.len(), 2])
            .iter()
            .map(|t| source[flat(&shape, &[wrap(a[t[0]], 3), t[1], wrap(c, 4)])])
            .collect();
        prop_assert_eq!(values(&y), want);
    }

    #[test]
    fn neighbouring_index_tensors_stay_in_place(
        b in prop::collection::vec(-2_i64..2, 3), c in prop::collection::vec(-4_i64..4, 2),
    ) {
        let shape = [3, 2, 4, 2];
        let x = counting(&shape);
        let second = Tensor::from_slice(&b, &[3, 1]).unwrap();
        let third = Tensor::from_slice(&c, &[2]).unwrap();
        let key = [Index::Slice { start: None, end: None, step: 1 }, Index::Tensor(second), Index::Tensor(third)];
        let y = ops::getitem(&x, &key).unwrap();
        prop_assert_eq!(&y.shape()[..], &[3, 3, 2, 2][..]);
        let source = values(&x);
        let want: Vec<i64> = tuples(&[3, 3, 2, 2])
            .iter()
            .map(|t| source[flat(&shape, &[t[0], wrap(b[t[1]], 2), wrap(c[t[2]], 4), t[3]])])
            .collect();
        prop_assert_eq!(values(&y), want);
    }

    #[test]
    fn a_mask_is_its_nonzero_positions(mask in prop::collection::vec(any::<bool>(), 6)) {
        let x = counting(&[3, 2, 2]);
        let bits: Vec<i64> = mask.iter().map(|&b| i64::from(b)).collect();
        let truths = ops::to_dtype(&Tensor::from_slice(&bits, &[3, 2]).unwrap(), DType::Bool).unwrap();
        let by_mask = ops::getitem(&x, &[Index::Tensor(truths.clone())]).unwrap();
        let columns = ops::nonzero_tuple(&truths).unwrap();
        let by_columns = ops::getitem(&x, &columns.into_iter().map(Index::Tensor).collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(by_mask.shape(), by_columns.shape());
        prop_assert_eq!(values(&by_mask), values(&by_columns));
    }

    #[test]
    fn what_was_set_is_what_is_got(positions in prop::collection::hash_set(0_i64..4, 1..4), value in -9_i64..-1) {
        let positions: Vec<i64> = positions.into_iter().collect();
        let x = ops::clone(&counting(&[4, 3])).unwrap();
        let before = values(&x);
        let key = [Index::Tensor(Tensor::from_slice(&positions, &[positions.len()]).unwrap()), Index::Int(1)];
        ops::setitem(&x, &key, Value::Scalar(value.into())).unwrap();
        for (t, (old, new)) in tuples(&[4, 3]).iter().zip(before.into_iter().zip(values(&x))) {
            let written = t[1] == 1 && positions.contains(&(t[0] as i64));
            prop_assert_eq!(new, if written { value } else { old });
        }
    }

    #[test]
    fn gather_and_scatter_are_what_their_formulas_say(
        axis in 0_usize..2, index in prop::collection::vec(0_i64..3, 6),
    ) {
        let shape = [3, 3];
        let small = if axis == 0 { [2, 3] } else { [3, 2] };
        let x = counting(&shape);
        let at = Tensor::from_slice(&index, &small).unwrap();
        let source = values(&x);
        let place = |t: &[usize]| {
            let mut p = t.to_vec();
            p[axis] = index[flat(&small, t)] as usize;
            flat(&shape, &p)
        };
        let want: Vec<i64> = tuples(&small).iter().map(|t| source[place(t)]).collect();
        prop_assert_eq!(values(&ops::gather(&x, axis as isize, &at).unwrap()), want);

        let src = counting(&small);
        let given = values(&src);
        for (reduce, start, combine) in [
            (Reduce::Sum, 0, (|a, b| a + b) as fn(i64, i64) -> i64),
            (Reduce::Prod, 1, |a, b| a * b),
            (Reduce::Amax, i64::MIN, i64::max),
            (Reduce::Amin, i64::MAX, i64::min),
        ] {
            for include_self in [true, false] {
                let mut want = source.clone();
                if !include_self {
                    for t in &tuples(&small) {
                        want[place(t)] = start;
                    }
                }
                for t in tuples(&small) {
                    want[place(&t)] = combine(want[place(&t)], given[flat(&small, &t)]);
                }
                let y = ops::scatter_reduce(&x, axis as isize, &at, &src, reduce, include_self).unwrap();
                prop_assert_eq!(values(&y), want);
            }
        }
    }

    #[test]
    fn sorting_is_stable_and_puts_nan_last(mut line in prop::collection::vec(-3_i8..3, 1..20)) {
        line[0] = 3;
        let number = |&v: &i8| if v == 3 { f64::NAN } else { f64::from(v) };
        let x: Vec<f64> = line.iter().map(number).collect();
        let (_, order) = ops::sort(&Tensor::from_slice(&x, &[x.len()]).unwrap(), 0, false, true).unwrap();
        let mut want: Vec<i64> = (0..line.len() as i64).collect();
        want.sort_by_key(|&i| line[i as usize]);
        prop_assert_eq!(values(&order), want);
    }

    #[test]
    fn topk_is_the_head_of_sort(line in prop::collection::vec(-3_i64..3, 1..20), share in 0.0..1.0_f64, largest: bool) {
        let k = (share * line.len() as f64) as usize;
        let x = Tensor::from_slice(&line, &[line.len()]).unwrap();
        let (top, places) = ops::topk(&x, k as isize, 0, largest, true).unwrap();
        let (sorted, _) = ops::sort(&x, 0, largest, true).unwrap();
        prop_assert_eq!(values(&top), &values(&sorted)[..k]);
        let places = values(&places);
        prop_assert_eq!(places.iter().map(|&i| line[i as usize]).collect::<Vec<_>>(), values(&top));
        prop_assert_eq!(places.iter().collect::<std::collections::HashSet<_>>().len(), k);
    }

    #[test]
    fn unique_puts_the_input_back_together(line in prop::collection::vec(-3_i64..3, 0..20)) {
        let x = Tensor::from_slice(&line, &[line.len()]).unwrap();
        let found = ops::unique(&x, None).unwrap();
        let kinds = values(&found.values);
        prop_assert!(kinds.windows(2).all(|w| w[0] < w[1]));
        prop_assert_eq!(values(&found.inverse).iter().map(|&i| kinds[i as usize]).collect::<Vec<_>>(), line.clone());
        let counts: Vec<i64> = kinds.iter().map(|k| line.iter().filter(|v| *v == k).count() as i64).collect();
        prop_assert_eq!(values(&found.counts), counts);
    }

    #[test]
    fn searchsorted_counts_what_lies_before(mut line in prop::collection::vec(-5_i64..5, 0..12), value in -6_i64..6) {
        line.sort_unstable();
        let sequence = Tensor::from_slice(&line, &[line.len()]).unwrap();
        let value_tensor = Tensor::from_slice(&[value], &[1]).unwrap();
        let at = |right| values(&ops::searchsorted(&sequence, &value_tensor, right, None, false).unwrap())[0];
        prop_assert_eq!(at(false), line.iter().filter(|&&v| v < value).count() as i64);
        prop_assert_eq!(at(true), line.iter().filter(|&&v| v <= value).count() as i64);
    }

    #[test]
    fn a_repeat_is_its_tiles(r in 0_isize..3, s in 0_isize..3) {
        let x = counting(&[2, 3]);
        let y = ops::repeat(&x, &[r, s]).unwrap();
        let source = values(&x);
        let shape = [2 * r as usize, 3 * s as usize];
        let want: Vec<i64> = tuples(&shape).iter().map(|t| source[flat(&[2, 3], &[t[0] % 2, t[1] % 3])]).collect();
        prop_assert_eq!(values(&y), want);
    }
}

/// Floats whose sum depends on the order they are added in.
fn unequal(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 2_654_435_761) % 1_000_003) as f32 * 1e-3 - 400.0).collect()
}

#[test]
fn sums_at_repeated_places_do_not_depend_on_threads() {
    let (rows, width, places) = (50_000, 8, 97);
    let src = Tensor::from_slice(&unequal(rows * width), &[rows, width]).unwrap();
    let index: Vec<i64> = (0..rows).map(|i| ((i * 31) % places) as i64).collect();
    let index = Tensor::from_slice(&index, &[rows]).unwrap();
    let zeros = Tensor::zeros(&[places, width], DType::F32).unwrap();
    let wide = ops::expand(&ops::unsqueeze(&index, 1).unwrap(), &[-1, width as isize]).unwrap();
    let run = || {
        let added = ops::index_add(Onto::Copy, &zeros, 0, &index, &src, 1_i64.into()).unwrap();
        let put = ops::index_put(&zeros, &[Some(index.clone())], &src, true).unwrap();
        let scattered = ops::scatter_add(&zeros, 0, &wide, &src).unwrap();
        [added, put, scattered]
            .map(|y| y.to_vec::<f32>().unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let parallel = run();
    let serial = pool::serially(run);
    assert_eq!(parallel, serial);
    // In the order of the positions, as a plain loop adds them.
    let mut want = vec![0.0_f32; places * width];
    for (i, row) in unequal(rows * width).chunks(width).enumerate() {
        let at = (i * 31) % places * width;
        want[at..at + width].iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
    }
    let want: Vec<u32> = want.iter().map(|v| v.to_bits()).collect();
    assert!(parallel.iter().all(|found| *found == want));
}

#[test]
fn a_write_through_a_view_changes_the_gradient_of_its_base() {
    let x = Tensor::from_slice(&[1.0_f64, 2.0, 3.0, 4.0], &[2, 2]).unwrap().requires_grad_(true).unwrap();
    let v = Tensor::from_slice(&[5.0_f64, 6.0], &[2]).unwrap().requires_grad_(true).unwrap();
    let y = ops::mul(&x, 2.0).unwrap();
    ops::setitem(&y, &[Index::Int(0)], Value::Tensor(&v)).unwrap();
    let z = ops::mul(&y, &y).unwrap();
    let ones = Tensor::ones(&[2, 2], DType::F64).unwrap();
    engine::backward(vec![engine::root(&z, 0, Some(&ones)).unwrap()], None, engine::Options::default())
        .unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [0.0, 0.0, 24.0, 32.0]);
    assert_eq!(v.grad().unwrap().to_vec::<f64>().unwrap(), [10.0, 12.0]);
}

#[test]
fn a_part_is_not_copied_onto_another_part_that_it_overlaps() {
    let x = Tensor::from_slice(&[1_i64, 2, 3, 4, 5], &[5]).unwrap();
    let head = ops::slice(&x, 0, None, Some(4), 1).unwrap();
    let tail = Index::Slice { start: Some(1), end: None, step: 1 };
    let refusal = ops::setitem(&x, &[tail], Value::Tensor(&head)).unwrap_err().to_string();
    assert!(refusal.contains("refer to a single memory location. Please clone()"), "{refusal}");
    assert_eq!(values(&x), [1, 2, 3, 4, 5]);
    let apart = ops::slice(&x, 0, None, Some(1), 1).unwrap();
    let last = Index::Slice { start: Some(4), end: None, step: 1 };
    ops::setitem(&x, &[last], Value::Tensor(&apart)).unwrap();
    assert_eq!(values(&x), [1, 2, 3, 4, 1]);
}

#[test]
fn places_that_do_not_exist_are_refused() {
    let x = counting(&[3, 2]);
    let at = |i: i64| Index::Tensor(Tensor::from_slice(&[i], &[1]).unwrap());
    let message = |key: &[Index]| ops::getitem(&x, key).unwrap_err().to_string();
    assert_eq!(
        message(&[Index::Int(3)]),
        "index 3 is out of bounds for dimension 0 with size 3 (the shape is [3, 2])"
    );
    assert_eq!(message(&[Index::Int(0), at(-3)]), "index -3 is out of bounds for dimension 0 with size 2");
    assert_eq!(message(&[at(0), at(0), at(0)]), "too many indices for tensor of dimension 2");
    assert!(
        message(&[Index::Slice { start: None, end: None, step: 0 }])
            .contains("step must be greater than zero")
    );
}
