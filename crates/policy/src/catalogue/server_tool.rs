//! Tools that the provider runs itself: no count of tokens bounds them, so a policy must say what they may cost.

use crate::money::Usd;

/// A tool that the provider runs itself, or work of its own that it bills to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerTool {
    /// Searches the web.
    WebSearch,
    /// Fetches pages.
    WebFetch,
    /// Searches stored files.
    FileSearch,
    /// Runs code in a container of the provider.
    CodeExecution,
    /// Makes images.
    ImageGeneration,
    /// Drives a computer, with a prompt of unknown length.
    ComputerUse,
    /// Calls remote MCP servers.
    Mcp,
    /// Looks for tools.
    ToolSearch,
    /// Asks a second model.
    Advisor,
    /// Sums up the conversation when it grows long.
    Compaction,
    /// Goes on with another model.
    Fallback,
    /// Anything newer; the last one, by which a test counts them.
    Other,
}

impl ServerTool {
    /// Every one, in order.
    pub const ALL: [ServerTool; 12] = [
        ServerTool::WebSearch,
        ServerTool::WebFetch,
        ServerTool::FileSearch,
        ServerTool::CodeExecution,
        ServerTool::ImageGeneration,
        ServerTool::ComputerUse,
        ServerTool::Mcp,
        ServerTool::ToolSearch,
        ServerTool::Advisor,
        ServerTool::Compaction,
        ServerTool::Fallback,
        ServerTool::Other,
    ];
}

/// Most that each of them may add to one request: its fees, and the tokens of its results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerToolCosts([Option<Usd>; ServerTool::ALL.len()]);

impl ServerToolCosts {
    /// None is priced.
    pub const NONE: ServerToolCosts = ServerToolCosts([None; ServerTool::ALL.len()]);

    /// The price of `tool`, if the policy gave it one.
    #[must_use]
    pub fn of(&self, tool: ServerTool) -> Option<Usd> {
        self.0.get(tool as usize).copied().flatten()
    }

    /// Prices `tool`.
    pub fn set(&mut self, tool: ServerTool, cost: Usd) {
        if let Some(place) = self.0.get_mut(tool as usize) {
            *place = Some(cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_the_price_that_it_was_given() {
        assert!(ServerTool::ALL.iter().enumerate().all(|(i, t)| *t as usize == i));
        assert_eq!(ServerTool::ALL.len(), ServerTool::Other as usize + 1);
        let mut costs = ServerToolCosts::default();
        costs.set(ServerTool::Other, Usd(5));
        assert_eq!((costs.of(ServerTool::WebSearch), costs.of(ServerTool::Other)), (None, Some(Usd(5))));
    }
}
