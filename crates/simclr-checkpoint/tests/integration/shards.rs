//! Networks in several safetensors files with an index, as Hugging Face's libraries write them.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use simclr_checkpoint::{SafetensorsReader, Source, export_torchvision, import, save_model};
use simclr_model::{ResNetConfig, SimClr, SimClrConfig};

const COUNT: usize = 3;

fn part(number: usize) -> String {
    format!("model-{:05}-of-{COUNT:05}.safetensors", number + 1)
}

/// A ResNet-18 with torchvision's names in one file, and the same tensors in several.
fn networks(folder: &Path) -> (PathBuf, PathBuf) {
    let config = SimClrConfig::new(ResNetConfig::depth(18).torchvision());
    let model = SimClr::initialize(&config, 9, &Device::Cpu).unwrap();
    let (ours, whole) = (folder.join("ours"), folder.join("whole.safetensors"));
    save_model(&ours, &model, Source::default()).unwrap();
    export_torchvision(&ours, &whole).unwrap();
    let tensors: BTreeMap<_, _> = safetensors::load(&whole, &Device::Cpu)
        .unwrap()
        .into_iter()
        .collect();
    let mut parts = vec![HashMap::<String, Tensor>::new(); COUNT];
    let mut map = BTreeMap::new();
    for (index, (name, tensor)) in tensors.into_iter().enumerate() {
        map.insert(name.clone(), part(index % COUNT));
        parts[index % COUNT].insert(name, tensor);
    }
    for (number, part_of) in parts.iter().enumerate() {
        safetensors::save(part_of, folder.join(part(number))).unwrap();
    }
    write_index(folder, &map);
    (whole, folder.join(INDEX))
}

const INDEX: &str = "model.safetensors.index.json";

fn write_index(folder: &Path, map: &BTreeMap<String, String>) {
    // A total that nobody has to believe.
    let text = serde_json::json!({"metadata": {"total_size": u64::MAX}, "weight_map": map});
    std::fs::write(folder.join(INDEX), text.to_string()).unwrap();
}

fn error(path: &Path) -> String {
    import(path).unwrap_err().to_string()
}

#[test]
fn parts_are_one_network() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, index) = networks(folder.path());
    let whole = import(&whole).unwrap();
    for path in [&*index, folder.path()] {
        let parts = import(path).unwrap();
        assert_eq!(parts.report.parameters, whole.report.parameters);
        assert_eq!(parts.report.source.name, INDEX);
        let (parts, whole) = (parts.load(&Device::Cpu), whole.load(&Device::Cpu));
        let (parts, whole) = (parts.unwrap().tensors, whole.unwrap().tensors);
        assert_eq!(parts.len(), whole.len());
        for (name, tensor) in &whole {
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&parts[name]), values(tensor), "{name}");
        }
    }
    // One of them alone.
    let text = error(&folder.path().join(part(1)));
    assert!(
        text.contains("the file is part 2 of 3: import their index (*.safetensors.index.json)"),
        "{text}"
    );
}

#[test]
fn missing_and_damaged_parts_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, index) = networks(folder.path());
    let last = folder.path().join(part(2));
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
    let text = error(&index);
    assert!(
        text.contains(&part(2)) && text.contains("cut off or damaged"),
        "{text}"
    );
    std::fs::remove_file(folder.path().join(part(0))).unwrap();
    std::fs::remove_file(last).unwrap();
    let missing = format!("of its 3 files there are missing: {}, {}", part(0), part(2));
    let text = error(&index);
    assert!(text.contains(INDEX) && text.ends_with(&missing), "{text}");
}

#[test]
fn an_index_names_the_tensors_of_its_files_and_nothing_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, index) = networks(folder.path());
    let reader = SafetensorsReader::open_index(&index).unwrap();
    let names: Vec<String> = reader.tensors().keys().cloned().collect();
    let map = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
        let entries = names.iter().enumerate();
        let mut map = entries
            .map(|(index, name)| (name.clone(), part(index % COUNT)))
            .collect();
        change(&mut map);
        write_index(folder.path(), &map);
        error(&index)
    };
    let inside = tempfile::tempdir_in(folder.path()).unwrap();
    let outside = inside.path().join("whole.safetensors");
    std::fs::copy(&whole, &outside).unwrap();
    let below = format!(
        "{}/whole.safetensors",
        inside.path().file_name().unwrap().to_str().unwrap()
    );
    for name in [
        &*below,
        "../whole.safetensors",
        "./whole.safetensors",
        "..",
        "",
        "a\\whole.safetensors",
        "C:whole.safetensors",
        outside.to_str().unwrap(),
    ] {
        let text = map(&|map| {
            map.insert("conv1.weight".into(), name.into());
        });
        let expected = format!("`{name}` is not the name of a file in the folder of the index");
        assert!(text.ends_with(&expected), "{text}");
    }
    let text = map(&|map| {
        map.insert("more.weight".into(), part(1));
    });
    let expected = format!(
        "tensor `more.weight` is not in {}, as the index says",
        part(1)
    );
    assert!(text.ends_with(&expected), "{text}");
    let text = map(&|map| {
        map.remove(&names[0]);
    });
    let expected = format!("tensor `{}` of {} is not in the index", names[0], part(0));
    assert!(text.ends_with(&expected), "{text}");
    for text in [r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 3}}"#] {
        std::fs::write(&index, text).unwrap();
        let text = error(&index);
        assert!(
            text.contains("a list of the parts of a checkpoint"),
            "{text}"
        );
    }
}
