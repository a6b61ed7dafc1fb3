//! Any bytes as a block of a checkpoint's table, behind a correct checksum and footer: gets
//! past the checks that stop `bundle_index`. The first byte chooses the compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::tensorflow::Bundle;

const MAGIC: u64 = 0xdb47_7524_8b80_fb57;

fn push_varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn push_block(file: &mut Vec<u8>, block: &[u8], compression: u8) -> Vec<u8> {
    let mut handle = Vec::new();
    push_varint(&mut handle, file.len());
    push_varint(&mut handle, block.len());
    let stored = [block, &[compression]].concat();
    let checksum = crc32c::crc32c(&stored)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8);
    file.extend(stored);
    file.extend(checksum.to_le_bytes());
    handle
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, block)) = data.split_first() else {
        return;
    };
    let mut file = Vec::new();
    let handle = push_block(&mut file, block, choice % 3);
    // An index block with one entry, or the input itself as the index block.
    let index = match choice & 0x80 {
        0 => {
            let mut entry = vec![0, 1, handle.len() as u8, b'z'];
            entry.extend(&handle);
            entry.extend([0, 0, 0, 0, 1, 0, 0, 0]);
            push_block(&mut file, &entry, 0)
        }
        _ => handle,
    };
    let mut footer = [&[0, 0], index.as_slice()].concat();
    footer.resize(40, 0);
    footer.extend(MAGIC.to_le_bytes());
    file.extend(footer);

    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let written = std::fs::write(folder.path().join("m.index"), &file)
        .and_then(|()| std::fs::write(folder.path().join("m.data-00000-of-00001"), [7; 256]));
    if written.is_err() {
        return;
    }
    if let Ok(bundle) = Bundle::open(folder.path().join("m")) {
        let names: Vec<String> = bundle
            .variables()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            let _ = bundle.read(&name);
            let _ = bundle.read_strings(&name);
        }
        let _ = bundle.object_graph();
    }
});
