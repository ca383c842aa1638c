//! Facts of products with gathered rows: the right sums wherever the rows lie, and bits that depend on nothing else.

use arcgrad::array::kernels::product::{Lines, Product, SLACK, gemm_gathered};
use proptest::prelude::*;

use super::{Float, Lie, any_lie, layout, numbers};

/// Where the operands of one product lie.
#[derive(Clone, Debug)]
struct Case {
    m: usize,
    lines: Lines,
    lie: Lie,
    starts: Vec<usize>,
    c_row: usize,
}

impl Case {
    fn a_length(&self) -> usize {
        layout(self.lie, self.m, self.starts.len()).length
    }

    /// Where in B the element of this row, line and column is.
    fn b(&self, row: usize, line: usize, column: usize) -> usize {
        self.starts[row] + line * self.lines.b_step + column
    }

    fn b_length(&self) -> usize {
        let last = self.lines.count.saturating_sub(1) * self.lines.b_step + self.lines.length;
        self.starts.iter().max().unwrap_or(&0) + last + SLACK
    }

    /// Where in C the element of this row, line and column is.
    fn c(&self, row: usize, line: usize, column: usize) -> usize {
        row * self.c_row + line * self.lines.c_step + column
    }

    /// Row, line and column of each element of C.
    fn elements(&self) -> Vec<[usize; 3]> {
        let Lines { count, length, .. } = self.lines;
        let columns = (0..count).flat_map(|line| (0..length).map(move |column| [line, column]));
        (0..self.m).flat_map(|i| columns.clone().map(move |[line, column]| [i, line, column])).collect()
    }

    fn c_length(&self) -> usize {
        self.elements().iter().map(|&[i, line, column]| self.c(i, line, column) + 1).max().unwrap_or(0)
    }

    /// B with numbers where some element of C needs one, and elsewhere something else.
    fn b_with<T: Copy>(&self, needed: &[T], other: T) -> Vec<T> {
        let mut b = vec![other; self.b_length()];
        for row in 0..self.starts.len() {
            for line in 0..self.lines.count {
                for column in 0..self.lines.length {
                    let at = self.b(row, line, column);
                    b[at] = needed[at];
                }
            }
        }
        b
    }

    /// All of C, which held `before` in every place, of which nothing is kept.
    fn product<T: Product>(&self, a: &[T], b: &[T], before: T) -> Vec<T> {
        self.product_added(a, b, T::ZERO, before)
    }

