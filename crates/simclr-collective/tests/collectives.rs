//! The operations with one rank and with threads, and how ranks end together.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use simclr_collective::{Collective, Error, SingleProcess, run_threads};

const RANKS: [usize; 4] = [1, 2, 3, 5];

#[test]
fn gathered_numbers_stand_in_rank_order() {
    for size in RANKS {
        let gathered = run_threads(size, |ranks| {
            let own = [ranks.rank() as f64, 0.5];
            (
                ranks.all_gather(&own).unwrap(),
                ranks.all_gather::<f32>(&[]).unwrap(),
            )
        });
        let expected: Vec<f64> = (0..size).flat_map(|rank| [rank as f64, 0.5]).collect();
        assert_eq!(gathered, vec![(expected, Vec::new()); size]);
    }
}

#[test]
fn bytes_of_different_lengths_are_gathered_whole() {
    let texts = ["", "one", "three", "0\0"];
    for count in 1..=texts.len() {
        let gathered = run_threads(count, |ranks| {
            ranks
                .all_gather_varying(texts[ranks.rank()].as_bytes())
                .unwrap()
        });
        let expected: Vec<_> = texts[..count]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        assert_eq!(gathered, vec![expected; count]);
    }
}

#[test]
fn working_memory_of_other_sums_does_not_count() {
    let sums = run_threads(3, |ranks| {
        let mut received = Vec::new();
        [1003, 4, 0, 7, 500].map(|len: u32| {
            let own = 1 + ranks.rank() as u32;
            let mut values: Vec<u32> = (0..len).map(|i| own * (i + len)).collect();
            ranks.all_reduce_in(&mut values, &mut received).unwrap();
            let expected: Vec<u32> = (0..len).map(|i| (1 + 2 + 3) * (i + len)).collect();
            assert_eq!(values, expected);
            values.len()
        })
    });
    assert_eq!(sums, [[1003, 4, 0, 7, 500]; 3]);
}

#[test]
fn sums_are_formed_in_rank_order_to_the_bit() {
    // Added up in another order, these give other numbers.
    let term = |rank: usize, i: usize| (0.1 + i as f32 * 0.7).powi(rank as i32 * 3 - 4) * 1e3;
    for size in RANKS {
        for len in [0, 1, 4, 1003] {
            let sums = run_threads(size, |ranks| {
                // Those who come first must not be added first.
                std::thread::sleep(Duration::from_millis((size - ranks.rank()) as u64));
                let mut values: Vec<f32> = (0..len).map(|i| term(ranks.rank(), i)).collect();
                ranks.all_reduce(&mut values).unwrap();
                values
            });
            let in_order = |i| (1..size).fold(term(0, i), |sum, rank| sum + term(rank, i));
            let expected: Vec<f32> = (0..len).map(in_order).collect();
            assert_eq!(sums, vec![expected; size]);
        }
    }
    let reversed = (0..1003).any(|i| {
        let backwards = (0..4)
            .rev()
            .fold(term(4, i), |sum, rank| sum + term(rank, i));
        backwards != (1..5).fold(term(0, i), |sum, rank| sum + term(rank, i))
    });
    assert!(reversed, "the terms do not tell orders apart");
}

#[test]
fn a_broadcast_gives_the_numbers_of_its_root() {
    let values = run_threads(3, |ranks| {
        let mut values = [ranks.rank() as u64; 2];
        ranks.broadcast(2, &mut values).unwrap();
        ranks.barrier().unwrap();
        values
    });
    assert_eq!(values, [[2; 2]; 3]);
}

#[test]
fn minus_zero_and_a_single_rank_stay_as_they_are() {
    let single: &dyn Collective = &SingleProcess;
    let mut values = [-0.0f32, f32::MIN_POSITIVE / 4.0];
    single.all_reduce(&mut values).unwrap();
    assert_eq!(
        values.map(f32::to_bits),
        [-0.0f32, f32::MIN_POSITIVE / 4.0].map(f32::to_bits)
    );
    assert_eq!(single.all_gather(&values).unwrap(), values);
    assert_eq!((single.rank(), single.size()), (0, 1));
}

#[test]
fn an_abort_reaches_ranks_that_wait_and_those_that_come_later() {
    let errors = run_threads(3, |ranks| match ranks.rank() {
        1 => {
            ranks.abort("the loss is NaN");
            None
        }
        // Comes after the abort, in all likelihood; the result is the same if not.
        2 => {
            std::thread::sleep(Duration::from_millis(30));
            ranks.barrier().err()
        }
        _ => ranks.all_gather(&[1f32]).err(),
    });
    let aborted = Error::Aborted {
        rank: 1,
        message: "the loss is NaN".into(),
    };
    assert_eq!(errors, [Some(aborted.clone()), None, Some(aborted.clone())]);
    assert_eq!(
        aborted.to_string(),
        "rank 1 ended all ranks: the loss is NaN"
    );
}

#[test]
fn ranks_do_not_wait_for_one_that_has_returned_or_panicked() {
    let results = run_threads(2, |ranks| {
        // What rank 0 begins, rank 1 completes before it leaves.
        let gathered = ranks.all_gather(&[ranks.rank() as u64]);
        let second = (ranks.rank() == 0).then(|| ranks.barrier());
        (gathered, second)
    });
    assert_eq!(
        results[0],
        (Ok(vec![0, 1]), Some(Err(Error::Left { rank: 1 })))
    );
    let panicked = std::panic::catch_unwind(|| {
        run_threads(2, |ranks| {
            assert!(ranks.rank() == 0, "rank 1 panics");
            assert_eq!(ranks.barrier(), Err(Error::Left { rank: 1 }));
        })
    });
    let message = *panicked.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(message, "rank 1 panics");
}

