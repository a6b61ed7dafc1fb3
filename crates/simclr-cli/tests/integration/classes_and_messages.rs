//! The classes of fine-tuned networks, options named in messages, and messages as JSON.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use simclr_checkpoint::CheckpointFile;
use simclr_checkpoint::candle_core::{Device, Tensor};

use crate::common::{CLAY, SAND, SILT, class_folders, fails, succeeds};

/// The last line of standard error as JSON, which all of them are.
fn fails_in_json(dir: &Path, arguments: &str, status: i32) -> Value {
    let said = fails(dir, arguments, status);
    let lines = said.lines().map(serde_json::from_str);
    let mut objects: Vec<Value> = lines.collect::<Result<_, _>>().unwrap();
    let last = objects.pop().unwrap();
    assert_eq!(last["level"], "error", "{said}");
    assert!(objects.iter().all(|object| object["level"] != "error"));
    last
}

const PROBE: &str =
    "probe --head fine-tuned --encoder ft/model.safetensors --image-size 32 --quiet";

/// The accuracy that a command says.
fn accuracy(said: &str) -> f64 {
    let text = said.split("accuracy ").nth(1).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_head_of_a_fine_tuned_network_keeps_its_classes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    class_folders(
        &dir.join("own"),
        [("clay", CLAY), ("sand", SAND), ("silt", SILT)],
    );
    succeeds(
        dir,
        "pretrain own --model-dir run --image-size 32 --train-epochs 1 --train-batch-size 12 --quiet",
    );
    let (said, _) = succeeds(
        dir,
        "finetune --checkpoint run/model.safetensors --labels own --image-size 32 \
         --train-batch-size 8 --train-epochs 8 --model-dir ft --out ft.safetensors --quiet",
    );
    assert!(
        accuracy(said.split("finetune: ").nth(1).unwrap()) > 80.0,
        "{said}"
    );
    let (said, warned) = succeeds(dir, &format!("{PROBE} --labels own --out a.safetensors"));
    assert!(accuracy(&said) > 80.0, "{said}");
    assert_eq!(warned, "");

    // A network that was trained with the same classes in another order.
    let path = dir.join("ft/model.safetensors");
    let mut file = CheckpointFile::load(&path, &Device::Cpu).unwrap();
    let turned = ["silt", "clay", "sand"].map(str::to_owned).to_vec();
    let old = file.metadata.extra.insert("classes".into(), turned.into());
    assert_eq!(old, Some(json!(["clay", "sand", "silt"])));
    let order = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
    for (name, dimension) in [("kernel", 1), ("bias", 0)] {
        let name = format!("supervised_head.dense.{name}");
        let values = &file.tensors[&name];
        let values = values.index_select(&order, dimension).unwrap();
        file.tensors.insert(name, values);
    }
    file.save(&path).unwrap();
    let (said, warned) = succeeds(dir, &format!("{PROBE} --labels own --out b.safetensors"));
    assert!(accuracy(&said) > 80.0, "{said}");
    assert_eq!(warned, "");

    // As many classes of other names.
    class_folders(
        &dir.join("other"),
        [("clay", CLAY), ("sand", SAND), ("gravel", SILT)],
    );
    let refused = format!("{PROBE} --labels other --out c.safetensors");
    let said = fails(dir, &refused, 1);
    assert!(
        said.contains("(clay, gravel, sand)") && said.contains("(silt, clay, sand)"),
        "{said}"
    );
    assert!(!dir.join("c.safetensors").exists());
    let said = fails(
        dir,
        "run --train_mode=finetune --checkpoint=ft/model.safetensors --image_dir=other --labels=yep \
         --model_dir=again",
        1,
    );
    assert!(
        said.contains("(clay, gravel, sand)")
            && said.contains("(silt, clay, sand)")
            && said.contains("--zero_init_logits_layer"),
        "{said}"
    );
    assert!(!dir.join("again").exists());

    // What an evaluation does not follow is said.
    let (_, warned) = succeeds(
        dir,
        "run --mode=eval --model_dir=ft --image_dir=own --labels=yep --image_size=32 \
         --checkpoint=nowhere --resnet_depth=101",
    );
    assert!(
        warned.contains("--checkpoint (the network of --model_dir is evaluated)")
            && warned.contains("--model_dir: expected ResNet-101"),
        "{warned}"
    );

    // A file of an earlier version names none, and its order is taken for that of the images.
    file.metadata.extra.remove("classes");
    file.save(&path).unwrap();
    let (said, warned) = succeeds(dir, &format!("{PROBE} --labels own --out d.safetensors"));
    assert!(accuracy(&said) < 50.0, "{said}");
    assert!(
        warned.contains("only their number, 3, could be compared"),
        "{warned}"
    );
    let json = format!("--log-format json {PROBE} --labels own --out d.safetensors");
    let (_, warned) = succeeds(dir, &json);
    let object: Value = serde_json::from_str(&warned).unwrap();
    assert_eq!(object["level"], "warning");
    assert!(
        object["message"]
            .as_str()
            .unwrap()
            .contains("could be compared")
    );
}

