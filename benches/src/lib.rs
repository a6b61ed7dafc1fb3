//! Criterion benchmarks of the simclr crates, in a package of their own, so that no library,
//! example or test of theirs compiles criterion.
//!
//! `cargo bench` at the root of the repository runs all of them, `cargo bench --bench nt_xent`
//! one of them, and `cargo bench -- --save-baseline before` keeps the timings to compare with.
