//! What commands refuse before they work, or write: inputs that are none, and outputs in the place of
//! something else.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use simclr_checkpoint::CheckpointFile;
use simclr_checkpoint::candle_core::{DType, Device, Tensor};

use crate::common::{CLAY, SAND, SILT, class_folders, fails, succeeds};

/// Class folders, and a run that has seen their images.
fn pretrained(dir: &Path) {
    class_folders(
        &dir.join("own"),
        [("clay", CLAY), ("sand", SAND), ("silt", SILT)],
    );
    let options = "--image-size 32 --train-epochs 1 --train-batch-size 12 --quiet";
    succeeds(dir, &format!("pretrain own --model-dir run {options}"));
}

#[test]
fn what_features_and_classes_cannot_be_made_of_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pretrained(dir);
    let probe = "probe --image-size 32 --quiet --out out.safetensors";

    // A network whose features are too large for f32.
    let mut file = CheckpointFile::load(dir.join("run/model.safetensors"), &Device::Cpu).unwrap();
    for (name, values) in &mut file.tensors {
        if name.ends_with(".gamma") {
            *values = (&*values * 1e30).unwrap();
        }
    }
    file.save(dir.join("huge.safetensors")).unwrap();
    for head in ["logistic", "linear", "neighbours"] {
        let options = format!("--encoder huge.safetensors --labels own --head {head}");
        let said = fails(dir, &format!("{probe} {options}"), 1);
        assert!(
            said.contains(".png: the network's features are not finite"),
            "{said}"
        );
    }

    // An archive that was unpacked one level too deep.
    fs::create_dir(dir.join("outer")).unwrap();
    fs::rename(dir.join("own"), dir.join("outer/own")).unwrap();
    let one = "--labels outer --image-size 32 --out out.safetensors --quiet";
    for command in [
        format!("probe --encoder run/model.safetensors {one}"),
        format!("finetune --checkpoint run/model.safetensors --model-dir ft {one}"),
    ] {
        let said = fails(dir, &command, 1);
        assert!(said.contains("at least two"), "{said}");
    }
    assert!(!dir.join("ft").exists() && !dir.join("out.safetensors").exists());

    // Files of other kinds where a table or a folder should be.
    fs::write(dir.join("cores.zip"), b"PK\x03\x04\x14\0\0\0").unwrap();
    let said = fails(
        dir,
        &format!("{probe} --encoder run/model.safetensors --labels cores.zip"),
        1,
    );
    assert!(said.contains("cores.zip: is a ZIP archive"), "{said}");
    let said = fails(dir, "pretrain outer/own/clay/0.png --model-dir new", 1);
    assert!(said.contains("0.png: is not a text"), "{said}");
}

#[test]
fn fine_tuning_is_refused_before_it_begins_if_no_classifier_could_be_made_or_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pretrained(dir);
    let finetune = "finetune --checkpoint run/model.safetensors --labels own --model-dir new \
                    --image-size 32 --train-epochs 1 --train-batch-size 4 --quiet";
    for (train, validation, part) in [(0.9, 0.0, "validation"), (0.75, 0.25, "testing")] {
        let said = fails(
            dir,
            &format!(
                "{finetune} --out c.safetensors --train-fraction {train} \
                 --validation-fraction {validation}"
            ),
            1,
        );
        let expected = format!("--validation-fraction {validation} leave no image for {part}");
        assert!(said.contains(&expected), "{said}");
        assert!(!dir.join("new").exists());
    }
    // Also in a folder that is there already.
    for file in ["", "/model.safetensors", "/config.json", "/metrics.csv"] {
        let said = fails(dir, &format!("{finetune} --out new{file}"), 1);
        let expected = format!("--out new{file}: the run that this command makes has this name");
        assert!(said.contains(&expected), "{said}");
        fs::create_dir_all(dir.join("new")).unwrap();
        assert_eq!(fs::read_dir(dir.join("new")).unwrap().count(), 0);
    }
    if cfg!(unix) {
        let said = fails(dir, "pretrain own --model-dir /dev/null", 1);
        assert!(
            said.contains("--model-dir /dev/null: this is a file"),
            "{said}"
        );
    }
}

