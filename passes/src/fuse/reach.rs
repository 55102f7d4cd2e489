//! Which clusters wait for which, kept up to date while clusters grow and merge.
//!
//! Fusion asks of nearly every node whether putting it in a cluster would close a circle. A search through the graph for each question takes
//! time quadratic in the graph; a row of bits for each cluster answers it at once and changes seldom, because a node that joins its only user
//! leads nowhere new.

/// For each cluster the clusters that are computed from it, itself included, as the transitive closure over the clusters that there are.
#[derive(Default)]
pub(super) struct Reach {
    after: Vec<Bits>,
}

impl Reach {
    /// Adds a cluster that nothing leads to, and that leads to `users` and what is after them. Clusters are numbered from 0 in the order of these calls.
    pub(super) fn start(&mut self, users: impl IntoIterator<Item = u32>) {
        let mut after = Bits::default();
        after.insert(self.after.len() as u32);
        for user in users {
            after.unite(&self.after[user as usize]);
        }
        self.after.push(after);
    }

    /// Makes a cluster, and all that lead to it, lead to `users` and what is after them.
    pub(super) fn grow(&mut self, cluster: u32, users: impl IntoIterator<Item = u32>) {
        let mut after = self.after[cluster as usize].clone();
        let mut changed = false;
        for user in users {
            changed |= after.unite(&self.after[user as usize]);
        }
        if changed {
            self.lead_to(cluster, &after);
        }
    }

    /// Makes one cluster of two: what led to `from` leads to `into` now. `from` is not to be asked about any more.
    pub(super) fn merge(&mut self, into: u32, from: u32) {
        let mut after = self.after[into as usize].clone();
        after.unite(&self.after[from as usize]);
        self.lead_to(into, &after);
        self.lead_to(from, &after);
    }

    /// Adds `after` to all clusters that lead to `cluster`.
    fn lead_to(&mut self, cluster: u32, after: &Bits) {
        for row in self.after.iter_mut().filter(|row| row.contains(cluster)) {
            row.unite(after);
        }
    }

    /// True if `to` is `from`, or is computed from it.
    pub(super) fn leads(&self, from: u32, to: u32) -> bool {
        self.after[from as usize].contains(to)
    }
}

/// A set of small numbers.
#[derive(Clone, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn contains(&self, bit: u32) -> bool {
        self.0.get(bit as usize / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn insert(&mut self, bit: u32) {
        let word = bit as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (bit % 64);
    }

    /// Adds another set; says whether it had anything new.
    fn unite(&mut self, other: &Self) -> bool {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        let mut changed = false;
        for (own, more) in self.0.iter_mut().zip(&other.0) {
            changed |= more & !*own != 0;
            *own |= more;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::Reach;

    /// 3 leads to 1 and 2, both lead to 0; 4 stands alone.
    fn diamond() -> Reach {
        let mut reach = Reach::default();
        for users in [&[][..], &[0], &[0], &[1, 2], &[]] {
            reach.start(users.iter().copied());
        }
        reach
    }

    fn pairs(reach: &Reach, clusters: &[u32]) -> Vec<(u32, u32)> {
        let all = clusters.iter().flat_map(|&a| clusters.iter().map(move |&b| (a, b)));
        all.filter(|&(a, b)| a != b && reach.leads(a, b)).collect()
    }

    #[test]
    fn a_cluster_leads_to_its_users_and_theirs() {
        assert_eq!(pairs(&diamond(), &[0, 1, 2, 3, 4]), [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]);
    }

    #[test]
    fn what_leads_to_a_grown_cluster_leads_further() {
        let mut reach = diamond();
        reach.grow(1, [4]);
        assert_eq!(pairs(&reach, &[0, 1, 2, 3, 4]), [(1, 0), (1, 4), (2, 0), (3, 0), (3, 1), (3, 2), (3, 4)]);
    }

    #[test]
    fn merged_clusters_are_led_to_by_what_led_to_either() {
        let mut reach = diamond();
        reach.start([4]);
        reach.merge(2, 4);
        // 5 led to 4, which is 2 now; 1 has nothing to do with it.
        assert_eq!(pairs(&reach, &[0, 1, 2, 3, 5]), [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (5, 0), (5, 2)]);
    }

    #[test]
    fn numbers_beyond_a_word_are_kept_apart() {
        let mut reach = Reach::default();
        reach.start([]);
        (1..200).for_each(|i| reach.start([i - 1]));
        assert!(reach.leads(199, 0) && reach.leads(130, 65) && !reach.leads(65, 130));
    }
}
