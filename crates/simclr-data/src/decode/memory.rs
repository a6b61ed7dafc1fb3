//! A bound on the memory of all pictures that are being decoded or worked on at a time.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Pictures that need more than this are decoded one at a time.
const LEAST_BUDGET: u64 = 1 << 30;
/// What each thread may have where there are many: a photograph of 16 megapixels.
const BUDGET_PER_THREAD: u64 = 96 << 20;
/// A pixel as the file stores it and as RGB.
const BYTES_PER_PIXEL: u64 = 6;
/// A thread that holds memory may wait for work that the waiting thread has taken from it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

static RESERVED: Mutex<u64> = Mutex::new(0);
static RELEASED: Condvar = Condvar::new();

thread_local! {
    /// What this thread has reserved, within [`hold_memory`].
    static HELD: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Does something with a picture that it decodes. The memory that decoding reserves counts as
/// taken until this ends; in nested calls, until the outermost does.
pub(crate) fn hold_memory<T>(work: impl FnOnce() -> T) -> T {
    if HELD.get().is_some() {
        return work();
    }
    HELD.set(Some(0));
    let _release = Release;
    work()
}

/// Waits until a picture's memory is free, unless the thread holds some already.
pub(super) fn reserve_memory(pixels: u64) {
    let Some(held) = HELD.get() else {
        return;
    };
    let bytes = pixels.saturating_mul(BYTES_PER_PIXEL);
    let budget = LEAST_BUDGET.max(BUDGET_PER_THREAD * rayon::current_num_threads() as u64);
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    if held == 0 {
        let is_full = |reserved: &mut u64| *reserved > 0 && *reserved + bytes > budget;
        let waited = RELEASED.wait_timeout_while(reserved, LONGEST_WAIT, is_full);
        reserved = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    *reserved += bytes;
    HELD.set(Some(held + bytes));
}

/// Gives back what the thread holds, after a panic too.
struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        let held = HELD.take().unwrap_or(0);
        *RESERVED.lock().unwrap_or_else(PoisonError::into_inner) -= held;
        RELEASED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{hold_memory, reserve_memory};

    #[test]
    fn large_pictures_are_there_one_at_a_time() {
        let (present, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            hold_memory(|| {
                reserve_memory(512_000_000);
                most.fetch_max(present.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Within, nothing waits.
                hold_memory(|| reserve_memory(512_000_000));
                std::thread::sleep(std::time::Duration::from_millis(5));
                present.fetch_sub(1, Ordering::SeqCst);
            });
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
        assert_eq!(most.into_inner(), 1);
    }
}
