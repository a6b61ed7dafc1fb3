//! Optimizers, schedules, training loops, probes, metrics and run folders for SimCLR
