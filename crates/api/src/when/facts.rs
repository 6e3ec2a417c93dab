//! What a condition may read: the members of `request`.

use policy::expr::{Flag, Num, Text};

/// Type and meaning of a member of `request`.
#[derive(Clone, Copy)]
pub(super) enum Fact {
    Text(fn() -> Text),
    Num(fn() -> Num),
    Flag(Flag),
    Headers,
}

/// All of them, in the order of the documentation.
const FACTS: [(&str, Fact); 11] = [
    ("path", Fact::Text(|| Text::Path)),
    ("model", Fact::Text(|| Text::Model)),
    ("stream", Fact::Flag(Flag::Stream)),
    ("tools", Fact::Num(|| Num::Tools)),
    ("images", Fact::Num(|| Num::Images)),
    ("documents", Fact::Num(|| Num::Documents)),
    ("messages", Fact::Num(|| Num::Messages)),
    ("inputBytes", Fact::Num(|| Num::InputBytes)),
    ("maxTokens", Fact::Num(|| Num::MaxTokens)),
    ("jsonSchema", Fact::Flag(Flag::JsonSchema)),
    ("headers", Fact::Headers),
];

pub(super) fn find(name: &str) -> Option<Fact> {
    FACTS.iter().find(|(n, _)| *n == name).map(|(_, fact)| *fact)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FACTS.iter().map(|(name, _)| *name)
}
