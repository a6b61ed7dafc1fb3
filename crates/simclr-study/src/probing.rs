//! Methods that are encoders: probes on frozen features.

use simclr_augment::Policy;
use simclr_checkpoint::LoadNetwork;
use simclr_data::Split;
use simclr_eval::Features;
use simclr_model::{FrozenEncoder, SimClr};
use simclr_progress::{Stage, StepUpdate};
use simclr_train::Pretrain;

use crate::cell_result::{CellResult, Evaluation};
use crate::comparison::MethodResults;
use crate::error::{Error, Result};
use crate::feature_store::encoder_digest;
use crate::seed_run::SeedRun;
use crate::study::{EvaluatedMethod, Study};

impl Study {
    /// Evaluates a method that is an encoder, in general another one for each seed: its
    /// features are computed once, and the protocol's probes are trained on them for every
    /// fold and label fraction.
    ///
    /// # Errors
    /// A name that is taken; those of `encoder`; an image that cannot be read; a cell on
    /// record that was evaluated with another encoder.
    pub fn probe<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        encoder: impl FnMut(&SeedRun) -> Result<FrozenEncoder, E>,
    ) -> Result<()> {
        let policy = self.protocol.probe_policy();
        self.probe_at(name, &policy, encoder)
    }

    /// [`probe`](Self::probe) with images that are prepared in another way than the
    /// protocol's, such as at another size.
    ///
    /// # Errors
    /// As [`probe`](Self::probe).
    pub fn probe_at<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        policy: &Policy,
        encoder: impl FnMut(&SeedRun) -> Result<FrozenEncoder, E>,
    ) -> Result<()> {
        let runs = self.next_runs();
        self.probe_runs(name, policy, &runs, encoder)
    }

    fn probe_runs<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        policy: &Policy,
        runs: &[SeedRun],
        mut encoder: impl FnMut(&SeedRun) -> Result<FrozenEncoder, E>,
    ) -> Result<()> {
        let mut results = self.new_method(name)?;
        let mut first = None;
        for run in runs {
            self.check_pause()?;
            let encoder = encoder(run).map_err(Into::into)?;
            let features = self.extract_features(&results.name, &encoder, policy)?;
            // The network, and how it sees images.
            let fingerprint = format!("{}, {policy}", encoder_digest(&encoder)?);
            self.probe_cells(run, &fingerprint, &features, &mut results)?;
            first = first.or(Some(features));
        }
        self.methods.push(EvaluatedMethod {
            results,
            features: first,
            settings: &["probes"],
        });
        Ok(())
    }

    /// The name of an untrained method whose batch norms are calibrated.
    pub const UNTRAINED: &str = "untrained, calibrated";

    /// The name of an untrained method as it was initialised.
    pub const UNTRAINED_PLAIN: &str = "untrained, plain";

    /// Evaluates an untrained encoder, in general another one for each seed, in two forms: with
    /// batch norms that are [calibrated](FrozenEncoder::calibrated) on the images that may be
    /// seen without labels ([`UNTRAINED`](Self::UNTRAINED), the fair baseline), and as it was
    /// initialised ([`UNTRAINED_PLAIN`](Self::UNTRAINED_PLAIN)).
    ///
    /// # Errors
    /// As [`probe`](Self::probe).
    pub fn probe_untrained<E: Into<Error>>(
        &mut self,
        mut encoder: impl FnMut(&SeedRun) -> Result<FrozenEncoder, E>,
    ) -> Result<()> {
        let policy = self.protocol.probe_policy();
        let fraction = self.protocol.largest_unlabelled_fraction();
        self.probe(Self::UNTRAINED, |run| -> Result<_> {
            let images = run.unlabelled(fraction)?;
            let encoder = encoder(run).map_err(Into::into)?;
            Ok(Features::calibrate(&encoder, images, &policy)?)
        })?;
        self.probe(Self::UNTRAINED_PLAIN, encoder)
    }

    /// Evaluates a trained network, in general another one for each seed, which sees images of
    /// `image_size`: its encoder is [probed](Self::probe), and it is
    /// [fine-tuned](Self::fine_tune) as far as the protocol says.
    ///
    /// # Errors
    /// As [`probe`](Self::probe) and [`fine_tune`](Self::fine_tune).
    pub fn evaluate_network<E: Into<Error>>(
        &mut self,
        name: &str,
        image_size: usize,
        mut network: impl FnMut(&SeedRun) -> Result<SimClr, E>,
    ) -> Result<()> {
        // Whoever pretrains a network fine-tunes it as well.
        let runs = self.next_runs();
        self.probe_runs(name, &Policy::probe(image_size), &runs, |run| {
            network(run).map(|network| network.encoder().frozen())
        })?;
        self.fine_tune_runs(name, image_size, &runs, network)
    }

    /// Evaluates self-supervision on the task's own images: for each seed, `pretrain` runs on
    /// a fraction of the unlabelled images, on the study's device and in the folder `folder` of
    /// [`SeedRun::dir`], and its network is [evaluated](Self::evaluate_network). The report shows
    /// the training curves of the first seed.
    ///
    /// # Errors
    /// Those of [`Pretrain::run`], [`SeedRun::unlabelled`] and
    /// [`evaluate_network`](Self::evaluate_network).
    pub fn pretrain(
        &mut self,
        name: &str,
        pretrain: &Pretrain,
        fraction: f64,
        folder: &str,
    ) -> Result<()> {
        let (pause, device) = (self.pause.clone(), self.device.clone());
        let image_size = self.protocol.image_size();
        self.evaluate_network(name, image_size, |run| -> Result<_> {
            let training = pretrain.clone().seed(run.seed).callback(pause.clone());
            let training = training.device(device.clone());
            let run = training.run(run.unlabelled(fraction)?, run.dir.join(folder))?;
            Ok(SimClr::load(run.model_file, &device)?)
        })?;
        if let Some(dir) = self.seed_runs.first().map(|run| run.dir.join(folder)) {
            self.show_run(name, dir);
        }
        Ok(())
    }

    fn extract_features(
        &self,
        method: &str,
        encoder: &FrozenEncoder,
        policy: &Policy,
    ) -> Result<Features> {
        let images = &self.images();
        let batches = Features::extraction_steps(images.len()) as u64;
        let stage = Stage::new(format!("features of \"{method}\""), batches);
        let mut progress = self.progress.start(stage);
        let extracted = self
            .features
            .get_or_extract(encoder, images, policy, progress.as_mut());
        let (features, was_there) = extracted.map_err(|error| match error {
            Error::Eval(simclr_eval::Error::NotFinite { image }) => Error::NotFinite {
                method: method.to_owned(),
                image,
                learning_rate: self.protocol.pretrain.schedule.learning_rate,
            },
            error => error,
        })?;
        let how = if was_there { "read" } else { "computed" };
        progress.finish(&format!(
            "{} images x {} {how}",
            features.len(),
            features.size
        ));
        Ok(features)
    }

    fn probe_cells(
        &self,
        run: &SeedRun,
        fingerprint: &str,
        features: &Features,
        results: &mut MethodResults,
    ) -> Result<()> {
        let mut probes = self.protocol.probes.clone();
        probes.linear.seed = run.seed;
        let cells = self.cells_of(&results.name, run);
        let stage = Stage::new(
            format!("probes on \"{}\"", results.name),
            cells.len() as u64,
        );
        let mut progress = self.progress.start(stage);
        for cell in cells {
            self.check_pause()?;
            let compute = || {
                let (_, fold) = self.resolve(&cell)?;
                let budget = self.label_budget(&cell)?;
                let parts = Split {
                    train: features.select(&self.with_copies(&budget))?,
                    validation: features.select(&fold.validation)?,
                    test: features.select(&fold.test)?,
                };
                Ok::<_, Error>(CellResult {
                    train_images: budget.len(),
                    evaluation: Evaluation::Probes(Box::new(probes.evaluate(&parts)?)),
                })
            };
            let result = self.cells.get_or_compute(&cell, fingerprint, compute)?;
            progress.step(&StepUpdate {
                images: result.train_images,
                ..StepUpdate::default()
            });
            results.cells.push((cell, result));
        }
        progress.finish("done");
        Ok(())
    }
}
