//! An answer's stream as blocks, one open at a time, for dialects that tell them so.
//!
//! Nothing in a Chat stream says that a call is over, so it stays open until its arguments are a whole object and another
//! block wants to begin; what comes for other blocks meanwhile waits in order.

use std::collections::VecDeque;

use crate::{
    json,
    model::Seal,
    translate::{BadStream, MOST_HELD},
};

/// Blocks that are not over.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// The first is open if `is_open`, the others wait.
    blocks: VecDeque<Block>,
    is_open: bool,
    /// Bytes kept in blocks.
    held: usize,
}

/// A block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// Of a call, all its arguments so far; of others, what waits.
    pub(crate) held: String,
}

/// What a block is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Refusal,
    /// Over once it has been told so.
    Thought {
        seal: Option<Seal>,
        over: bool,
    },
    /// A thought without a word.
    Hidden(Seal),
    Call {
        key: u64,
        id: String,
        name: String,
    },
}

/// What is to be written.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A block begins; what it holds follows as a delta.
    Open(&'a Block),
    Delta(&'a Kind, &'a str),
    Close(&'a Block),
}

impl Blocks {
    /// Text of the kind at hand, which begins a block if the last one is of another kind.
    pub(crate) fn text(&mut self, kind: Kind, text: &str, write: &mut impl FnMut(Step<'_>)) -> Result<(), BadStream> {
        if self.blocks.back().is_none_or(|b| b.kind != kind) {
            self.blocks.push_back(Block { kind, held: String::new() });
            self.advance(write);
        }
        if self.is_open
            && self.blocks.len() == 1
            && let Some(block) = self.blocks.front()
        {
            write(Step::Delta(&block.kind, text));
            return Ok(());
        }
        self.hold(text.len())?;
        if let Some(block) = self.blocks.back_mut() {
            block.held.push_str(text);
        }
        Ok(())
    }

    /// The thought at hand is over; one without a word is a block too if it has a seal.
    pub(crate) fn end_thought(&mut self, seal: Option<Seal>, write: &mut impl FnMut(Step<'_>)) {
        match self.blocks.back_mut().map(|b| &mut b.kind) {
            Some(Kind::Thought { seal: place, over }) if !*over => (*place, *over) = (seal, true),
            _ => {
                let hidden = seal.map(|seal| Block { kind: Kind::Hidden(seal), held: String::new() });
                self.blocks.extend(hidden);
            }
        }
        self.advance(write);
    }

    /// A call begins.
    pub(crate) fn call(&mut self, key: u64, id: String, name: String, write: &mut impl FnMut(Step<'_>)) {
        self.blocks.push_back(Block { kind: Kind::Call { key, id, name }, held: String::new() });
        self.advance(write);
    }

    /// Arguments of a call.
    pub(crate) fn arguments(
        &mut self,
        key: u64,
        text: &str,
        write: &mut impl FnMut(Step<'_>),
    ) -> Result<(), BadStream> {
        let found = self.blocks.iter().rposition(|b| matches!(b.kind, Kind::Call { key: k, .. } if k == key));
        let Some(place) = found else {
            // A call whose arguments were whole has been closed: only white space can follow.
            return if text.trim().is_empty() { Ok(()) } else { Err(BadStream) };
        };
        // White space before an object is no part of it: else a call of nothing but white space has arguments other than the
        // empty object that its end tells.
        let is_first = self.blocks.get(place).is_some_and(|b| b.held.is_empty());
        let text = if is_first { text.trim_start() } else { text };
        if text.is_empty() {
            return Ok(());
        }
        self.hold(text.len())?;
        if let Some(block) = self.blocks.get_mut(place) {
            block.held.push_str(text);
            if place == 0 && self.is_open {
                write(Step::Delta(&block.kind, text));
            }
        }
        self.advance(write);
        Ok(())
    }

    /// Ends all blocks.
    pub(crate) fn finish(&mut self, write: &mut impl FnMut(Step<'_>)) {
        while !self.blocks.is_empty() {
            self.open(write);
            self.close(write);
        }
    }

    fn hold(&mut self, more: usize) -> Result<(), BadStream> {
        self.held += more;
        if self.held > MOST_HELD { Err(BadStream) } else { Ok(()) }
    }

    /// Opens the first block, and goes on to the next as long as one waits and the open one is whole.
    fn advance(&mut self, write: &mut impl FnMut(Step<'_>)) {
        loop {
            self.open(write);
            let is_whole = |b: &Block| match b.kind {
                Kind::Call { .. } => b.held.trim_end().ends_with('}') && json::check(b.held.as_bytes()).is_ok(),
                Kind::Text | Kind::Refusal | Kind::Thought { .. } | Kind::Hidden(_) => true,
            };
            if self.blocks.len() < 2 || !self.blocks.front().is_some_and(is_whole) {
                return;
            }
            self.close(write);
        }
    }

    /// Begins the first block, with what it holds.
    fn open(&mut self, write: &mut impl FnMut(Step<'_>)) {
        if std::mem::replace(&mut self.is_open, !self.blocks.is_empty()) {
            return;
        }
        let Some(block) = self.blocks.front_mut() else { return };
        write(Step::Open(block));
        if !block.held.is_empty() {
            write(Step::Delta(&block.kind, &block.held));
        }
        if !matches!(block.kind, Kind::Call { .. }) {
            self.held -= block.held.len();
            block.held.clear();
        }
    }

    /// Ends the first block.
    fn close(&mut self, write: &mut impl FnMut(Step<'_>)) {
        self.is_open = false;
        if let Some(block) = self.blocks.pop_front() {
            self.held -= block.held.len();
            write(Step::Close(&block));
        }
    }
}
