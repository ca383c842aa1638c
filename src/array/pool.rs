//! The pool (on its way).
/// serial
pub fn for_each(count: usize, body: &(dyn Fn(usize) + Sync)) {
    for i in 0..count {
        body(i)
    }
}
/// threads
pub fn num_threads() -> usize {
    1
}
