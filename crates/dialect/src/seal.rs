//! Seals of thoughts on their way through another dialect: marked with the provider that made them, so that they come
//! back to it and to nobody else.

use crate::model::Seal;

/// No provider writes this in front of a signature.
const MARK: &str = "llmroute:";

/// The seal as the caller keeps it. `by`: the provider's name, which holds no colon.
pub(crate) fn close(seal: &Seal, by: &str) -> String {
    match seal {
        Seal::Signature(data) => format!("{MARK}{by}:s:{data}"),
        Seal::Redacted(data) => format!("{MARK}{by}:r:{data}"),
        Seal::Encrypted { id, content } => format!("{MARK}{by}:e:{id}:{content}"),
    }
}

/// The provider and its seal; `None` if the text is none of ours.
pub(crate) fn open(text: &str) -> Option<(String, Seal)> {
    let (by, rest) = text.strip_prefix(MARK)?.split_once(':')?;
    let (kind, data) = rest.split_once(':')?;
    let seal = match kind {
        "s" => Seal::Signature(data.to_owned()),
        "r" => Seal::Redacted(data.to_owned()),
        "e" => {
            let (id, content) = data.split_once(':')?;
            Seal::Encrypted { id: id.to_owned(), content: content.to_owned() }
        }
        _ => return None,
    };
    Some((by.to_owned(), seal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_opens_again_and_nothing_else_does() {
        let seals = [
            Seal::Signature("a:b==".into()),
            Seal::Redacted(String::new()),
            Seal::Encrypted { id: "rs_1".into(), content: "c:d".into() },
        ];
        for seal in seals {
            assert_eq!(open(&close(&seal, "claude.eu-1")), Some(("claude.eu-1".into(), seal)));
        }
        for other in ["", "EqQBCg", "llmroute:", "llmroute:a:s", "llmroute:a:x:d", "llmroute:a:e:d"] {
            assert_eq!(open(other), None, "{other}");
        }
    }
}
