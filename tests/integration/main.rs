//! The integration tests of the crate, in one program.

mod bad_input;
mod core_log;
mod distillation;
mod end_to_end;
mod experiment_2_freezing;
mod experiments;
mod faults;
mod fine_tuning;
mod identity;
mod mixed_precision;
mod original_flags;
