//! Bundles that are written here are read back, whatever is in them.
#![allow(clippy::unwrap_used)]

use crate::bundle::{TYPES, bytes_of, open_and_verify, parts};
use crate::support::{Layout, Written, write_bundle};
use proptest::prelude::*;
use simclr_checkpoint::ElementType;

/// A variable, its bytes in row-major order, and where it is cut along each axis.
fn any_variable() -> impl Strategy<Value = (usize, Vec<usize>, Vec<usize>, Vec<u8>)> {
    let shape = prop::collection::vec(0usize..9, 0..4);
    (0..TYPES.len(), shape).prop_flat_map(|(kind, shape)| {
        let count: usize = shape.iter().product::<usize>() * TYPES[kind].1.size();
        let cuts: Vec<_> = shape.iter().map(|&size| 0..=size).collect();
        let bytes = match TYPES[kind].1 {
            ElementType::Bool => prop::collection::vec(0u8..2, count).boxed(),
            _ => prop::collection::vec(any::<u8>(), count).boxed(),
        };
        (Just(kind), Just(shape), cuts, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(
        variables in prop::collection::btree_map("[a-z/_0-9]{1,40}", any_variable(), 0..20),
        shards in 1usize..4,
        block_size in 1usize..500,
        restart_interval in 1usize..20,
        snappy: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("model.ckpt");
        let layout = Layout { shards, block_size, restart_interval, snappy };
        let written: Vec<Written> = variables
            .iter()
            .map(|(name, (kind, shape, cuts, bytes))| Written {
                name: name.clone(),
                data_type: TYPES[*kind].0,
                shape: shape.iter().map(|&size| size as i64).collect(),
                parts: parts(bytes, TYPES[*kind].1.size(), shape, cuts, shards),
            })
            .collect();
        write_bundle(&prefix, &written, layout);
        let bundle = open_and_verify(&prefix).unwrap();
        prop_assert!(bundle.variables().map(|(name, _)| name).eq(variables.keys()));
        for (name, (kind, shape, _, bytes)) in &variables {
            let array = bundle.read(name).unwrap();
            prop_assert_eq!(&array.shape, shape);
            prop_assert_eq!(array.values.element_type(), TYPES[*kind].1);
            prop_assert!(bytes_of(&array.values) == *bytes, "{}", name);
        }
    }
}