#[test]
fn the_originals_scripts_replace_nothing_and_are_refused_early() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pretrained(dir);
    for part in ["training", "validation", "testing"] {
        class_folders(
            &dir.join("parts").join(part),
            [("clay", CLAY), ("sand", SAND), ("silt", SILT)],
        );
    }
    let model = fs::read(dir.join("run/model.safetensors")).unwrap();
    fs::copy(
        dir.join("run/model.safetensors"),
        dir.join("own.safetensors"),
    )
    .unwrap();
    let script = "run TF2_finetuning.py own.safetensors parts 3 --image-size 32 --epochs 1";
    for out in ["own.safetensors", "absent/probe.csv", "run/metrics.csv"] {
        let said = fails(dir, &format!("{script} --out {out}"), 1);
        assert!(said.contains(&format!("{out}: ")), "{said}");
    }
    assert_eq!(fs::read(dir.join("own.safetensors")).unwrap(), model);

    let run = "run --image_dir=own --labels=yep --model_dir=new --image_size=32 \
               --train_batch_size=12 --train_epochs=1 --resnet_depth=18";
    let said = fails(
        dir,
        &format!("{run} --mode=train_then_eval --eval_batch_size=0"),
        2,
    );
    assert!(said.contains("'0' for '--eval-batch-size"), "{said}");
    assert!(!dir.join("new").exists());

    // A network of PyTorch's in safetensors is imported, as its other files are.
    let export =
        "export --checkpoint run/model.safetensors --format torchvision --out tv.safetensors";
    succeeds(dir, export);
    let (said, _) = succeeds(dir, &format!("{run} --checkpoint=tv.safetensors"));
    assert!(said.contains("PyTorch, safetensors"), "{said}");
}

#[test]
fn features_need_no_labels() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pretrained(dir);
    fs::copy(dir.join("own/clay/0.png"), dir.join("own/loose.png")).unwrap();
    fs::create_dir(dir.join("own/empty")).unwrap();
    let embed = "embed --checkpoint run/model.safetensors --image-dir own --image-size 32 --quiet";
    let (_, warned) = succeeds(dir, &format!("{embed} --out out.safetensors"));
    assert_eq!(warned.matches("loose.png").count(), 1, "{warned}");
    let file = CheckpointFile::load(dir.join("out.safetensors"), &Device::Cpu).unwrap();
    let labels = file.tensors["labels"].to_vec1::<i64>().unwrap();
    assert_eq!(labels.len(), 37);
    assert_eq!(labels.iter().filter(|label| **label == -1).count(), 1);
    assert_eq!(
        file.metadata.extra["classes"],
        serde_json::json!(["clay", "sand", "silt"])
    );
}

#[test]
fn nothing_is_replaced_or_moved_that_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pretrained(dir);
    let model = fs::read(dir.join("run/model.safetensors")).unwrap();
    let probe = "probe --encoder other.safetensors --labels own --image-size 32 --quiet";
    fs::copy(
        dir.join("run/model.safetensors"),
        dir.join("other.safetensors"),
    )
    .unwrap();
    for part in ["model.safetensors", "manifest.json", "config.json"] {
        let said = fails(dir, &format!("{probe} --out run/{part}"), 1);
        assert!(said.contains("a file of the run or study"), "{said}");
    }
    assert_eq!(fs::read(dir.join("run/model.safetensors")).unwrap(), model);

    let image = fs::read(dir.join("own/clay/0.png")).unwrap();
    let embed = "embed --checkpoint run/model.safetensors --image-dir own --image-size 32";
    for command in [probe, embed, "predict own --classifier absent"] {
        let said = fails(dir, &format!("{command} --out own/clay/0.png"), 1);
        assert!(said.contains("0.png: this is an image"), "{said}");
    }
    assert_eq!(fs::read(dir.join("own/clay/0.png")).unwrap(), image);

    let import = "import --from run/model.safetensors --out new.safetensors";
    let said = fails(dir, &format!("{import} --torchvision new.safetensors"), 1);
    assert!(said.contains("new.safetensors: this command"), "{said}");
    assert!(!dir.join("new.safetensors").exists());

    fs::create_dir(dir.join("project")).unwrap();
    fs::rename(dir.join("own"), dir.join("project/images")).unwrap();
    let fresh = "experiment 3 --preset tiny --image-dir project/images --model-dir project \
                 --train-batch-size 8 --train-epochs 1 --quiet --fresh";
    let said = fails(dir, fresh, 1);
    assert!(said.contains("project/images in it"), "{said}");
    assert!(dir.join("project/images/clay/0.png").exists());

    fs::write(dir.join("file"), "").unwrap();
    for model_dir in ["file", "file/run"] {
        let pretrain = format!("pretrain project/images --model-dir {model_dir} --image-size 32");
        let said = fails(dir, &pretrain, 1);
        assert!(said.contains("file"), "{said}");
    }
}

