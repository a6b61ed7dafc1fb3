//! Is there enough memory for a run?

use simclr_data::Dataset;
use simclr_model::GradientCheckpointing;

use crate::config::LoopConfig;
use crate::error::{Error, Result, bytes_in_words};
use crate::memory::{MemoryEstimate, RunLoad, available_memory};
use crate::run_spec::RunSpec;

/// Images that are decoded to learn how large they are, at most.
const LOOKED_AT: usize = 8;

impl<C: LoopConfig> RunSpec<C> {
    /// What a run over these images takes at its peak on the CPU: a [step](MemoryEstimate::of_step),
    /// the batches that are prepared ahead, the images that are kept decoded (a few of them are
    /// decoded to learn how large they are), the copy of the optimizer's state that a checkpoint is
    /// written from, the evaluation after an epoch, and the network to start from. A teacher's
    /// feature maps and an own objective's are not among it.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn memory_estimate(&self, images: &dyn Dataset) -> Result<MemoryEstimate> {
        self.config.validate()?;
        let load = self.load(images);
        MemoryEstimate::of_run(&self.config, self.options.gradient_checkpointing, &load)
    }

    /// Fails if a run over these images takes more memory than this process can have, and gives
    /// the estimate; `None` on another device than the CPU. The loops do it by themselves, before
    /// the run folder is made, unless they are one of several ranks. Where the system does not tell
    /// how much memory there is (it does on Linux), nothing is refused.
    ///
    /// # Errors
    /// [`Error::Memory`], with what would take less; settings out of range.
    pub fn check_memory(&self, images: &dyn Dataset) -> Result<Option<MemoryEstimate>> {
        if !self.options.device.is_cpu() {
            return Ok(None);
        }
        let available = available_memory().unwrap_or(u64::MAX);
        self.check_memory_within(available, images).map(Some)
    }

    fn check_memory_within(&self, available: u64, images: &dyn Dataset) -> Result<MemoryEstimate> {
        let estimate = self.memory_estimate(images)?;
        if estimate.total() <= available {
            return Ok(estimate);
        }
        let advice = self.less_memory(available, &self.load(images))?;
        Err(Error::Memory {
            stage: C::STAGE,
            needed: estimate.total(),
            available,
            advice: if advice.is_empty() {
                "try a smaller network, smaller views or a smaller batch".to_owned()
            } else {
                advice.join("; ")
            },
        })
    }

    /// What the run holds besides its steps.
    fn load(&self, images: &dyn Dataset) -> RunLoad {
        let augmentation = self.view_maker();
        let count = images.len().min(LOOKED_AT);
        let (mut decoded, mut kept, mut read) = (0, 0, 0);
        for index in (0..count).map(|i| i * images.len() / count) {
            // An image that cannot be read is named when the run comes to it.
            let Ok(image) = images.decode(index) else {
                continue;
            };
            decoded += size_of_val(image.data()) as u64;
            kept += augmentation
                .prepare(image)
                .map_or(0, |image| image.byte_size()) as u64;
            read += 1;
        }
        let of_all = (kept / read.max(1)).saturating_mul(images.len() as u64);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        RunLoad {
            classes: images.class_names().len(),
            view: augmentation.view_size(),
            kept_images: of_all.min(self.options.cache_bytes),
            images_under_way: (decoded + kept) / read.max(1) * threads as u64,
            has_initial_weights: self.initial_weights.is_some(),
        }
    }

    /// What would make the run fit, and how much it would then take.
    fn less_memory(&self, available: u64, load: &RunLoad) -> Result<Vec<String>> {
        let mut advice = Vec::new();
        let mut consider = |what: String, config: &C, checkpointing, load: &RunLoad| {
            let needed = MemoryEstimate::of_run(config, checkpointing, load)?.total();
            let fits = needed <= available;
            if fits {
                advice.push(format!("{what} takes about {}", bytes_in_words(needed)));
            }
            Ok::<_, Error>(fits)
        };
        let now = self.options.gradient_checkpointing;
        let no_cache = RunLoad {
            kept_images: 0,
            ..*load
        };
        let what = "keeping no decoded images (`cache_bytes`, --cache-mib 0)";
        consider(what.to_owned(), &self.config, now, &no_cache)?;
        let per_block = GradientCheckpointing::PerBlock;
        if now != per_block {
            let what =
                "gradient checkpointing (`gradient_checkpointing`, --gradient-checkpointing)";
            consider(what.to_owned(), &self.config, per_block, load)?;
        }
        let smaller = |images: usize| (1..usize::BITS).map(move |bits| images >> bits);
        for images in smaller(self.config.batch_size).take_while(|&images| images > 1) {
            let Some(config) = self.config.clone().try_gradient_cache(images) else {
                break;
            };
            let what = format!(
                "a gradient cache of {images} images (`gradient_cache`, --gradient-cache {images})"
            );
            if config.validate().is_ok() && consider(what, &config, now, load)? {
                break;
            }
        }
        for images in smaller(self.config.batch_size).take_while(|&images| images > 1) {
            let config = self.config.clone().with_batch_size(images);
            let what = format!("a batch of {images} images (`batch_size`)");
            if config.validate().is_ok() && consider(what, &config, now, load)? {
                break;
            }
        }
        Ok(advice)
    }
}

#[cfg(test)]
mod tests {
    use simclr_data::{Seed, SyntheticCores};

    use super::*;
    use crate::fine_tune_config::FineTuneConfig;
    use crate::pretrain_config::PretrainConfig;

    const GB: u64 = 1_000_000_000;

    fn refusal<C: LoopConfig>(config: C, available: u64) -> Option<String> {
        let images = SyntheticCores::new(4, 64, Seed(1)).unwrap();
        let checked = RunSpec::new(config).check_memory_within(available, &images);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let config = PretrainConfig::default().with_batch_size(32);
        assert_eq!(refusal(config.clone(), 24 * GB), None);
        let text = refusal(config.clone(), 4 * GB).unwrap();
        assert!(
            text.starts_with("pretraining would take about 4.2 GB"),
            "{text}"
        );
        for part in [
            "4.0 GB are available",
            "(`gradient_checkpointing`, --gradient-checkpointing) takes about 2.",
            "--gradient-cache 16) takes about 2.",
            "a batch of 16 images (`batch_size`) takes about 2.",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("--cache-mib"), "{text}");
        let text = refusal(config.clone().with_gradient_cache(2), GB / 2).unwrap();
        assert!(text.contains("smaller network"), "{text}");
        let labelled = FineTuneConfig::resnet(50).with_batch_size(64);
        let text = refusal(labelled, 4 * GB).unwrap();
        assert!(
            text.starts_with("fine-tuning would") && !text.contains("cache"),
            "{text}"
        );
    }

    #[test]
    fn decoded_images_count_as_far_as_they_are_kept() {
        let images = SyntheticCores::new(1000, 64, Seed(1)).unwrap();
        let estimate = |cache: u64| {
            let run = RunSpec::new(PretrainConfig::resnet(18)).cache_bytes(cache);
            run.memory_estimate(&images).unwrap().images
        };
        let all = 1000 * 64 * 64 * 3;
        assert_eq!(estimate(1 << 30) - estimate(0), all);
        assert_eq!(estimate(all / 2) - estimate(0), all / 2);
    }
}
