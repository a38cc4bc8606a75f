//! Who is right when members' states differ: the majority of the voters, if there is one. Pure.

use std::collections::BTreeMap;

use crate::model::MemberId;

/// What members' states have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No two differ, among those that answered.
    Agree,
    /// A majority of the voters agrees; these, ascending, differ from it.
    Odd {
        /// The members that differ.
        odd: Vec<MemberId>,
        /// The members of the majority.
        right: Vec<MemberId>,
    },
    /// They differ, and no majority is known to agree.
    Unknown {
        /// The members that agree with each other, by group.
        groups: Vec<Vec<MemberId>>,
        /// True if the voters that did not answer could make a majority.
        is_open: bool,
    },
}

/// Judges what members say: `said` has the value of each member that answered, voter or not.
pub fn judge<T: Ord + Clone>(voters: &[MemberId], said: &BTreeMap<MemberId, T>) -> Verdict {
    let mut by_value: BTreeMap<&T, Vec<MemberId>> = BTreeMap::new();
    for (member, value) in said {
        by_value.entry(value).or_default().push(*member);
    }
    if by_value.len() < 2 {
        return Verdict::Agree;
    }
    let majority = voters.len() / 2 + 1;
    let votes = |group: &Vec<MemberId>| group.iter().filter(|member| voters.contains(member)).count();
    let groups: Vec<Vec<MemberId>> = by_value.into_values().collect();
    if let Some(right) = groups.iter().find(|group| votes(group) >= majority) {
        let odd = said.keys().filter(|member| !right.contains(member)).copied().collect();
        return Verdict::Odd { odd, right: right.clone() };
    }
    let silent = voters.iter().filter(|voter| !said.contains_key(voter)).count();
    let is_open = groups.iter().any(|group| votes(group) + silent >= majority);
    Verdict::Unknown { groups, is_open }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on voters 1 to `voters`, by what each member says.
    fn verdict(voters: u64, said: &[(u64, u8)]) -> Verdict {
        let voters: Vec<MemberId> = (1..=voters).map(MemberId).collect();
        judge(&voters, &said.iter().map(|(member, value)| (MemberId(*member), *value)).collect())
    }

    fn ids(of: &[u64]) -> Vec<MemberId> {
        of.iter().copied().map(MemberId).collect()
    }

    #[test]
    fn those_outside_of_the_majority_are_odd_whoever_leads() {
        assert_eq!(verdict(3, &[(1, 7), (2, 7), (3, 7)]), Verdict::Agree);
        let odd = |odd: &[u64], right: &[u64]| Verdict::Odd { odd: ids(odd), right: ids(right) };
        assert_eq!(verdict(3, &[(1, 7), (2, 7), (3, 8)]), odd(&[3], &[1, 2]));
        assert_eq!(verdict(3, &[(1, 8), (2, 7), (3, 7)]), odd(&[1], &[2, 3]));
        assert_eq!(verdict(5, &[(1, 8), (2, 7), (3, 7), (4, 9), (5, 7)]), odd(&[1, 4], &[2, 3, 5]));
        // A learner has no vote, and may be wrong.
        assert_eq!(verdict(2, &[(1, 7), (2, 7), (3, 8)]), odd(&[3], &[1, 2]));
    }

    #[test]
    fn without_a_majority_nobody_is_odd() {
        let unknown = |groups: &[&[u64]], is_open| {
            let groups = groups.iter().map(|group| ids(group)).collect();
            Verdict::Unknown { groups, is_open }
        };
        assert_eq!(verdict(2, &[(1, 7), (2, 8)]), unknown(&[&[1], &[2]], false));
        assert_eq!(verdict(3, &[(1, 7), (2, 8)]), unknown(&[&[1], &[2]], true), "the third may decide");
        assert_eq!(verdict(3, &[(1, 7), (2, 8), (3, 9)]), unknown(&[&[1], &[2], &[3]], false));
        assert_eq!(verdict(4, &[(1, 7), (2, 7), (3, 8), (4, 8)]), unknown(&[&[1, 2], &[3, 4]], false));
        // Learners make no majority.
        assert_eq!(verdict(2, &[(1, 7), (2, 8), (3, 8)]), unknown(&[&[1], &[2, 3]], false));
    }

    #[test]
    fn one_that_answers_alone_agrees() {
        assert_eq!(verdict(3, &[(1, 7)]), Verdict::Agree);
        assert_eq!(verdict(3, &[]), Verdict::Agree);
    }
}