    /// All of C, which held `before` in every place, of which `beta` times as much is kept.
    fn product_added<T: Product>(&self, a: &[T], b: &[T], beta: T, before: T) -> Vec<T> {
        let mut c = vec![before; self.c_length()];
        let a = layout(self.lie, self.m, self.starts.len()).of(a);
        // SAFETY: C has room for each element, and they are apart.
        unsafe { gemm_gathered(self.m, self.lines, a, b, &self.starts, beta, c.as_mut_ptr(), self.c_row) };
        c
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let length = prop_oneof![0..4_usize, 4..40_usize, 40..100_usize];
    let depth = prop_oneof![0..10_usize, 10..80_usize, 250..270_usize];
    let sizes = (0..30_usize, 0..5_usize, length, depth);
    // Lines of B may overlap and be all one line.
    let steps = (0..120_usize, 0..4_usize, any::<bool>());
    (sizes, steps, any_lie(), any::<u64>()).prop_map(
        |((m, count, length, depth), (b_step, gap, by_line), lie, seed)| {
            let starts = numbers(depth, seed).into_iter().map(|x| ((x + 1.0) * 60.0) as usize).collect();
            // The lines of a row lie together, or the rows of a line do.
            let (c_step, c_row) = if by_line {
                (m * (length + gap), length + gap)
            } else {
                (length + gap, count * (length + gap) + gap)
            };
            Case { m, lines: Lines { count, length, b_step, c_step }, lie, starts, c_row }
        },
    )
}

/// A product against sums in double precision, which in any order err by at most about `k eps sum |a b|`. Neither what C
/// held nor what B holds elsewhere takes part, and nothing is written between C's elements.
fn check<T: Float>(case: &Case) -> Result<(), TestCaseError> {
    let [a, needed] = [(case.a_length(), 1), (case.b_length(), 2)]
        .map(|(length, seed)| numbers(length, seed).into_iter().map(T::rounded).collect::<Vec<_>>());
    let b = case.b_with(&needed, T::rounded(f64::NAN));
    let mut c = case.product(&a, &b, T::rounded(f64::NAN));
    let k = case.starts.len();
    for [i, line, column] in case.elements() {
        let (mut sum, mut size) = (0.0, 0.0);
        for p in 0..k {
            let at = layout(case.lie, case.m, k).at(i, p);
            let term: f64 = a[at].into() * b[case.b(p, line, column)].into();
            sum += term;
            size += term.abs();
        }
        let at = case.c(i, line, column);
        let result: f64 = c[at].into();
        let bound = k as f64 * T::EPSILON * size;
        prop_assert!(
            (result - sum).abs() <= bound,
            "C[{i}, {line}, {column}] = {result}, not {sum} within {bound}"
        );
        c[at] = T::rounded(f64::NAN);
    }
    prop_assert!(c.into_iter().all(|x| x.into().is_nan()), "wrote between C's elements");
    Ok(())
}

/// What C held counts as often as it should: beside sums of whole numbers, which are exact in any order.
fn check_added<T: Float>(case: &Case, beta: f64) -> Result<(), TestCaseError> {
    let [a, b] = [(case.a_length(), 1), (case.b_length(), 2)].map(|(length, seed)| {
        numbers(length, seed).into_iter().map(|x| T::rounded((x * 9.0).round())).collect::<Vec<_>>()
    });
    let sums = case.product(&a, &b, T::rounded(0.0));
    let added = case.product_added(&a, &b, T::rounded(beta), T::rounded(24.0));
    for [i, line, column] in case.elements() {
        let at = case.c(i, line, column);
        let [sum, added]: [f64; 2] = [sums[at].into(), added[at].into()];
        prop_assert!(
            added == sum + beta * 24.0,
            "C[{i}, {line}, {column}] = {added}, not {sum} + {beta} * 24"
        );
    }
    Ok(())
}

fn check_integers(case: &Case) -> Result<(), TestCaseError> {
    macro_rules! each {
        ($($t:ty),*) => {$({
            let [a, b] = [(case.a_length(), 4), (case.b_length(), 5)]
                .map(|(length, seed)| numbers(length, seed).into_iter().map(|x| (x * 9e18) as i64 as $t).collect::<Vec<_>>());
            let mut c = case.product(&a, &b, 77);
            let la = layout(case.lie, case.m, case.starts.len());
            for [i, line, column] in case.elements() {
                let terms = (0..case.starts.len()).map(|p| a[la.at(i, p)].wrapping_mul(b[case.b(p, line, column)]));
                let at = case.c(i, line, column);
                prop_assert_eq!(c[at], terms.fold(0, <$t>::wrapping_add));
                c[at] = 77;
            }
            prop_assert!(c.iter().all(|&x| x == 77), "wrote between C's elements");
        })*};
    }
    each!(i8, u8, i16, i32, i64);
    Ok(())
}

/// Rows shared out to threads, and lines cut in two: the parts have the bits of the whole.
fn check_parts<T: Float + Send + Sync>(case: &Case, cut: usize) -> Result<(), TestCaseError> {
    /// A pointer to elements of which each thread writes its own.
    #[derive(Clone, Copy)]
    struct Shared<T>(*mut T);
    // SAFETY: threads write to elements of their own.
    unsafe impl<T> Send for Shared<T> {}
    impl<T> Shared<T> {
        fn at(self, place: usize) -> *mut T {
            self.0.wrapping_add(place)
        }
    }
    let [a, b] = [(case.a_length(), 1), (case.b_length(), 2)]
        .map(|(length, seed)| numbers(length, seed).into_iter().map(T::rounded).collect::<Vec<_>>());
    let bits = |c: Vec<T>| c.into_iter().map(|x| x.into().to_bits()).collect::<Vec<_>>();
    let whole = bits(case.product(&a, &b, T::rounded(0.5)));
    let matrix = layout(case.lie, case.m, case.starts.len()).of(&a);
    let cut = cut.min(case.lines.length);
    for threads in 1..=3 {
        let mut c = vec![T::rounded(0.5); case.c_length()];
        let to = Shared(c.as_mut_ptr());
        let share = case.m.div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            for first in (0..case.m).step_by(share) {
                let b = &b;
                scope.spawn(move || {
                    for (start, length) in [(0, cut), (cut, case.lines.length - cut)] {
                        let lines = Lines { length, ..case.lines };
                        let c = to.at(first * case.c_row + start);
                        let rows = share.min(case.m - first);
                        // SAFETY: C has room for each element, and these rows are this thread's alone.
                        unsafe {
                            gemm_gathered(
                                rows,
                                lines,
                                matrix.from_row(first),
                                &b[start..],
                                &case.starts,
                                T::rounded(0.0),
                                c,
                                case.c_row,
                            );
                        }
                    }
                });
            }
        });
        prop_assert!(bits(c) == whole, "{threads} threads, lines cut at {cut}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn elements_are_the_sums_they_should_be(case in any_case()) {
        check::<f32>(&case)?;
        check::<f64>(&case)?;
    }

    #[test]
    fn what_c_held_is_added(case in any_case(), beta in prop_oneof![Just(1.0), Just(-0.5)]) {
        check_added::<f32>(&case, beta)?;
        check_added::<f64>(&case, beta)?;
    }

    #[test]
    fn integers_wrap_and_are_exact(case in any_case()) {
        check_integers(&case)?;
    }

    #[test]
    fn bits_depend_on_neither_threads_nor_neighbours(case in any_case(), cut in 0..100_usize) {
        check_parts::<f32>(&case, cut)?;
        check_parts::<f64>(&case, cut)?;
    }
}

/// Two rows of B that begin at 0 and at 4, with lines of 3, in memory that is just long enough.
fn smallest() -> Case {
    let lines = Lines { count: 2, length: 3, b_step: 5, c_step: 3 };
    Case { m: 1, lines, lie: Lie::Rows, starts: vec![0, 4], c_row: 6 }
}

#[test]
fn a_row_of_b_without_slack_behind_it_is_refused() {
    let case = smallest();
    let b = vec![1.0_f32; case.b_length()];
    assert_eq!(case.product(&[1.0, 2.0], &b, 0.0), [3.0; 6]);
    let refused = std::panic::catch_unwind(|| case.product(&[1.0, 2.0], &b[1..], 0.0));
    let words = *refused.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(words, "B reaches outside its memory");
}

#[test]
#[should_panic(expected = "A reaches outside its memory")]
fn a_matrix_with_fewer_columns_than_rows_begin_is_refused() {
    let case = smallest();
    case.product(&[1.0_f32], &vec![1.0; case.b_length()], 0.0);
}
