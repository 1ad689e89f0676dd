//! The names that were probably meant.

/// The candidate that is nearest to `name`, if it is near: at most one edit for every three characters,
/// and one at least. Upper and lower case are the same.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let lower = name.to_lowercase();
    let near = candidates.into_iter().map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate));
    near.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The most names that are listed whole.
const FEW: usize = 8;

/// The candidates as a list; of many those that are nearest to `name`, and how many others there are.
pub fn some<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = candidates.into_iter().collect();
    if all.is_empty() {
        return "none".to_owned();
    }
    if all.len() <= FEW {
        return all.join(", ");
    }
    let others = all.len() - FEW / 2;
    all.sort_by_cached_key(|candidate| distance(name, candidate));
    format!("{} and {others} others", all[..FEW / 2].join(", "))
}

/// The number of characters to be put in, taken out, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    // A name longer than any that exists is no typing error, and the table below would be large.
    if a.len().max(b.len()) > 256 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("url", "url", 0),
            ("urll", "url", 1),
            ("ulr", "url", 1),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn case_keeps_no_name_from_being_meant() {
        let methods = ["POST", "PUT", "PATCH"];
        assert_eq!(
            ["post", "Ptach", "pot", "GET", "x"].map(|name| nearest(name, methods)),
            [Some("POST"), Some("PATCH"), Some("POST"), None, None]
        );
    }

    #[test]
    fn of_many_names_the_nearest_are_listed() {
        assert_eq!(some("x", []), "none");
        assert_eq!(some("x", ["b", "a"]), "b, a");
        let names: Vec<String> = (0..2_000).map(|number| format!("hook-{number:04}")).collect();
        let listed = some("hook-17423", names.iter().map(String::as_str));
        assert!(listed.contains("hook-1742,") && listed.ends_with(" and 1996 others"), "{listed}");
        assert!(listed.len() < 80, "{listed}");
    }

    #[test]
    fn only_what_is_near() {
        let names = ["url", "secret", "max_events", "max_bytes"];
        assert_eq!(nearest("urll", names), Some("url"));
        assert_eq!(nearest("max_event", names), Some("max_events"));
        assert_eq!(nearest("secrte", names), Some("secret"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest(&"x".repeat(100_000), names), None);
    }
}