#[test]
fn options_that_cannot_be_followed_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pretrained(dir);
    for option in ["--temperature", "--learning-rate"] {
        let said = fails(dir, &format!("pretrain own --model-dir new {option} -1"), 1);
        let setting = option.trim_start_matches('-').replace('-', " ");
        assert!(said.contains(&setting), "{said}");
    }
    let said = fails(dir, "pretrain own --model-dir new --seed -1", 2);
    assert!(said.contains("'-1' for '--seed <SEED>'"), "{said}");

    let continued = "experiment 2 --preset tiny --image-dir own --model-dir new \
                     --checkpoint run/model.safetensors";
    let said = fails(dir, &format!("{continued} --resnet-depth 50"), 1);
    assert!(said.contains("--resnet-depth"), "{said}");
    let selector = "experiment fine-tune --preset tiny --image-dir own --model-dir new \
                    --checkpoint run/model.safetensors --ft-proj-selector 9";
    let said = fails(dir, selector, 1);
    assert!(said.contains("ft_proj_selector"), "{said}");
    assert!(!dir.join("new").exists());
}

#[test]
fn options_without_the_ones_that_they_are_about_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, missing) in [
        (
            "select own --classifier c --out o --group-by ^(.*)_r",
            "--per-group",
        ),
        (
            "select own --classifier c --out o --per-group 2",
            "--group-by",
        ),
        (
            "tiles photographs --out o --min-class-share 0.5",
            "--intervals",
        ),
        (
            "tiles photographs --out o --intervals i.csv",
            "--core-width-cm",
        ),
        ("tiles photographs --out o --column top=From", "--depths"),
        (
            "log --predictions p.csv --tiles t.csv --out o --column top=From",
            "--truth",
        ),
        ("label --queue q.csv --out l.csv --sections s", "--tiles"),
    ] {
        let said = fails(dir.path(), arguments, 2);
        let expected = "required arguments were not provided";
        assert!(said.contains(expected) && said.contains(missing), "{said}");
    }
    for (options, expected) in [
        ("--half", "--half is for --format torchvision"),
        (
            "--format torchvision --layout nhwc",
            "--layout is for --format onnx",
        ),
        (
            "--format torchvision --image-size 32",
            "--image-size is for --format onnx",
        ),
        (
            "--format torchvision --no-heads",
            "--no-heads is for --format onnx",
        ),
    ] {
        let export = format!("export --checkpoint n.safetensors --out n.onnx {options}");
        let said = fails(dir.path(), &export, 1);
        assert!(said.contains(expected), "{said}");
    }
    let convert = "labels convert a.csv b.json --from-format csv --to-format coco --images own";
    let said = fails(dir.path(), convert, 1);
    assert!(
        said.contains("--images is for --to-format folders"),
        "{said}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let tensor = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
    tensor
        .save_safetensors("t", dir.join("t.safetensors"))
        .unwrap();
    for command in ["completions bash", "inspect t.safetensors", "run --help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_simclr"))
            .current_dir(dir)
            .args(command.split(' '))
            .stdout(writer)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.as_str()),
            (Some(0), ""),
            "{command}"
        );
    }
}
