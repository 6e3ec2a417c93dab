//! Levels of effort, and sets of them.

/// How much a model thinks, as all vendors spell it; in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// `none`
    None,
    /// `minimal`
    Minimal,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `xhigh`
    XHigh,
    /// `max`
    Max,
}

impl Effort {
    /// From the least to the most.
    pub const ALL: [Effort; 7] =
        [Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];

    /// By its word on the wire.
    #[must_use]
    pub fn of(word: &str) -> Option<Effort> {
        Effort::ALL.into_iter().find(|e| e.word() == word)
    }

    /// Its word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
            Effort::Max => "max",
        }
    }
}

/// A set of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Efforts(u8);

impl Efforts {
    /// No level.
    pub const EMPTY: Efforts = Efforts(0);
    /// Every level.
    pub const ALL: Efforts = Efforts::of(&Effort::ALL);

    /// Of these levels.
    #[must_use]
    pub const fn of(levels: &[Effort]) -> Efforts {
        let (mut set, mut i) = (0, 0);
        while i < levels.len() {
            set |= 1 << levels[i] as u8;
            i += 1;
        }
        Efforts(set)
    }

    /// Without one.
    #[must_use]
    pub fn without(self, level: Effort) -> Efforts {
        Efforts(self.0 & !(1 << level as u8))
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn has(self, level: Effort) -> bool {
        self.0 & (1 << level as u8) != 0
    }

    /// The one for `asked`: itself, else the next below it, else the least; `None` if there is none.
    #[must_use]
    pub fn nearest(self, asked: Effort) -> Option<Effort> {
        let mut all = Effort::ALL.into_iter().filter(|e| self.has(*e));
        let least = all.clone().next();
        all.rfind(|e| *e <= asked).or(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_never_more_than_asked_unless_nothing_is_less() {
        let some = Efforts::of(&[Effort::Low, Effort::High, Effort::Max]);
        let rows = [
            (Effort::None, Effort::Low),
            (Effort::Low, Effort::Low),
            (Effort::Medium, Effort::Low),
            (Effort::XHigh, Effort::High),
            (Effort::Max, Effort::Max),
        ];
        for (asked, want) in rows {
            assert_eq!(some.nearest(asked), Some(want), "{asked:?}");
        }
        assert_eq!(Efforts::EMPTY.nearest(Effort::Low), None);
        assert_eq!(some.without(Effort::Max).nearest(Effort::Max), Some(Effort::High));
        for level in Effort::ALL {
            assert_eq!(Effort::of(level.word()), Some(level));
            assert_eq!(Efforts::ALL.nearest(level), Some(level));
        }
    }
}
