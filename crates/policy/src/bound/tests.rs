use proptest::prelude::*;

use super::*;
use crate::catalogue::{ServerToolCosts, find};

fn wire<'a>(model: &'a str, facts: Option<&'a ModelFacts>, limit: Option<u64>) -> Wire<'a> {
    let api = if model.starts_with("claude") { Api::Anthropic } else { Api::OpenAi };
    Wire { api, model, facts, limit }
}

/// A plain message of `bytes` bytes of text.
fn text(bytes: u64) -> Content {
    Content { text_bytes: bytes + STRUCTURE, messages: 1, ..Content::default() }
}

#[track_caller]
fn bound(model: &str, content: &Content, limit: Option<u64>) -> Bound {
    worst(content, &wire(model, find(model).as_ref(), limit)).unwrap()
}

#[test]
fn what_stands_in_the_body_is_counted_by_bytes() {
    let rows: &[(&str, Content, u64)] = &[
        ("gpt-6-sol", text(100), 100 + 8 + 64),
        ("claude-opus-5", text(100), 100 + 8 + 64),
        ("gpt-6-sol", Content { messages: 3, ..text(500) }, 500 - 56 + 24 + 64),
        ("gpt-6-sol", Content { tools: 2, ..text(0) }, 72 + 256 + 32),
        ("claude-opus-5", Content { tools: 2, defined_tools: 1, ..text(0) }, 72 + 1024 + 32 + 2048),
        ("gpt-6-sol", Content { schema: true, ..text(0) }, 72 + 256),
        ("gpt-6-sol", Content { images: 1, high_images: 1, low_images: 1, ..text(0) }, 72 + 16_200 + 4_050 + 630),
        ("claude-opus-5", Content { images: 1, low_images: 1, ..text(0) }, 72 + 10_000),
        // Whatever it is, no more than the context; what lies elsewhere may be all of it.
        ("claude-haiku-4-5", text(10_000_000), 200_000),
        ("claude-haiku-4-5", Content { elsewhere: true, ..text(1) }, 200_000),
        ("gpt-6-sol", Content { text_bytes: 3, messages: 9, ..text(0) }, 72 + 64),
    ];
    for (model, content, want) in rows {
        assert_eq!(bound(model, content, Some(1)).input_tokens, *want, "{model} {content:?}");
    }
    let facts = ModelFacts { image_tokens: Some(7), ..find("gpt-6-sol").unwrap() };
    let content = Content { images: 2, low_images: 1, ..text(0) };
    assert_eq!(worst(&content, &wire("gpt-6-sol", Some(&facts), Some(1))).unwrap().input_tokens, 72 + 21);
}

#[test]
fn output_is_what_the_wire_allows_for_each_answer() {
    let rows: &[(Content, Option<u64>, u64)] = &[
        (text(1), Some(100), 100),
        (Content { answers: 3, ..text(1) }, Some(100), 300),
        (Content { prediction_bytes: 50, answers: 2, ..text(1) }, Some(100), 300),
        (Content { thinking_tokens: 2000, ..text(1) }, Some(100), 2000),
        (text(1), None, 128_000),
    ];
    for (content, limit, want) in rows {
        assert_eq!(bound("gpt-6-sol", content, *limit).output_tokens, *want, "{content:?}");
    }
}

