//! The settings that had a part in a study.

use serde_json::{Map, Value};
use simclr_files::Error as FileError;

use crate::error::{Error, Result};
use crate::study::Study;

impl Study {
    /// The protocol's settings that the methods so far have used, with the values that they have
    /// used. The settings of training runs are in their own folders; every seed here that is
    /// none of `seeds` is replaced by one of them.
    pub(crate) fn used_settings(&self) -> Result<Value> {
        let settings = serde_json::to_value(&self.protocol)
            .map_err(FileError::json("settings".as_ref()))
            .map_err(Error::from)?;
        let mut settings = match settings {
            Value::Object(fields) => fields,
            other => return Ok(other),
        };
        let of_methods = ["probes", "supervised", "fine_tune_freeze", "fine_tuning"];
        let of_methods = of_methods.map(|name| {
            let mut methods = self.methods.iter();
            (name, methods.any(|method| method.settings.contains(&name)))
        });
        let has_runs = !self.shown_runs.is_empty();
        let others = [
            ("freeze", has_runs),
            ("unlabelled_fractions", has_runs),
            ("title", false),
            ("question", false),
        ];
        for (name, is_used) in of_methods.into_iter().chain(others) {
            if !is_used {
                settings.shift_remove(name);
            }
        }
        // What self-supervision and whole networks have in common; see `TrainingJob`.
        settings.insert("image_size".into(), self.protocol.image_size().into());
        if let Some(Value::Object(mut pretrain)) = settings.shift_remove("pretrain") {
            settings.extend(pretrain.shift_remove_entry("encoder"));
        }
        for training in ["supervised", "fine_tuning"] {
            remove(&mut settings, &[training, "encoder"]);
            remove(&mut settings, &[training, "seed"]);
        }
        remove(&mut settings, &["probes", "linear", "seed"]);
        Ok(Value::Object(settings))
    }
}

/// Removes a field below others, if it is there.
fn remove(settings: &mut Map<String, Value>, path: &[&str]) {
    match path {
        [] => {}
        [field] => {
            settings.shift_remove(*field);
        }
        [field, rest @ ..] => {
            if let Some(Value::Object(below)) = settings.get_mut(*field) {
                remove(below, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use simclr_data::{DatasetExt, Seed, SyntheticCores};

    use super::*;
    use crate::comparison::MethodResults;
    use crate::study::EvaluatedMethod;
    use crate::{Task, paper};

    #[test]
    fn settings_that_nothing_used_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let protocol = paper::tiny(paper::experiment_6()).with_label_fractions([1.0]);
        let cores = SyntheticCores::new(90, 16, Seed(1)).unwrap();
        let task = Task::new("cores", cores.shared()).unwrap();
        let mut study = Study::open(dir.path(), protocol, task).unwrap();
        let names = |study: &Study| -> Vec<String> {
            let settings = study.used_settings().unwrap();
            settings.as_object().unwrap().keys().cloned().collect()
        };
        let always = ["folds", "label_fractions", "seeds", "image_size", "encoder"];
        assert_eq!(names(&study), always);
        // Whatever a method is called, the settings are those that it used.
        let method = |settings: &'static [&'static str]| EvaluatedMethod {
            results: MethodResults::new("ours, fine-tuned"),
            features: None,
            settings,
        };
        study.methods.push(method(&[]));
        assert_eq!(names(&study), always);
        study.methods.push(method(&["supervised"]));
        assert!(names(&study).contains(&"supervised".to_owned()));
        study
            .shown_runs
            .push(("pretrained".into(), dir.path().into()));
        let used = names(&study);
        assert!(
            used.contains(&"unlabelled_fractions".to_owned()),
            "{used:?}"
        );
        assert!(!used.contains(&"probes".to_owned()), "{used:?}");
        let mut fields = study.used_settings().unwrap();
        let fields = fields.as_object_mut().unwrap();
        fields.insert(
            "probes".into(),
            serde_json::json!({"linear": {"seed": 0, "epochs": 5}}),
        );
        remove(fields, &["probes", "linear", "seed"]);
        assert_eq!(
            fields["probes"],
            serde_json::json!({"linear": {"epochs": 5}})
        );
    }
}
