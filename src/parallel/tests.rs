//! What threads say to one another.

use super::{Communicator, GroupMember, ParallelError, SingleProcess, ThreadGroup, gather_blocks, share_block};

/// Numbers whose sum depends on the order in which they are added.
fn numbers(rank: usize) -> Vec<f32> {
    let of = |i: usize| 1.1f32 * (rank * rank + 1) as f32 * 10f32.powi((i * 7 + rank * 3) as i32 % 9 - 4);
    (0..50).map(of).collect()
}

#[test]
fn sums_are_added_by_rank_and_the_same_everywhere() {
    for size in 1..=5 {
        let sums = ThreadGroup::run(size, |member| {
            let (mut single, mut double) = (numbers(member.rank()), vec![member.rank() as f64 + 0.1; 3]);
            member.all_reduce(&mut single).unwrap();
            member.all_reduce_f64(&mut double).unwrap();
            (single, double)
        });
        let mut wanted = numbers(0);
        for rank in 1..size {
            wanted.iter_mut().zip(numbers(rank)).for_each(|(sum, x)| *sum += x);
        }
        let double = (1..size).fold(0.1, |sum, rank| sum + (rank as f64 + 0.1));
        for (single, of_double) in sums {
            assert_eq!(single, wanted, "{size}");
            assert_eq!(of_double, [double; 3], "{size}");
        }
    }
}

#[test]
fn blocks_of_any_lengths_reach_everybody() {
    let all = ThreadGroup::run(3, |member| {
        for _ in 0..100 {
            member.barrier().unwrap();
        }
        let own = vec![member.rank() as u8; member.rank() * 2];
        let gathered = gather_blocks(&member, &own).unwrap();
        let mut three = [member.rank() as u8; 3];
        member.broadcast(2, &mut three).unwrap();
        (gathered, share_block(&member, vec![7; 1 + member.rank()]).unwrap(), three)
    });
    for (gathered, shared, three) in all {
        assert_eq!(gathered, [vec![], vec![1; 2], vec![2; 4]]);
        assert_eq!((shared, three), (vec![7], [2; 3]));
    }
    let alone = SingleProcess;
    assert_eq!(gather_blocks(&alone, &[1, 2]).unwrap(), [[1, 2]]);
    assert_eq!(share_block(&alone, vec![3]).unwrap(), [3]);
    assert!(alone.all_gather(&[1], &mut [0, 0]).is_err());
}

#[test]
fn lengths_that_differ_are_told_of_in_all_ranks() {
    let errors = ThreadGroup::run(3, |member| {
        let mut buffer = vec![0.0f32; if member.rank() == 1 { 4 } else { 5 }];
        member.all_reduce(&mut buffer).unwrap_err()
    });
    assert_eq!(errors, vec![ParallelError::Length { rank: 1, found: 4, expected: 5 }; 3]);
}

/// What happens to the others when one doesn't come.
fn others(leave: impl Fn(GroupMember) + Sync) -> Vec<Option<ParallelError>> {
    ThreadGroup::run(3, |member| {
        member.barrier().unwrap();
        if member.rank() == 1 {
            leave(member);
            return None;
        }
        member.barrier().err()
    })
}

#[test]
fn nobody_waits_for_a_rank_that_has_failed() {
    for (error, message) in [
        (others(|member| member.abort("the disk is full")), "rank 1 has failed: the disk is full"),
        (others(drop), "rank 1 has failed: it has left the group"),
        (
            others(|member| {
                let panic =
                    std::thread::scope(|scope| scope.spawn(move || std::panic::panic_any(member.rank())).join());
                assert!(panic.is_err());
            }),
            "rank 1 has failed: it panicked",
        ),
    ] {
        let messages: Vec<Option<String>> = error.into_iter().map(|error| error.map(|e| e.to_string())).collect();
        assert_eq!(messages, [Some(message.to_string()), None, Some(message.to_string())]);
    }
}
