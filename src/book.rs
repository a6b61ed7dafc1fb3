//! The programs of the README and of the book, compiled by the documentation's tests.

#[doc = include_str!("../README.md")]
struct Readme;

#[doc = include_str!("../docs/tour.md")]
struct Tour;

#[doc = include_str!("../docs/own-folder.md")]
struct OwnFolder;

#[doc = include_str!("../docs/core-log.md")]
struct CoreLog;

#[doc = include_str!("../docs/depth.md")]
struct Depth;

#[doc = include_str!("../docs/experiments.md")]
struct Experiments;

#[doc = include_str!("../docs/checkpoints.md")]
struct Checkpoints;

#[doc = include_str!("../docs/reliability.md")]
struct Reliability;

#[doc = include_str!("../docs/distributed.md")]
struct Distributed;

#[doc = include_str!("../docs/embedding.md")]
struct Embedding;

#[doc = include_str!("../docs/kernels.md")]
struct Kernels;

#[doc = include_str!("../docs/architecture.md")]
struct Architecture;

#[doc = include_str!("../docs/performance.md")]
struct Performance;
