//! The program from photographs to a log, and what it says when something is wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use image::{DynamicImage, RgbImage};
use simclr_data::{
    Disturbance, ImageFolder, Seed, SyntheticHole, SyntheticHoleConfig, decode_file,
};
use simclr_drillcore::{TileRun, TileSettings};

use crate::common::{self, fails, simclr};

/// What a command says on standard output.
fn succeeds(dir: &Path, arguments: &str) -> String {
    common::succeeds(dir, arguments).0
}

/// Photographs and tables of a small hole.
fn hole(dir: &Path) -> SyntheticHole {
    let config = SyntheticHoleConfig::default()
        .with_sections(8)
        .with_pixels_per_cm(8.0)
        .with_kinds(vec![
            Disturbance::None,
            Disturbance::Brecciated,
            Disturbance::UpArching,
        ])
        .with_seed(Seed(5));
    let hole = SyntheticHole::new(config).unwrap();
    hole.write(dir).unwrap();
    hole
}

#[test]
fn photographs_become_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    hole(dir);
    let said = succeeds(
        dir,
        "tiles sections --depths sections.csv --intervals disturbance.csv --side 48 --overlap 0.5 --out cut --quiet",
    );
    assert!(said.contains("of 8 sections"), "{said}");
    succeeds(
        dir,
        "pretrain cut/tiles --model-dir run --image-size 32 --train-epochs 1 --train-batch-size 64 --quiet",
    );
    let said = succeeds(
        dir,
        "probe --encoder run/model.safetensors --labels cut/tiles.csv --image-size 32 --out c.safetensors --quiet",
    );
    assert!(said.contains("calibration: error"), "{said}");
    succeeds(
        dir,
        "predict cut/tiles --classifier c.safetensors --out p.csv --quiet",
    );
    succeeds(
        dir,
        "predict cut/tiles --classifier c.safetensors --format jsonl --abstain 0.9 --out p.jsonl --quiet",
    );
    #[cfg(feature = "parquet")]
    {
        succeeds(
            dir,
            "predict cut/tiles --classifier c.safetensors --format parquet --out p.parquet --quiet",
        );
        assert!(fs::read(dir.join("p.parquet")).unwrap().ends_with(b"PAR1"));
        assert!(!dir.join("p.parquet.part").exists());
    }
    let tiles = fs::read_to_string(dir.join("cut/tiles.csv"))
        .unwrap()
        .lines()
        .count();
    assert_eq!(
        fs::read_to_string(dir.join("p.csv"))
            .unwrap()
            .lines()
            .count(),
        tiles
    );
    let first: serde_json::Value = {
        let text = fs::read_to_string(dir.join("p.jsonl")).unwrap();
        assert_eq!(text.lines().count(), tiles - 1);
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    };
    assert_eq!(first["probabilities"].as_object().unwrap().len(), 3);
    let said = succeeds(
        dir,
        "log --predictions p.csv --tiles cut/tiles.csv --intervals disturbance.csv --truth disturbance.csv --out log",
    );
    assert!(said.contains("have the right class"), "{said}");
    for file in ["log.csv", "log.las", "intervals.las", "log.svg", "log.html"] {
        assert!(dir.join("log").join(file).is_file(), "{file}");
    }
    let log = "log --predictions p.csv --tiles cut/tiles.csv --no-pictures --out log3 --hole";
    succeeds(dir, &format!("{log} 999-U9999A"));
    let curves = fs::read_to_string(dir.join("log3/log.las")).unwrap();
    assert!(curves.contains(" WELL.  999-U9999A : WELL"), "{curves}");
    let said = fails(dir, &format!("{log} B"), 1);
    assert!(said.contains("there are 999-U9999A"), "{said}");
    succeeds(
        dir,
        "embed --checkpoint c.safetensors --image-dir cut/tiles --image-size 32 --out f.safetensors --quiet",
    );

    works_with_the_classifier(dir);
    depths_guide_pretraining(dir);

    // Nothing of what fails is written.
    fs::write(dir.join("empty.csv"), "image,p_none\n").unwrap();
    let said = fails(
        dir,
        "log --predictions empty.csv --tiles cut/tiles.csv --out log2",
        1,
    );
    assert!(
        said.contains("there are no predictions in the table"),
        "{said}"
    );
    let said = fails(
        dir,
        "predict cut/tiles --classifier run/model.safetensors --out q.csv",
        1,
    );
    assert!(said.contains("but no classifier"), "{said}");
    assert!(!dir.join("log2").exists() && !dir.join("q.csv").exists());
}

