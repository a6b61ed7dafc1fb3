//! Memory that the kernels hold can be given back.
//!
//! In a binary of its own, because the pool belongs to the process.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "integration/support/mod.rs"]
mod support;

use candle_core::Var;
use simclr_kernels::{Conv2dConfig, backward, conv2d, recycle, release_memory};
use support::values;

#[test]
fn idle_memory_and_recycled_gradients_are_released() {
    let x = Var::from_tensor(&values("x", &[4, 16, 16, 64])).unwrap();
    let kernel = Var::from_tensor(&values("kernel", &[3, 3, 64, 64])).unwrap();
    let step = || {
        let y = conv2d(&x, &kernel, Conv2dConfig::same()).unwrap();
        backward(&y.sqr().unwrap().sum_all().unwrap()).unwrap()
    };
    recycle(step()).unwrap();
    // The gradients of kernel and input, at least.
    let least = (3 * 3 * 64 * 64 + 4 * 16 * 16 * 64) * size_of::<f32>();
    let released = release_memory();
    assert!(released >= least, "{released} of at least {least} bytes");
    assert_eq!(release_memory(), 0);
    // The next step allocates anew and finds the same.
    let gradients = step();
    assert!(gradients.get(&kernel).is_some());
}
