//! Random orders: a function of seed and epoch alone.

use ir::SplitMix64;

/// Uniform on `0..n`, by Lemire's multiplication with rejection (arXiv 1805.10941).
pub(super) fn below(random: &mut SplitMix64, n: u64) -> u64 {
    let threshold = n.wrapping_neg() % n;
    loop {
        let product = u128::from(random.bits()) * u128::from(n);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

/// `0..n` in a random order, each as likely as the others, by Fisher and Yates.
pub(super) fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    // Mixing the epoch in by the generator itself: seeds next to each other would else share epochs.
    let mut random = SplitMix64::new(SplitMix64::new(seed).bits() ^ SplitMix64::new(epoch).bits());
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, below(&mut random, last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_everything_once_and_depends_on_seed_and_epoch() {
        let order = permutation(100, 7, 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
        assert_eq!(order, permutation(100, 7, 0));
        assert_ne!(order, permutation(100, 7, 1));
        assert_ne!(order, permutation(100, 8, 0));
        assert_eq!(permutation(1, 0, 0), [0]);
    }

    #[test]
    fn all_orders_of_three_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(permutation(3, 1, epoch)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Expected 1000 each, with a standard deviation of 29.
        assert!(counts.values().all(|n| (850..1150).contains(n)), "{counts:?}");
    }
}
