//! Seals of thoughts on their way through another dialect: marked with the provider that made them, so that they come
//! back to it and to nobody else.

use crate::model::Seal;

/// No provider writes this in front of a signature.
const MARK: &str = "llmroute:";

/// What the ids of reasoning items begin with that no provider made.
pub(crate) const ITEM: &str = "rs_llmroute_";

/// The seal as the caller keeps it; a thought without one is marked too. `by`: the provider's name, which holds no colon.
pub(crate) fn close(seal: Option<&Seal>, by: &str) -> String {
    match seal {
        None => format!("{MARK}{by}:n:"),
        Some(Seal::Signature(data)) => format!("{MARK}{by}:s:{data}"),
        Some(Seal::Redacted(data)) => format!("{MARK}{by}:r:{data}"),
        Some(Seal::Encrypted { id, content }) => format!("{MARK}{by}:e:{id}:{content}"),
    }
}

/// Whether a signature is one that a provider would not know: ours.
pub(crate) fn is_ours(text: &[u8]) -> bool {
    text.starts_with(MARK.as_bytes())
}

/// The provider and its seal; `None` if the text is none of ours, or marks a thought without one.
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
            assert_eq!(open(&close(Some(&seal), "claude.eu-1")), Some(("claude.eu-1".into(), seal)));
        }
        let bare = close(None, "p");
        assert!(is_ours(bare.as_bytes()) && !is_ours(b"EqQBCg"));
        for other in [&bare, "", "EqQBCg", "llmroute:", "llmroute:a:s", "llmroute:a:x:d", "llmroute:a:e:d"] {
            assert_eq!(open(other), None, "{other}");
        }
    }
}