/// Each row: what is asked, and nano-dollars for a message without text (72 tokens of input) and one token of output.
#[test]
fn the_dearest_class_that_can_apply() {
    let mark = |cache| Content { cache, ..text(0) };
    let tier = |tier| Content { tier, ..text(0) };
    let rows: &[(&str, Content, u64)] = &[
        // OpenAI writes its cache unasked; Anthropic only where it is marked.
        ("gpt-6.2-sol", mark(CacheMark::None), 72 * 2_500 + 10_000),
        ("gpt-6.2-sol", mark(CacheMark::Long), 72 * 5_000 + 10_000),
        ("gpt-5.5", mark(CacheMark::None), 72 * 5_000 + 30_000),
        ("claude-opus-5", mark(CacheMark::None), 72 * 5_000 + 25_000),
        ("claude-opus-5", mark(CacheMark::Short), 72 * 6_250 + 25_000),
        ("claude-opus-5", mark(CacheMark::Long), 72 * 10_000 + 25_000),
        ("gpt-6-sol", tier(Tier::Standard), 72 * 2_500 + 10_000),
        ("gpt-6-sol", tier(Tier::Flex), 72 * 2_500 + 10_000),
        ("gpt-6-sol", tier(Tier::Priority), 2 * (72 * 2_500 + 10_000)),
        ("gpt-6-sol", tier(Tier::Fast), 2 * (72 * 2_500 + 10_000)),
        ("gpt-6-sol", tier(Tier::Ultrafast), 6 * (72 * 2_500 + 10_000)),
        ("gpt-5.4", tier(Tier::Unknown), 6 * (72 * 2_500 + 15_000)),
        ("claude-opus-5", tier(Tier::Priority), 72 * 5_000 + 25_000),
        ("claude-opus-5", Content { regional: true, ..tier(Tier::Fast) }, (72 * 5_000 + 25_000) * 22 / 10),
        // The cliff, by the bound, for the whole request.
        ("gpt-6-sol", text(272_000 - 72), 272_000 * 2_500 + 10_000),
        ("gpt-6-sol", text(272_001 - 72), 272_001 * 5_000 + 15_000),
        ("claude-haiku-5-5", Content { elsewhere: true, ..text(0) }, 1_000_000 * 500 + 2_500),
    ];
    for (model, content, nano) in rows {
        assert_eq!(bound(model, content, Some(1)).usd, Usd(*nano), "{model} {content:?}");
    }
}

#[test]
fn an_account_whose_default_tier_costs_more_says_so() {
    let mut facts = find("gpt-6-sol").unwrap();
    facts.price.as_mut().unwrap().tiers.auto = 200;
    let of = |content: &Content| worst(content, &wire("gpt-6-sol", Some(&facts), Some(1))).unwrap().usd;
    assert_eq!(of(&text(0)), Usd(2 * (72 * 2_500 + 10_000)));
    assert_eq!(of(&Content { tier: Tier::Standard, ..text(0) }), Usd(72 * 2_500 + 10_000));
}

#[test]
fn a_policy_that_writes_less_than_a_model_takes_bounds_nothing_by_it() {
    let sol = find("gpt-6-sol").unwrap();
    let small = ModelFacts { context_tokens: Some(1000), max_output_tokens: Some(10), ..sol };
    let b = worst(&Content { elsewhere: true, ..text(0) }, &wire("gpt-6-sol", Some(&small), None)).unwrap();
    assert_eq!((b.input_tokens, b.output_tokens), (1_050_000, 128_000));
    let own = ModelFacts { name: "own".into(), ..small };
    let b = worst(&Content { elsewhere: true, ..text(0) }, &wire("own", Some(&own), None)).unwrap();
    assert_eq!((b.input_tokens, b.output_tokens), (1000, 10));
}

#[test]
fn what_has_no_bound_says_why() {
    let sol = find("gpt-6-sol").unwrap();
    let bare = ModelFacts { context_tokens: None, max_output_tokens: None, ..sol.clone() };
    let free = ModelFacts { price: None, ..sol.clone() };
    let mut search = Content::default();
    search.server_tools.add(ServerTool::WebSearch);
    let elsewhere = Content { elsewhere: true, ..text(0) };
    let media = Content { media: true, ..text(0) };
    let rows = [
        (text(1), None, Some(1), Unbounded::NoPrice, Cause::PriceUnknown),
        (text(1), Some(&free), Some(1), Unbounded::NoPrice, Cause::PriceUnknown),
        (text(1), Some(&bare), None, Unbounded::NoOutputLimit, Cause::CostUnbounded),
        (elsewhere, Some(&bare), Some(1), Unbounded::NoContextLength, Cause::CostUnbounded),
        (search, Some(&sol), Some(1), Unbounded::ServerTool(ServerTool::WebSearch), Cause::CostUnbounded),
        (media, Some(&sol), Some(1), Unbounded::Media, Cause::CostUnbounded),
    ];
    for (content, facts, limit, why, cause) in rows {
        let got = worst(&content, &wire("own", facts, limit)).unwrap_err();
        assert_eq!((got, got.cause()), (why, cause), "{content:?}");
        assert!(!got.sentence().is_empty());
    }
    assert_eq!(of_path(None), Err(Unbounded::NoPrice));
    let b = of_path(Some(Usd(9))).unwrap();
    assert_eq!((b.usd, b.closed_early(1_000_000), b.settled(Usd(5))), (Usd(9), Usd(9), Usd(5)));
}

