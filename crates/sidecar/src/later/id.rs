//! Ids of requests by id: ours, unguessable, and of one call.

use std::fmt;

use dialect::Dialect;
use hyper::Uri;
use policy::ask::Call;
use ring::rand::{SecureRandom, SystemRandom};

/// `resp_llmroute_<32 hex>` and its likes; whoever has it may fetch the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// The call, by its dialect.
    pub dialect: Dialect,
    /// 128 random bits, which nothing else shows.
    pub random: u128,
}

/// An id of ours as a caller wrote it: `None` behind the prefix is no id.
pub type Named = Option<Id>;

const CALLS: [(Dialect, &str, &str); 3] = [
    (Dialect::Chat, "/v1/chat/completions", "chatcmpl-llmroute-"),
    (Dialect::Responses, "/v1/responses", "resp_llmroute_"),
    (Dialect::Messages, "/v1/messages", "msg_llmroute_"),
];

impl Id {
    /// A new one; `None` where the system has no randomness.
    #[must_use]
    pub fn draw(dialect: Dialect) -> Option<Id> {
        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).ok()?;
        Some(Id { dialect, random: u128::from_be_bytes(random) })
    }

    /// Reads one of any call.
    #[must_use]
    pub fn parse(text: &str) -> Option<Id> {
        CALLS.iter().find_map(|(dialect, ..)| named(*dialect, text).flatten())
    }

    /// The path it is asked for under.
    #[must_use]
    pub fn path(&self) -> String {
        let post = CALLS.iter().find(|(d, ..)| *d == self.dialect).map_or("", |(_, path, _)| path);
        format!("{post}/{self}")
    }

    /// The call that it stands for.
    #[must_use]
    pub fn call(&self) -> Call {
        match self.dialect {
            Dialect::Chat => Call::Chat,
            Dialect::Responses => Call::Responses,
            Dialect::Messages => Call::Messages,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = CALLS.iter().find(|(d, ..)| *d == self.dialect).map_or("", |(.., prefix)| prefix);
        write!(f, "{prefix}{:032x}", self.random)
    }
}

/// Whether `text` has our prefix for this call, and the id behind it.
#[must_use]
pub fn named(dialect: Dialect, text: &str) -> Option<Named> {
    let (.., prefix) = CALLS.iter().find(|(d, ..)| *d == dialect)?;
    let hex = text.strip_prefix(prefix)?;
    let is_hex = hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Some(is_hex.then(|| u128::from_str_radix(hex, 16).ok()).flatten().map(|random| Id { dialect, random }))
}

/// A path below one of the three calls that has our prefix: the call, the id, and what follows it.
#[must_use]
pub fn below(path: &str) -> Option<(Dialect, Named, &str)> {
    CALLS.iter().find_map(|(dialect, post, _)| {
        let rest = path.strip_prefix(post)?.strip_prefix('/')?;
        let (text, more) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some((*dialect, named(*dialect, text)?, more))
    })
}

/// The path as it may be told: who reads of an id could fetch the answer.
#[must_use]
pub fn told_path(path: &str) -> &str {
    match below(path) {
        Some((Dialect::Chat, ..)) => "/v1/chat/completions/{id}",
        Some((Dialect::Responses, ..)) => "/v1/responses/{id}",
        Some((Dialect::Messages, ..)) => "/v1/messages/{id}",
        None => path,
    }
}

/// Path and query of a request, as they are kept.
#[must_use]
pub fn path_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |p| p.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_belongs_to_one_call() {
        for (dialect, post, prefix) in CALLS {
            let id = Id::draw(dialect).unwrap();
            let text = id.to_string();
            assert!(text.starts_with(prefix) && text.len() == prefix.len() + 32, "{text}");
            assert_eq!(Id::parse(&text), Some(id));
            assert_eq!(below(&id.path()), Some((dialect, Some(id), "")));
            assert_eq!(below(&format!("{post}/{text}/cancel")), Some((dialect, Some(id), "/cancel")));
            assert_eq!(told_path(&format!("{post}/{text}/cancel")), format!("{post}/{{id}}"));
            assert_ne!(Id::draw(dialect), Some(id));
        }
    }

    #[test]
    fn other_paths_and_ids() {
        let rows = [
            ("/v1/responses", None),
            ("/v1/responses/resp_68a", None),
            ("/v1/messages/msg_llmroute_12", Some((Dialect::Messages, None, ""))),
            ("/v1/responses/resp_llmroute_/x/y", Some((Dialect::Responses, None, "/x/y"))),
            ("/v1/messages/resp_llmroute_00000000000000000000000000000001", None),
            ("/v1/responses/resp_llmroute_0000000000000000000000000000000A", Some((Dialect::Responses, None, ""))),
        ];
        for (path, want) in rows {
            assert_eq!(below(path), want, "{path}");
        }
    }
}