/// Images are chosen, labelled and learnt from, and then others.
fn labels_are_given_in_rounds(dir: &Path) {
    let mut labelled = String::new();
    for (round, labels) in [(1, ""), (2, " --labels cut/labels.csv")] {
        let count = 12 / round;
        let select = "select cut/tiles --classifier c.safetensors --out rounds --quiet --count";
        succeeds(dir, &format!("{select} {count}{labels}"));
        // Of the first round's pictures nothing is left after the second.
        let pictures = fs::read_dir(dir.join("rounds/figures")).unwrap().count();
        assert_eq!(pictures, count);
        give_labels(dir, count);
        let table = fs::read_to_string(dir.join("cut/labels.csv")).unwrap();
        assert!(table.starts_with(&labelled), "{table}");
        assert_eq!(table.lines().count(), 1 + if round == 1 { 12 } else { 18 });
        assert!(table.contains("\ntiles/"), "{table}");
        labelled = table;
        succeeds(
            dir,
            "probe --encoder run/model.safetensors --labels cut/labels.csv --image-size 32 --train-fraction 0.5 --validation-fraction 0.25 --out l.safetensors --quiet",
        );
    }
}

/// Gives the images of `rounds/next.csv` two classes in turn, as the browser's page does.
fn give_labels(dir: &Path, count: usize) {
    let label = "label --queue rounds/next.csv --images cut/tiles --classes none,other --out cut/labels.csv";
    let mut program = Command::new(env!("CARGO_BIN_EXE_simclr"))
        .current_dir(dir)
        .args(label.split_whitespace())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    output.read_line(&mut said).unwrap();
    let address = said.split("http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap();
    let post = |path: &str, body: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    for index in 0..count {
        let class = index % 2;
        post(
            "/answer",
            &format!("{{\"index\": {index}, \"class\": {class}}}"),
        );
    }
    post("/finish", "null");
    assert!(program.wait().unwrap().success());
}

/// What else is done with tiles and a classifier.
fn works_with_the_classifier(dir: &Path) {
    // What a killed command has left does no harm, damaged or not.
    let whole = fs::read(dir.join("p.csv")).unwrap();
    let predict = "predict cut/tiles --classifier c.safetensors --out p.csv --quiet";
    fs::remove_file(dir.join("p.csv")).unwrap();
    interrupt(dir, predict);
    let part = dir.join("p.csv.part");
    assert!(part.is_file() && dir.join("p.csv.part.json").is_file());
    let mut begun = fs::read(&part).unwrap();
    begun.extend(b"0123456789abcdef {\"class\": \"none\", \"novel\": false}\n");
    fs::write(&part, begun).unwrap();
    succeeds(dir, predict);
    assert_eq!(fs::read(dir.join("p.csv")).unwrap(), whole);
    assert!(!part.exists() && !dir.join("p.csv.part.json").exists());

    // No command replaces what it reads, or begins what it cannot end.
    for (arguments, expected) in [
        (
            "embed --checkpoint c.safetensors --image-dir cut/tiles --out c.safetensors",
            "reads the file",
        ),
        (
            "predict cut/tiles --classifier c.safetensors --out c.safetensors",
            "reads the file",
        ),
        (
            "predict cut/tiles --classifier c.safetensors --out none/p.csv",
            "none/p.csv",
        ),
        (
            "predict cut/tiles --classifier c.safetensors --out cut",
            "not a file",
        ),
        (
            "export --classifier c.safetensors --out c.safetensors",
            "reads the file",
        ),
        (
            "import --from run/model.safetensors --out run/model.safetensors",
            "reads the file",
        ),
        (
            "pretrain cut/tiles --model-dir cut/tiles/run",
            "a folder of images",
        ),
    ] {
        let said = fails(dir, arguments, 1);
        assert!(said.contains(expected), "{arguments}: {said}");
    }
    assert!(!dir.join("cut/tiles/run").exists());
    let said = succeeds(dir, "inspect f.safetensors --verify");
    assert!(said.ends_with("no damage found\n"), "{said}");

    let said = succeeds(
        dir,
        "select cut/tiles --classifier c.safetensors --count 6 --group-by ^(.*)_r --per-group 1 --out next --quiet",
    );
    assert!(said.contains("select: 6 of"), "{said}");
    let next = fs::read_to_string(dir.join("next/next.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(next.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let section = |row: &csv::StringRecord| row[1].split("_r").next().unwrap().to_owned();
    let sections: std::collections::BTreeSet<String> = rows.iter().map(section).collect();
    assert_eq!((rows.len(), sections.len()), (6, 6));
    assert!(
        rows.iter()
            .all(|row| row[2].is_empty() && row[5].contains("typical of"))
    );
    // With these as labels, others are chosen.
    let labels: String = rows
        .iter()
        .map(|row| format!("{},none\n", &row[1]))
        .collect();
    fs::write(dir.join("labels.csv"), format!("image,class\n{labels}")).unwrap();
    succeeds(
        dir,
        "select cut/tiles --classifier c.safetensors --count 6 --labels labels.csv --out more --quiet",
    );
    let more = fs::read_to_string(dir.join("more/next.csv")).unwrap();
    assert!(rows.iter().all(|row| !more.contains(&row[1])));
    let said = fails(
        dir,
        "select cut/tiles --classifier c.safetensors --out cut/tiles/next",
        1,
    );
    assert!(
        said.contains("lies in cut/tiles, a folder of images"),
        "{said}"
    );
    let said = fails(
        dir,
        "explain cut/tiles.csv --classifier c.safetensors --out cut/tiles/next",
        1,
    );
    assert!(
        said.contains("lies in cut/tiles, a folder of images"),
        "{said}"
    );
    assert!(!dir.join("cut/tiles/next").exists());
    labels_are_given_in_rounds(dir);

    let said = succeeds(
        dir,
        "labels convert p.csv tasks.json --from-format csv --to-format label-studio",
    );
    assert!(said.contains("-> tasks.json"), "{said}");
    let tasks = fs::read_to_string(dir.join("tasks.json")).unwrap();
    assert!(tasks.contains("predictions"));

    succeeds(
        dir,
        "explain cut/tiles.csv --classifier c.safetensors --section 999-U9999A-1H-1-A --cells 3 --most 4 --out why --quiet",
    );
    let page = fs::read_to_string(dir.join("why/report.html")).unwrap();
    assert!(page.contains("999-U9999A-1H-1-A, from the top:"), "{page}");

    succeeds(
        dir,
        "finetune --checkpoint run/model.safetensors --labels cut/tiles.csv --image-size 32 --train-epochs 1 --model-dir ft --out ft.safetensors --quiet",
    );
    succeeds(
        dir,
        "predict cut/tiles --classifier ft.safetensors --out q.csv --quiet",
    );
    fs::remove_file(dir.join("q.csv")).unwrap();

    succeeds(
        dir,
        "export --checkpoint run/model.safetensors --image-size 32 --out n.onnx",
    );
    succeeds(dir, "export --classifier c.safetensors --out c.onnx");
    let graph = fs::read(dir.join("c.onnx")).unwrap();
    let graph = String::from_utf8_lossy(&graph);
    assert!(
        graph.contains(r#"["brecciated","none","up-arching"]"#)
            && graph.contains(r#""resampling":"#)
    );
    succeeds(dir, "export --classifier ft.safetensors --out ft.onnx");
    succeeds(
        dir,
        "export --checkpoint run/model.safetensors --format torchvision --out t.safetensors",
    );
    let said = succeeds(dir, "import --from t.safetensors --out i.safetensors");
    assert!(said.contains("wrote i.safetensors"), "{said}");
    let said = succeeds(dir, "inspect i.safetensors --verify");
    assert!(said.contains("no damage found"), "{said}");
    let mut bytes = fs::read(dir.join("i.safetensors")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(dir.join("broken.safetensors"), bytes).unwrap();
    let said = fails(dir, "inspect broken.safetensors --verify", 1);
    assert!(
        said.contains("the checkpoint is damaged: 1 error"),
        "{said}"
    );

    let output = simclr(
        dir,
        "--log-format json embed --checkpoint c.safetensors --image-dir cut/tiles --image-size 32 --out g.safetensors",
    );
    let lines = String::from_utf8(output.stderr).unwrap();
    for line in lines.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["stage"], "embedding");
    }
    assert!(lines.contains("total_steps"));
}

/// Positives and masked negatives by the depths of tiles, and what is said where there are none.
fn depths_guide_pretraining(dir: &Path) {
    let pretrain = "pretrain cut/tiles.csv --image-size 32 --train-epochs 1 --train-batch-size 64 --quiet --model-dir guided";
    let guided = format!("{pretrain} --positives depth --radius 10cm --mask-negatives 0.5m");
    let said = succeeds(dir, &guided);
    assert!(said.contains("pretrain: contrastive loss"), "{said}");
    let config = fs::read_to_string(dir.join("guided/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["depth_guidance"]["positive_radius"], 0.1);
    assert_eq!(config["depth_guidance"]["negative_distance"], 0.5);
    let said = fails(dir, pretrain, 1);
    assert!(
        said.contains("positive_radius was 0.1, is absent"),
        "{said}"
    );
    let elsewhere = guided.replace("--model-dir guided", "--model-dir none");
    for (from, to, expected) in [
        (
            "cut/tiles.csv",
            "cut/tiles",
            "such as the tiles.csv of `simclr tiles`",
        ),
        ("10cm", "1mm", "positive_radius must be at least 0.0"),
        ("0.5m", "100m", "negative_distance must be at most"),
    ] {
        let said = fails(dir, &elsewhere.replace(from, to), 1);
        assert!(said.contains(expected), "{said}");
    }
    for wrong in [
        "--positives depth",
        "--positives depth --radius 10",
        "--radius 10cm",
    ] {
        fails(dir, &format!("{pretrain} {wrong}"), 2);
    }
    assert!(!dir.join("none").exists());
}

/// Runs a command and kills it as soon as it has begun with its file.
fn interrupt(dir: &Path, arguments: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_simclr"))
        .current_dir(dir)
        .args(arguments.split_whitespace())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !dir.join("p.csv.part.json").is_file() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn wrong_tables_and_options_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hole = hole(dir);
    let tables = hole.depth_table();
    let change =
        |from: &str, to: &str| fs::write(dir.join("wrong.csv"), tables.replace(from, to)).unwrap();
    for (from, to, expected) in [
        (
            "999,U9999,A,1,H,3,A,3.000,4.500,1.500\n",
            "",
            "no section that 999-U9999A-1H-3-A is named after",
        ),
        (
            ",3.000,4.500,1.500",
            ",0.500,2.000,1.500",
            "line 4: depth goes backwards",
        ),
        (
            ",3.000,4.500,1.500",
            ",2.500,4.000,1.500",
            "line 4: sections overlap",
        ),
        (
            ",1.500\n",
            ",150\n",
            "are its centimetres or feet taken for metres",
        ),
        (
            ",3.000,4.500,",
            ",-999.25,4.500,",
            "stands for a missing value",
        ),
    ] {
        change(from, to);
        let said = fails(
            dir,
            "tiles sections --depths wrong.csv --out cut --quiet",
            1,
        );
        assert!(said.contains(expected), "{said}");
        assert!(!dir.join("cut").exists(), "{expected}");
    }
    // The labels of other sections.
    let others = hole.interval_table().replace("U9999", "U9998");
    fs::write(dir.join("others.csv"), others).unwrap();
    let said = fails(
        dir,
        "tiles sections --intervals others.csv --pixels-per-cm 8 --out cut --quiet",
        1,
    );
    for expected in [
        "others.csv: none of the intervals belongs to a photograph: 999-U9998A-1H-1",
        "there are 999-U9999A-1H-1-A (depth unknown)",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!dir.join("cut").exists());
    // Warnings are no progress.
    let quiet = simclr(dir, "tiles sections --side 40 --out plain --quiet");
    let said = String::from_utf8(quiet.stderr).unwrap();
    let is_warning =
        |line: &str| line.starts_with("warning: 999-U9999A-") && line.contains("no scale: neither");
    assert!(
        said.lines().all(is_warning) && said.lines().count() == 8,
        "{said}"
    );
    let said = fails(dir, "tiles sections --out sections/cut --quiet", 1);
    assert!(said.contains("--out sections/cut lies in"), "{said}");
    assert!(!dir.join("sections/cut").exists());
    fails(dir, "tiles sections", 2);
    fails(dir, "tiles sections --out cut --crop 1,2,3", 2);
    fails(dir, "cut sections", 2);
    assert!(succeeds(dir, "--help").contains("tiles"));
    assert!(succeeds(dir, "completions bash").contains("_simclr"));
}

#[test]
fn a_log_says_which_tiles_count_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let tiles = (0..4).map(|tile| {
        let (top, bottom) = (f64::from(tile) / 10.0, f64::from(tile + 1) / 10.0);
        format!("{tile}.png,BH1,A,0,0,9,9,0,,,{top},{bottom},1,\n")
    });
    let header = "tile,section,hole,left,top,width,height,tilt,top_offset_cm,bottom_offset_cm,\
                  top_depth_m,bottom_depth_m,core_fraction,class\n";
    fs::write(
        dir.join("tiles.csv"),
        header.to_owned() + &tiles.collect::<String>(),
    )
    .unwrap();
    let rows = "image,class,p_x,p_y\n0.png,x,0.9,0.1\n1.png,,0.6,0.4\n2.png,,0.4,0.6\n";
    fs::write(dir.join("p.csv"), rows).unwrap();
    let log = "log --predictions p.csv --tiles tiles.csv --no-pictures --out log";
    let output = simclr(dir, log);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "warning: 1 of 4 tiles have no prediction and are gaps in the log\n\
         warning: 2 of 4 tiles have a class that was withheld (predict --abstain) and are gaps in the \
         log\n"
    );
    let table = fs::read_to_string(dir.join("log/log.csv")).unwrap();
    let expected = "top_m,bottom_m,class,confidence\n0.0000,0.1000,x,0.9000\n";
    assert_eq!(table, expected);
    let said = fails(dir, &log.replace("--no-pictures ", ""), 1);
    assert!(said.contains("simclr: tiles.csv: 0.png: the"), "{said}");
}

/// Photographs are read by rows, which must not be seen in what is written.
#[test]
fn tiles_are_those_of_the_decoded_photograph() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hole = hole(dir);
    let sections = dir.join("sections");
    for (index, extension) in [(1, "jpg"), (2, "bmp"), (3, "png")] {
        let path = sections.join(format!("other-{index}.{extension}"));
        let photograph = RgbImage::try_from(hole.photograph(index).unwrap()).unwrap();
        if extension == "png" {
            DynamicImage::from(photograph)
                .to_luma16()
                .save(path)
                .unwrap();
        } else {
            photograph.save(path).unwrap();
        }
    }
    succeeds(
        dir,
        "tiles sections --side 40 --overlap 0.3 --out rows --quiet",
    );

    let photographs = ImageFolder::unlabelled(&sections).unwrap();
    let settings = TileSettings::default().with_side(40).with_overlap(0.3);
    let run = TileRun::default().with_settings(settings);
    let whole = dir.join("whole");
    let report = run
        .cut(
            photographs.paths(),
            &whole,
            |path| decode_file(path),
            |_| (),
        )
        .unwrap();
    let mut files = vec!["tiles.csv".to_owned(), "sections.csv".to_owned()];
    files.extend(report.tiles.iter().map(|tile| tile.tile.clone()));
    files.extend(
        report
            .sections
            .iter()
            .map(|section| format!("previews/{}.svg", section.section)),
    );
    assert!(files.len() > 200);
    for file in files {
        let [rows, whole] =
            ["rows", "whole"].map(|out| fs::read(dir.join(out).join(&file)).unwrap());
        assert!(rows == whole, "{file}");
    }

    // Of a photograph that ends early, nothing is written.
    for extension in ["jpg", "bmp", "png"] {
        let path = fs::read_dir(&sections)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let path = path
            .filter(|path| path.extension().is_some_and(|e| e == extension))
            .min()
            .unwrap();
        let bytes = fs::read(&path).unwrap();
        let cut = dir.join(format!("cut.{extension}"));
        fs::write(&cut, &bytes[..bytes.len() * 9 / 10]).unwrap();
        let said = fails(dir, &format!("tiles cut.{extension} --out none --quiet"), 1);
        let expected = format!("cut.{extension}: the photograph cannot be read");
        assert!(said.contains(&expected), "{said}");
        assert!(!dir.join("none").exists());
    }
}