#[test]
fn a_tool_of_the_provider_costs_what_the_policy_says_whatever_is_counted() {
    let mut facts = find("gpt-6-sol").unwrap();
    let costs: &mut ServerToolCosts = &mut facts.price.as_mut().unwrap().server_tools;
    costs.set(ServerTool::WebSearch, Usd(1_000_000));
    costs.set(ServerTool::Mcp, Usd(2_000_000));
    let mut content = text(0);
    let plain = worst(&content, &wire("gpt-6-sol", Some(&facts), Some(10))).unwrap();
    content.server_tools.add(ServerTool::WebSearch);
    content.server_tools.add(ServerTool::Mcp);
    let w = wire("gpt-6-sol", Some(&facts), Some(10));
    let b = worst(&content, &w).unwrap();
    assert_eq!((b.usd, b.tools_usd), (plain.usd.plus(Usd(3_000_000)), Usd(3_000_000)));
    assert_eq!(b.settled(Usd(5)), Usd(3_000_005));
    assert_eq!(tokens(&content, &w).unwrap(), Tokens { input: 1_050_000, output: 10 }, "they may fill the context");
}

#[test]
fn a_stream_that_we_closed() {
    // 72 tokens of input, 1000 of output at 10 USD a million.
    let b = bound("gpt-6-sol", &text(0), Some(1000));
    let input = 72 * 2_500;
    for (received, output) in [(0, 256), (100, 356), (744, 1000), (745, 1000), (u64::MAX, 1000)] {
        assert_eq!(b.closed_early(received), Usd(input + output * 10_000), "{received}");
    }
    let two = bound("gpt-6-sol", &Content { answers: 2, ..text(0) }, Some(1000));
    assert_eq!(two.closed_early(0), Usd(input + 512 * 10_000), "each answer has its own under way");
    assert_eq!(tokens(&text(0), &wire("gpt-6-sol", find("gpt-6-sol").as_ref(), Some(5))).unwrap().total(), 77);
}

proptest! {
    /// No split of no more tokens into classes costs more than the bound, in any tier that may then be billed.
    #[test]
    fn no_bill_within_the_tokens_exceeds_the_bound(
        row in prop::sample::select(catalogue::MODELS),
        bytes in 0u64..600_000, limit in 1u64..200_000,
        parts in prop::array::uniform5(0u64..=100), mark in 0u8..3, tier in 0u8..7, regional: bool,
    ) {
        let api = if row.name.starts_with("claude") { Api::Anthropic } else { Api::OpenAi };
        let cache = [CacheMark::None, CacheMark::Short, CacheMark::Long][usize::from(mark)];
        let tiers = [Tier::Auto, Tier::Standard, Tier::Flex, Tier::Priority, Tier::Fast, Tier::Ultrafast, Tier::Unknown];
        let names = [None, Some("default"), Some("flex"), Some("priority"), Some("fast"), Some("ultrafast"), Some("default")];
        let content = Content { cache, tier: tiers[usize::from(tier)], regional, ..text(bytes) };
        let facts = find(row.name);
        let b = worst(&content, &Wire { api, model: row.name, facts: facts.as_ref(), limit: Some(limit) }).unwrap();
        let part = |i: usize, of: u64| of * parts[i] / 100;
        let input = part(0, b.input_tokens);
        let cached = part(1, input);
        let written = part(2, input - cached);
        // Only what was asked for is written, and by OpenAI for the short time unasked.
        let long = if cache == CacheMark::Long { part(3, written) } else { 0 };
        let short = if api == Api::OpenAi || cache != CacheMark::None { written - long } else { 0 };
        let bill = catalogue::Tokens {
            input,
            cached,
            cache_write: short,
            cache_write_long: long,
            output: part(4, limit),
            service_percent: row.price.tiers.percent(names[usize::from(tier)], regional),
        };
        prop_assert!(row.price.cost(&bill) <= b.usd, "{bill:?} {b:?}");
        prop_assert!(b.closed_early(bill.output) <= b.usd);
        let listed = catalogue::Tokens { service_percent: 100, ..bill };
        prop_assert!(row.price.cost(&listed) <= b.closed_early(bill.output), "all of it was received");
    }
}
