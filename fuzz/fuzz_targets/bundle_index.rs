//! Any bytes as the index of a TensorFlow checkpoint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::tensorflow::Bundle;

fuzz_target!(|index: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let prefix = folder.path().join("m");
    let written = std::fs::write(folder.path().join("m.index"), index)
        .and_then(|()| std::fs::write(folder.path().join("m.data-00000-of-00001"), [7; 256]));
    if written.is_err() {
        return;
    }
    if let Ok(bundle) = Bundle::open(&prefix) {
        let names: Vec<String> = bundle
            .variables()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            let _ = bundle.read(&name);
            let _ = bundle.read_strings(&name);
        }
        let _ = bundle.object_graph();
        let _ = bundle.verify();
    }
});
