//! What a study found, in words.

use simclr_report::{percent, short_percent};

use crate::comparison::Comparison;
use crate::error::Result;

impl Comparison {
    /// What was found, in a few sentences each: with the fewest and with the most labels, the most
    /// accurate method with its interval, its difference to the next best, and what the
    /// others reach; at last what chance and the majority class reach.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn findings(&self) -> Result<Vec<String>> {
        let mut fractions = self.label_fractions();
        fractions.sort_by(f64::total_cmp);
        let ends = fractions
            .iter()
            .take(1)
            .chain(fractions.iter().skip(1).last());
        let mut findings = Vec::new();
        for &fraction in ends {
            findings.push(self.finding_at(fraction)?);
        }
        let baselines = self.baselines().into_iter();
        let baselines = baselines.map(|(name, accuracy)| format!("{name} {}", percent(accuracy)));
        let baselines: Vec<String> = baselines.collect();
        findings.push(format!("For comparison: {}.", baselines.join(", ")));
        Ok(findings)
    }

    fn finding_at(&self, fraction: f64) -> Result<String> {
        let mut ranked = Vec::new();
        for method in self.methods() {
            ranked.push((self.accuracy(&method.name, fraction)?, method.name.as_str()));
        }
        ranked.sort_by(|(a, _), (b, _)| b.mean.total_cmp(&a.mean));
        let images = self.train_images(fraction);
        let mut text = format!(
            "With {} of the labels ({images} images), ",
            short_percent(fraction)
        );
        if let Some((accuracy, name)) = ranked.first() {
            let accurate = percent(accuracy.mean);
            text += &format!("\"{name}\" is right on {accurate} of the test images");
            if let Some(interval) = accuracy.interval {
                text += &format!(" (95 % confidence interval {})", range(interval));
            }
        }
        text += ".";
        if let [(_, best), (_, second), ..] = ranked.as_slice() {
            text += &self.lead(second, best, fraction)?;
        }
        let others = ranked.iter().skip(2);
        let others =
            others.map(|(accuracy, name)| format!("\"{name}\" {}", percent(accuracy.mean)));
        let others: Vec<String> = others.collect();
        if !others.is_empty() {
            text += &format!(" The others reach: {}.", others.join("; "));
        }
        Ok(text)
    }

    /// How far the best method is ahead of the second, and whether that is certain.
    fn lead(&self, second: &str, best: &str, fraction: f64) -> Result<String> {
        let difference = self.paired(second, best, fraction)?.accuracy.difference;
        let points = points(difference.mean);
        Ok(match difference.interval {
            Some(interval) if interval.0 > 0.0 => format!(
                " It is {points} points ({}) ahead of \"{second}\", the next best.",
                range(interval)
            ),
            Some(interval) => format!(
                " It is not clearly ahead of \"{second}\", the next best: the difference is \
                 {points} points ({}).",
                range(interval)
            ),
            None => format!(" It is {points} points ahead of \"{second}\", the next best."),
        })
    }
}

/// A share in percent, or a difference in points, without a unit; zero has no sign.
fn points(share: f64) -> String {
    percent(share).trim_end_matches(" %").to_owned()
}

fn range((low, high): (f64, f64)) -> String {
    format!("{} to {}", points(low), points(high))
}
