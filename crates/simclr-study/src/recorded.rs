//! Finished studies, side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::Deserialize;
use simclr_data::Seed;
use simclr_eval::metrics::ClassificationReport;
use simclr_files::read_json;
use simclr_report::{Report, Table};

use crate::cell::Cell;
use crate::cell_result::{CellResult, Evaluation, NetworkEvaluation};
use crate::comparison::{CellImages, Comparison, MethodResults};
use crate::error::{Error, Result};
