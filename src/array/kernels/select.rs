//! Selection whose ties fall as they do in PyTorch: which of several equal elements comes first is settled by the very
//! order of comparisons and exchanges, so the textbook algorithms are followed step by step.
//!
//! `topk` is the C++ library's `partial_sort`, or `nth_element` and then `sort` (introspective selection and sorting: D. R.
//! Musser, 1997, with a median of three and insertion into runs of 16), `kthvalue` is C. A. R. Hoare's selection with a median of three.

/// Runs shorter than this are left to insertion.
const RUN: usize = 16;

/// Brings the first `k` elements by `before` to the front, in order, as C++'s `partial_sort` does.
pub fn partial_sort<T: Copy>(x: &mut [T], k: usize, before: &impl Fn(&T, &T) -> bool) {
    heap_select(x, k, before);
    for end in (2..=k).rev() {
        let last = x[end - 1];
        x[end - 1] = x[0];
        sift(&mut x[..end - 1], 0, last, before);
    }
}

/// A heap of the first `k` elements by `before`, its root the last of them, in front of the rest.
fn heap_select<T: Copy>(x: &mut [T], k: usize, before: &impl Fn(&T, &T) -> bool) {
    if k >= 2 {
        for hole in (0..=(k - 2) / 2).rev() {
            let value = x[hole];
            sift(&mut x[..k], hole, value, before);
        }
    }
    for i in k..x.len() {
        if before(&x[i], &x[0]) {
            let value = x[i];
            x[i] = x[0];
            sift(&mut x[..k], 0, value, before);
        }
    }
}

/// Fills a hole of a heap with `value`: the hole sinks to a leaf first, and the value rises from there.
fn sift<T: Copy>(heap: &mut [T], top: usize, value: T, before: &impl Fn(&T, &T) -> bool) {
    let n = heap.len();
    let mut hole = top;
    while 2 * hole + 2 < n {
        let right = 2 * hole + 2;
        let child = if before(&heap[right], &heap[right - 1]) { right - 1 } else { right };
        heap[hole] = heap[child];
        hole = child;
    }
    if 2 * hole + 2 == n {
        heap[hole] = heap[n - 1];
        hole = n - 1;
    }
    while hole > top {
        let parent = (hole - 1) / 2;
        if !before(&heap[parent], &value) {
            break;
        }
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = value;
}

/// Brings the element that belongs at `nth` there, none after it before one in front of it, as C++'s `nth_element` does.
pub fn nth_element<T: Copy>(x: &mut [T], nth: usize, before: &impl Fn(&T, &T) -> bool) {
    let (mut low, mut high) = (0, x.len());
    let mut depth = 2 * x.len().checked_ilog2().unwrap_or(0);
    while high - low > 3 {
        if depth == 0 {
            heap_select(&mut x[low..high], nth + 1 - low, before);
            x.swap(low, nth);
            return;
        }
        depth -= 1;
        let cut = low + partition(&mut x[low..high], before);
        if cut <= nth { low = cut } else { high = cut }
    }
    insertion(&mut x[low..high], before);
}

/// Puts everything in order, as C++'s `sort` does.
pub fn sort<T: Copy>(x: &mut [T], before: &impl Fn(&T, &T) -> bool) {
    if x.is_empty() {
        return;
    }
    sort_to_runs(x, 2 * x.len().ilog2(), before);
    // What is left out of place lies within its run, so one insertion over all of it is what C++'s two passes do.
    insertion(x, before);
}

fn sort_to_runs<T: Copy>(x: &mut [T], mut depth: u32, before: &impl Fn(&T, &T) -> bool) {
    let mut end = x.len();
    while end > RUN {
        if depth == 0 {
            partial_sort(&mut x[..end], end, before);
            return;
        }
        depth -= 1;
        let cut = partition(&mut x[..end], before);
        sort_to_runs(&mut x[cut..end], depth, before);
        end = cut;
    }
}

/// Parts the elements after the first by a median of three, which goes first; says where the second part begins.
fn partition<T: Copy>(x: &mut [T], before: &impl Fn(&T, &T) -> bool) -> usize {
    let (a, b, c) = (1, x.len() / 2, x.len() - 1);
    let median = if before(&x[a], &x[b]) {
        if before(&x[b], &x[c]) {
            b
        } else if before(&x[a], &x[c]) {
            c
        } else {
            a
        }
    } else if before(&x[a], &x[c]) {
        a
    } else if before(&x[b], &x[c]) {
        c
    } else {
        b
    };
    x.swap(0, median);
    let pivot = x[0];
    let (mut left, mut right) = (1, x.len());
    loop {
        while before(&x[left], &pivot) {
            left += 1;
        }
        right -= 1;
        while before(&pivot, &x[right]) {
            right -= 1;
        }
        if left >= right {
            return left;
        }
        x.swap(left, right);
        left += 1;
    }
}

/// Insertion: equal elements keep their order.
fn insertion<T: Copy>(x: &mut [T], before: &impl Fn(&T, &T) -> bool) {
    for i in 1..x.len() {
        let value = x[i];
        let mut hole = i;
        while hole > 0 && before(&value, &x[hole - 1]) {
            x[hole] = x[hole - 1];
            hole -= 1;
        }
        x[hole] = value;
    }
}

/// Brings the element that belongs at `k` there, by Hoare's selection.
pub fn quickselect<T: Copy>(x: &mut [T], k: usize, before: &impl Fn(&T, &T) -> bool) {
    let (mut low, mut high) = (0, x.len().saturating_sub(1));
    loop {
        if high <= low {
            return;
        }
        if high == low + 1 {
            if before(&x[high], &x[low]) {
                x.swap(low, high);
            }
            return;
        }
        // The median of three goes first, the smallest second, the largest last: the walls of the two walks below.
        x.swap(low + (high - low) / 2, low + 1);
        for (i, j) in [(low + 1, high), (low, high), (low + 1, low)] {
            if before(&x[j], &x[i]) {
                x.swap(i, j);
            }
        }
        let pivot = x[low];
        let (mut i, mut j) = (low + 1, high);
        loop {
            i += 1;
            while before(&x[i], &pivot) {
                i += 1;
            }
            j -= 1;
            while before(&pivot, &x[j]) {
                j -= 1;
            }
            if j < i {
                break;
            }
            x.swap(i, j);
        }
        x.swap(low, j);
        if j <= k {
            low = i;
        }
        if j >= k {
            high = j - 1;
        }
    }
}
