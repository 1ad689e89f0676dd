//! One way to print an error together with its causes.

use std::error::Error;

/// An error and its causes on one line. A cause whose text already stands there is left out.
///
/// ```
/// let error = std::io::Error::other("the disk is full");
/// assert_eq!(hooks_core::chain(&error), "the disk is full");
/// ```
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn causes_follow_once_each() {
        let refused = Layer("connection refused", Some(Box::new(Layer("os error 111", None))));
        let repeated = Layer("can't connect: connection refused", Some(Box::new(refused)));
        assert_eq!(chain(&repeated), "can't connect: connection refused: os error 111");
    }
}