#[test]
fn a_batch_that_is_too_large_is_refused_by_its_option() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    class_folders(
        &dir.join("own"),
        [("clay", CLAY), ("sand", SAND), ("silt", SILT)],
    );
    let pretrain = "pretrain own --model-dir run --image-size 32 --train-epochs 1 --quiet";
    let said = fails(dir, &format!("{pretrain} --train-batch-size 37"), 1);
    for part in [
        "--train-batch-size",
        "at most 36",
        "found 37",
        "smaller batch",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!dir.join("run").exists());
    succeeds(dir, &format!("{pretrain} --train-batch-size 36"));
    // 60 % of the images are trained on, in batches of 50 by default.
    let finetune = "finetune --checkpoint run/model.safetensors --labels own --image-size 32 \
                    --model-dir ft --out ft.safetensors --quiet";
    let said = fails(dir, finetune, 1);
    assert!(
        said.contains("--train-batch-size") && said.contains("found 50"),
        "{said}"
    );

    let object = fails_in_json(dir, &format!("--log-format json {finetune}"), 1);
    let message = object["message"].as_str().unwrap();
    assert!(
        message.starts_with("batch size (`batch_size`, --train-batch-size)"),
        "{message}"
    );
    assert_eq!(object["sources"], json!([]));
}

#[test]
fn every_command_prints_its_error_as_json_if_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (command, named) in [
        ("tiles none --out cut", "none"),
        ("pretrain none --model-dir run", "none"),
        (
            "finetune --checkpoint none --labels none --model-dir run --out c.safetensors",
            "none",
        ),
        (
            "probe --encoder none --labels none --out c.safetensors",
            "none",
        ),
        ("predict none --classifier none --out p.csv", "none"),
        ("log --predictions none --tiles none --out log", "none"),
        ("explain none --classifier none --out why", "none"),
        ("select none --classifier none --out next", "none"),
        (
            "labels convert none out.csv --from-format csv --to-format csv",
            "none",
        ),
        (
            "embed --checkpoint none --image-dir none --out f.safetensors",
            "none",
        ),
        ("import --from none --out i.safetensors", "none"),
        ("export --checkpoint none --out n.onnx", "none"),
        ("inspect none", "none"),
        (
            "experiment 3 --image-dir none --model-dir exp --preset tiny",
            "none",
        ),
        ("compare none other", "none"),
        (
            "run --mode=train --train_mode=pretrain --image_dir=none --model_dir=run",
            "none",
        ),
    ] {
        let object = fails_in_json(dir, &format!("--log-format json {command}"), 1);
        let text = object.to_string();
        assert!(text.contains(named), "{command}: {text}");
        let message = object["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && object["sources"].is_array(),
            "{text}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_command_line_is_json_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for command in [
        "--log-format json tiles none",
        "tiles none --log-format=json",
        "--log-format json cut none",
        "--log-format json run --mod=train",
        "--log-format json run TF2_finetuning.py",
    ] {
        let object = fails_in_json(dir, command, 2);
        let message = object["message"].as_str().unwrap();
        assert!(message.contains("Usage:"), "{message}");
        assert!(!message.starts_with("error: "), "{message}");
    }
    // Help is for people, and text is the default.
    let (said, _) = succeeds(dir, "--log-format json run --help");
    assert!(said.contains("--train-mode"), "{said}");
    assert!(
        said.starts_with("Trains and evaluates as the original's run.py does"),
        "{said}"
    );
    let said = fails(dir, "tiles none", 2);
    assert!(said.starts_with("error: "), "{said}");
    let said = fails(dir, "inspect none", 1);
    assert!(said.starts_with("simclr: "), "{said}");
}

#[test]
fn pages_of_others_are_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("mine")).unwrap();
    for page in ["report.html", "log.html"] {
        fs::write(dir.join("mine").join(page), "<p>My notes</p>").unwrap();
    }
    for command in [
        "compare one other --model-dir mine",
        "explain images --classifier c.safetensors --out mine",
        "select images --classifier c.safetensors --out mine",
        "log --predictions p.csv --tiles t.csv --out mine",
    ] {
        fs::create_dir_all(dir.join("images")).unwrap();
        let said = fails(dir, command, 1);
        assert!(said.contains("no report of ours"), "{command}: {said}");
    }
    fs::remove_file(dir.join("mine/report.html")).unwrap();
    fs::write(dir.join("mine/next.csv"), "image\n").unwrap();
    let said = fails(
        dir,
        "select images --classifier c.safetensors --out mine",
        1,
    );
    assert!(said.contains("next.csv is there already"), "{said}");

    fs::create_dir_all(dir.join("kept/tables")).unwrap();
    let said = fails(dir, "compare one other --model-dir kept", 1);
    assert!(
        said.contains("tables is there without report.html"),
        "{said}"
    );
    let log = "log --predictions p.csv --tiles t.csv --out kept";
    let said = fails(dir, log, 1);
    assert!(said.contains("tables is there without log.html"), "{said}");

    // The report of a study or a run is not replaced by that of another command.
    fs::create_dir(dir.join("study")).unwrap();
    fs::write(dir.join("study/manifest.json"), "{}").unwrap();
    fs::write(dir.join("study/report.html"), "").unwrap();
    for command in [
        "compare one other --model-dir study",
        "explain images --classifier c.safetensors --out study",
        "select images --classifier c.safetensors --out study",
    ] {
        let said = fails(dir, command, 1);
        assert!(
            said.contains("a run or a study is recorded"),
            "{command}: {said}"
        );
    }
    assert_eq!(fs::read(dir.join("study/report.html")).unwrap(), b"");
}

#[test]
fn options_without_effect_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (arguments, expected) in [
        (
            "1 --preset tiny --gradient-checkpointing",
            "--gradient-checkpointing needs --fine-tune",
        ),
        (
            "5 --preset tiny --gradient-checkpointing",
            "--gradient-checkpointing needs --fine-tune",
        ),
        (
            "4 --preset tiny --same-epochs --unlabelled-fraction 1",
            "--same-epochs needs an --unlabelled-fraction below 1",
        ),
    ] {
        let said = fails(dir, &format!("experiment {arguments}"), 1);
        assert!(said.contains(expected), "{arguments}: {said}");
        assert!(!dir.join("runs").exists());
    }
}