#[test]
fn ranks_can_be_used_by_two_threads_each_in_an_order_of_their_own() {
    let sums = run_threads(3, |ranks| {
        let beside = ranks.beside().unwrap();
        assert!(beside.beside().is_none());
        std::thread::scope(|scope| {
            let gathered = scope.spawn(|| {
                let numbers = (0..20).map(|i| beside.all_gather(&[i + ranks.rank() as u64]));
                numbers.collect::<Result<Vec<_>, _>>().unwrap()
            });
            let mut sum = [ranks.rank() as f64];
            for _ in 0..ranks.rank() {
                std::thread::sleep(Duration::from_millis(3));
            }
            ranks.barrier().unwrap();
            ranks.all_reduce(&mut sum).unwrap();
            (sum, gathered.join().unwrap())
        })
    });
    let gathered: Vec<Vec<u64>> = (0..20).map(|i| vec![i, i + 1, i + 2]).collect();
    assert_eq!(sums, vec![([3.0], gathered); 3]);

    let errors = run_threads(2, |ranks| {
        let beside = ranks.beside().unwrap();
        if ranks.rank() == 0 {
            ranks.abort("stop");
        }
        beside.barrier().unwrap_err().to_string()
    });
    assert_eq!(errors, ["rank 0 ended all ranks: stop"; 2]);
}

#[test]
fn different_calls_at_the_same_time_are_refused_by_name() {
    let errors = run_threads(3, |ranks| {
        let len = if ranks.rank() == 2 { 3 } else { 2 };
        ranks.all_gather(&vec![0u8; len]).unwrap_err()
    });
    assert!(errors.iter().all(|error| *error == errors[0]));
    assert_eq!(
        errors[0].to_string(),
        "rank 2 calls all-gather of 3 bytes, but rank 0 calls all-gather of 2 bytes"
    );
}

#[test]
fn buffers_of_wrong_lengths_are_refused_before_anybody_waits() {
    let check = |ranks: &dyn Collective| {
        let size = ranks.size();
        let gather = ranks
            .all_gather_bytes(&[1, 2], &mut vec![0; 2 * size + 1])
            .unwrap_err();
        let scatter = ranks.all_to_all_bytes(&[1, 2], &mut [0]).unwrap_err();
        let broadcast = ranks.broadcast_bytes(size, &mut []).unwrap_err();
        [gather, scatter, broadcast].map(|error| error.to_string())
    };
    let expected = |size: usize| {
        [
            format!(
                "all-gather: expected a buffer of {size} x 2 bytes, found {}",
                2 * size + 1
            ),
            format!("all-to-all: expected 2 bytes, a multiple of {size}, found 1"),
            format!("broadcast: expected a root below {size}, found {size}"),
        ]
    };
    assert_eq!(check(&SingleProcess), expected(1));
    assert_eq!(
        run_threads(2, |ranks| check(ranks.as_ref())),
        [expected(2), expected(2)]
    );
}

/// What each of `lengths.len()` ranks gets that adds up so many numbers.
fn sums_of<T: bytemuck::Pod + std::ops::AddAssign + From<u8> + Send>(
    lengths: &[usize],
) -> Vec<Result<Vec<T>, Error>> {
    run_threads(lengths.len(), |ranks| {
        let mut values = vec![T::from(1); lengths[ranks.rank()]];
        let sum = ranks.all_reduce(&mut values).map(|()| values);
        // The ranks go on together.
        let ended = ranks.all_gather(&[u8::from(sum.is_err())]).unwrap();
        assert!(ended.iter().all(|&failed| failed == ended[0]));
        sum
    })
}

#[test]
fn sums_of_different_lengths_are_refused_on_every_rank() {
    // Parts of one length that hold different numbers, and none at all.
    for (lengths, rank) in [
        (vec![1000, 999], 1),
        (vec![999, 1000], 1),
        (vec![7, 7, 8], 2),
        (vec![0, 1], 1),
        (vec![2, 0, 0], 1),
    ] {
        let [found, expected] = [lengths[rank], lengths[0]];
        let refused = Error::Mismatch {
            rank,
            found: format!("all-reduce of {found} numbers"),
            expected: format!("all-reduce of {expected} numbers"),
        };
        assert_eq!(
            sums_of::<f32>(&lengths),
            vec![Err(refused.clone()); lengths.len()]
        );
        assert_eq!(sums_of::<u8>(&lengths), vec![Err(refused); lengths.len()]);
    }
    // Parts of different lengths, which the transport compares.
    let errors = run_threads(3, |ranks| {
        ranks
            .all_reduce(&mut vec![1f32; 100 * ranks.rank()])
            .unwrap_err()
    });
    assert!(matches!(errors[0], Error::Mismatch { rank: 1, .. }));
    assert_eq!(errors, vec![errors[0].clone(); 3]);
}

#[test]
fn numbers_of_every_size_are_added_up() {
    for size in [2, 3, 5] {
        for len in [0, 1, 2, 3, 23, 24, 25, 100] {
            let lengths = vec![len; size];
            let sum = size as u8;
            assert_eq!(sums_of(&lengths), vec![Ok(vec![sum; len]); size]);
            assert_eq!(sums_of(&lengths), vec![Ok(vec![u16::from(sum); len]); size]);
            assert_eq!(sums_of(&lengths), vec![Ok(vec![f32::from(sum); len]); size]);
            assert_eq!(sums_of(&lengths), vec![Ok(vec![u64::from(sum); len]); size]);
        }
    }
}
