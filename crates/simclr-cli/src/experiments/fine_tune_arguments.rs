//! The settings of fine-tuning with labels as options.

use clap::Args;
use simclr_model::Freeze;
use simclr_study::{Protocol, paper};

use crate::options::first_given;
use crate::terminal::AnyResult;

/// Fine-tuning with labels, beside the probes. What is not given is the preset's.
#[derive(Debug, Clone, Args)]
pub(crate) struct FineTuneArguments {
    /// Also fine-tune each trained network with the labels: -1 the whole of it, k what comes
    /// after block group k; several separated by commas.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    fine_tune: Option<Vec<Freeze>>,
    /// Epochs of fine-tuning with all labels; up to four times as many with fewer.
    #[arg(long)]
    fine_tune_epochs: Option<usize>,
    /// Learning rate of fine-tuning, before scaling.
    #[arg(long)]
    fine_tune_learning_rate: Option<f64>,
    /// Images per step of fine-tuning; all of them if there are fewer labels.
    #[arg(long)]
    fine_tune_batch_size: Option<usize>,
    /// Fine-tune with Adam at 0.001 in batches of 50, as the tiny preset does: for a few
    /// hundred images.
    #[arg(long)]
    fine_tune_adam: bool,
    /// On which level of the projection head the classifier stands: 0 is the encoder's output,
    /// k that of layer k, -1 that of the last layer.
    #[arg(long, allow_hyphen_values = true)]
    ft_proj_selector: Option<i64>,
}

impl FineTuneArguments {
    /// The protocol with the options put over it.
    ///
    /// # Errors
    /// An option that says how networks are fine-tuned where none is.
    pub(crate) fn over(&self, mut protocol: Protocol) -> AnyResult<Protocol> {
        if let Some(freeze) = &self.fine_tune {
            protocol.fine_tune_freeze.clone_from(freeze);
        }
        if protocol.fine_tune_freeze.is_empty() {
            self.refuse_settings()?;
        }
        if self.fine_tune_adam {
            protocol.fine_tuning = paper::with_adam(protocol.fine_tuning);
        }
        let config = &mut protocol.fine_tuning;
        let schedule = &mut config.schedule;
        schedule.epochs = self.fine_tune_epochs.unwrap_or(schedule.epochs);
        if let Some(rate) = self.fine_tune_learning_rate {
            schedule.learning_rate = rate;
        }
        config.batch_size = self.fine_tune_batch_size.unwrap_or(config.batch_size);
        if let Some(level) = self.ft_proj_selector {
            config.projection_head.fine_tune_from = level.into();
        }
        Ok(protocol)
    }

    /// Fails if an option is given that says how networks are fine-tuned.
    fn refuse_settings(&self) -> AnyResult {
        let given = [
            ("--fine-tune-epochs", self.fine_tune_epochs.is_some()),
            (
                "--fine-tune-learning-rate",
                self.fine_tune_learning_rate.is_some(),
            ),
            (
                "--fine-tune-batch-size",
                self.fine_tune_batch_size.is_some(),
            ),
            ("--fine-tune-adam", self.fine_tune_adam),
            ("--ft-proj-selector", self.ft_proj_selector.is_some()),
        ];
        match first_given(&given) {
            None => Ok(()),
            Some(option) => Err(format!(
                "{option} needs --fine-tune, without which this experiment fine-tunes no network"
            )
            .into()),
        }
    }
}
