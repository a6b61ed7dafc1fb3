//! Maps of embeddings.

use simclr_report::plot::ScatterPlot;

use crate::analysis::PrincipalComponents;
use crate::{Features, Result};

/// The map of an embedding: features along their first two principal components, by class.
///
/// # Errors
/// As [`PrincipalComponents::fit`].
pub fn embedding_plot(title: impl Into<String>, features: &Features) -> Result<ScatterPlot> {
    let values = features.tensor()?;
    let components = PrincipalComponents::fit(&values, 2)?;
    let points = components.map(&values)?;
    let shares = components.variance_shares();
    let label = |axis: usize| {
        let share = shares.get(axis).copied().unwrap_or(0.0);
        format!(
            "component {} ({:.0} % of the variance)",
            axis + 1,
            100.0 * share
        )
    };
    let plot = ScatterPlot::by_class(title, &features.class_names, &points, &features.labels);
    Ok(plot.labels(label(0), label(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_is_mapped_along_its_principal_components() {
        let features = Features {
            values: vec![0.0, 0.0, 3.0, 4.0, 0.0, 3.0, 0.0, 2.0, 3.0, 4.0, 2.0, 3.0],
            size: 3,
            labels: vec![0, 1, 0, 1],
            class_names: vec!["a".into(), "b".into()],
        };
        let plot = embedding_plot("Map", &features).unwrap();
        let svg = plot.render().unwrap();
        for axis in [
            "component 1 (80 % of the variance)",
            "component 2 (20 % of the variance)",
        ] {
            assert!(svg.as_str().contains(axis), "{axis}");
        }
        let points: Vec<_> = plot.groups()[1].points.clone();
        for (point, expected) in points.iter().zip([(2.0, -1.0), (2.0, 1.0)]) {
            assert!((point.0 - expected.0).abs() < 1e-6, "{point:?}");
            assert!((point.1 - expected.1).abs() < 1e-6, "{point:?}");
        }
    }
}
