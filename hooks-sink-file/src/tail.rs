//! Plans the write to a file that may end in the middle of a line. Pure: bytes in, a plan out.

/// A way to append lines so that the file ends with all of them, each whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The file ends with a whole line, or is empty: write all.
    Fresh,
    /// The file already ends with this many of the bytes: write those behind.
    Continue(usize),
    /// The file ends in the middle of a line that is none of these: end it, then write all.
    EndFragment,
}

impl Plan {
    /// The number of bytes that are there already.
    pub(crate) fn present(self) -> usize {
        match self {
            Self::Continue(present) => present,
            Self::Fresh | Self::EndFragment => 0,
        }
    }
}

/// Looks at the end of a file.
///
/// `text` is what is to be appended: lines, each with its `\n`. `tail` is the end of the file, at least
/// as many bytes as `text` has, or the whole file (`is_whole`).
///
/// A batch that a crash cut short comes again from its first line, so the file then ends with whole
/// lines of it and the beginning of one more. That is continued. What the fragment's beginning could
/// be taken for in two ways is taken for the earlier line: lines may come twice, none may be left out.
/// Whatever the plan, carrying it out leaves `text` whole at the end of the file.
pub(crate) fn plan(tail: &[u8], is_whole: bool, text: &[u8]) -> Plan {
    let fragment = match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => &tail[end + 1..],
        None if is_whole => tail,
        None => return Plan::EndFragment,
    };
    if fragment.is_empty() {
        return Plan::Fresh;
    }
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let present = start + fragment.len();
        if line.starts_with(fragment) && ends_with_lines(tail, is_whole, &text[..present]) {
            return Plan::Continue(present);
        }
        start += line.len();
    }
    Plan::EndFragment
}

/// The number of bytes of `text` that are whole lines within its first `length`.
pub(crate) fn whole_lines(text: &[u8], length: usize) -> usize {
    text[..length].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// True if the file ends with `lines`, and they begin where a line begins.
fn ends_with_lines(tail: &[u8], is_whole: bool, lines: &[u8]) -> bool {
    tail.strip_suffix(lines).is_some_and(|before| match before.last() {
        Some(byte) => *byte == b'\n',
        None => is_whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The file after the plan was carried out, and whether a fragment was ended.
    fn apply(file: &[u8], text: &[u8]) -> (Vec<u8>, Plan) {
        let tail = &file[file.len().saturating_sub(text.len())..];
        let plan = plan(tail, tail.len() == file.len(), text);
        let mut after = file.to_vec();
        if plan == Plan::EndFragment {
            after.push(b'\n');
        }
        after.extend_from_slice(&text[plan.present()..]);
        (after, plan)
    }

    fn ended(lines: &[String]) -> Vec<u8> {
        lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
    }

    /// Lines over a tiny alphabet, so that beginnings are often alike.
    fn lines(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[ab]{1,4}", count)
    }

    proptest! {
        /// Redelivery after a cut anywhere: nothing is left out, nothing torn, no fragment ended.
        #[test]
        fn a_batch_that_was_cut_anywhere_is_made_whole(before in lines(0..4), batch in lines(1..6), cut in any::<prop::sample::Index>()) {
            let text = ended(&batch);
            let cut = cut.index(text.len());
            let file = [ended(&before), text[..cut].to_vec()].concat();
            let (after, plan) = apply(&file, &text);
            prop_assert!(plan != Plan::EndFragment);
            prop_assert!(after.ends_with(&text));
            let known: Vec<&[u8]> = before.iter().chain(&batch).map(String::as_bytes).collect();
            for line in after.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n') {
                prop_assert!(known.contains(&line), "{:?}", String::from_utf8_lossy(line));
            }
        }

        /// Any file: what was there stays, the batch is whole behind it, and only whole lines follow.
        #[test]
        fn whatever_the_file_ends_with_the_batch_is_whole_at_its_end(file in "[ab\n]{0,20}", batch in lines(1..6)) {
            let text = ended(&batch);
            let (after, plan) = apply(file.as_bytes(), &text);
            prop_assert!(after.starts_with(file.as_bytes()));
            let rest = after.strip_suffix(&*text);
            prop_assert!(rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(b"\n")));
            if file.is_empty() || file.ends_with('\n') {
                prop_assert_eq!(plan, Plan::Fresh);
            }
        }
    }

    #[track_caller]
    fn check(file: &str, text: &str, want: Plan) {
        assert_eq!(apply(file.as_bytes(), text.as_bytes()).1, want, "{file:?} then {text:?}");
    }

    #[test]
    fn the_beginning_of_the_next_line_is_continued() {
        check("x\nab", "abc\nd\n", Plan::Continue(2));
        check("ab", "abc\nd\n", Plan::Continue(2));
        check("x\nabc", "abc\nd\n", Plan::Continue(3));
    }

    #[test]
    fn whole_lines_of_the_batch_before_the_fragment_are_not_repeated() {
        check("x\nabc\nde", "abc\ndef\ng\n", Plan::Continue(6));
        check("abc\nde", "abc\ndef\ng\n", Plan::Continue(6));
    }

    #[test]
    fn what_only_looks_like_a_later_line_is_ended() {
        check("x\nde", "abc\ndef\n", Plan::EndFragment);
        check("xabc\nde", "abc\ndef\n", Plan::EndFragment);
        check("x\nabcd", "abc\n", Plan::EndFragment);
        check("long ago and far away", "abc\n", Plan::EndFragment);
        check("x\n\0\0", "abc\n", Plan::EndFragment);
    }

    #[test]
    fn whole_lines_alone_are_never_taken_for_the_batch() {
        check("abc\n", "abc\nd\n", Plan::Fresh);
        check("", "abc\n", Plan::Fresh);
    }

    #[test]
    fn whole_lines_end_at_a_line_break() {
        assert_eq!(whole_lines(b"ab\ncd\n", 6), 6);
        assert_eq!(whole_lines(b"ab\ncd\n", 5), 3);
        assert_eq!(whole_lines(b"ab\ncd\n", 2), 0);
        assert_eq!(whole_lines(b"ab\ncd\n", 0), 0);
    }
}
