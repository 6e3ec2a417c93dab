//! The pretend model: what it says to a request, always the same for the same request.

use serde_json::Value;

use crate::ask::{Ask, Choice, Format, Tool};
use crate::fault::Fault;
use crate::ids::Ids;
use crate::marker::{self, Marker};
use crate::schema;
use crate::tokens;

/// One answer of the model.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) thinking: Option<String>,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Finish,
    pub(crate) thinking_tokens: u64,
    /// Everything the model produced, thinking included.
    pub(crate) output_tokens: u64,
}

/// A tool call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text, or free text for a custom tool.
    pub(crate) arguments: String,
    pub(crate) custom: bool,
    pub(crate) namespace: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    End,
    Length,
    StopSequence(String),
    Tools,
    /// The model would not.
    Refusal,
    /// A filter stopped it.
    Filtered,
    /// A long turn may be gone on with (Messages).
    Paused,
    /// The context is full (Messages).
    WindowFull,
    /// A reason that nobody knows yet.
    Unknown,
}

/// The reason that nobody knows, as every API says it.
pub(crate) const UNKNOWN: &str = "x_unknown_reason";

/// What decides a turn besides the request.
#[derive(Clone, Debug)]
pub(crate) struct Mood<'a> {
    /// How many words a text answer has.
    pub(crate) words: usize,
    pub(crate) fault: Option<Fault>,
    pub(crate) marker: &'a Marker,
    /// How tool call ids begin, and how many characters follow.
    pub(crate) call_id: (&'static str, usize),
}

const FILLER: &[&str] =
    &["and", "so", "the", "answer", "goes", "on", "word", "by", "word", "until", "it", "is", "long", "enough"];

/// The answers to `ask`: `n` of them.
pub(crate) fn turns(ask: &Ask, mood: &Mood<'_>, ids: &mut Ids) -> Vec<Turn> {
    (0..ask.n.max(1)).map(|nth| turn(ask, mood, nth, ids)).collect()
}

fn turn(ask: &Ask, mood: &Mood<'_>, nth: usize, ids: &mut Ids) -> Turn {
    let mut left = match mood.fault {
        Some(Fault::IgnoreMaxTokens) => u64::MAX,
        _ => ask.max_tokens.unwrap_or(ask.model.max_output),
    };
    let mut turn = Turn {
        thinking: None,
        text: String::new(),
        calls: Vec::new(),
        finish: Finish::End,
        thinking_tokens: 0,
        output_tokens: 0,
    };
    if let Some(thinking) = ask.thinking {
        let (text, tokens, whole) = cut(&words("Let me think about this:", thinking.words), left);
        turn.thinking = Some(text);
        turn.thinking_tokens = tokens;
        turn.output_tokens = tokens;
        left -= tokens;
        if !whole {
            turn.finish = Finish::Length;
            return turn;
        }
    }
    let chosen = chosen(ask, mood);
    // Text comes before tool calls if the prompt wants it, and alone if no tool is called.
    if chosen.is_empty() || mood.marker.get("say").is_some() {
        let before = turn.output_tokens;
        say(ask, mood, nth, left, &mut turn);
        left -= (turn.output_tokens - before).min(left);
        if turn.finish != Finish::End {
            return turn;
        }
    }
    for (nth, tool) in chosen.iter().enumerate() {
        if tokens::count(&tool.name) > left {
            turn.finish = Finish::Length;
            break;
        }
        let (call, tokens, whole) = call(tool, nth, mood, left, ids);
        turn.calls.push(call);
        turn.output_tokens += tokens;
        left = left.saturating_sub(tokens);
        turn.finish = if whole { Finish::Tools } else { Finish::Length };
        if !whole {
            break;
        }
    }
    turn
}

fn say(ask: &Ask, mood: &Mood<'_>, nth: usize, left: u64, turn: &mut Turn) {
    let full = speech(ask, mood, nth);
    let (stopped, sequence) = match ask.stop.iter().filter_map(|s| full.find(s.as_str()).map(|at| (at, s))).min() {
        Some((at, sequence)) => (full[..at].to_owned(), Some(sequence.clone())),
        None => (full, None),
    };
    let (text, tokens, whole) = cut(&stopped, left);
    turn.text = text;
    turn.output_tokens += tokens;
    turn.finish = match sequence {
        _ if !whole => Finish::Length,
        Some(sequence) => Finish::StopSequence(sequence),
        None => match mood.fault {
            Some(Fault::Refusal) => Finish::Refusal,
            Some(Fault::ContentFilter) => Finish::Filtered,
            Some(Fault::PauseTurn) => Finish::Paused,
            Some(Fault::WindowFull) => Finish::WindowFull,
            Some(Fault::UnknownReason) => Finish::Unknown,
            _ => Finish::End,
        },
    };
}

/// The text answer before any limit.
fn speech(ask: &Ask, mood: &Mood<'_>, nth: usize) -> String {
    if mood.fault == Some(Fault::Refusal) {
        return "I'm sorry, but I cannot help with that.".to_owned();
    }
    if let Some(text) = mood.marker.get("say") {
        return text.to_owned();
    }
    match &ask.format {
        Format::Schema(schema) => return schema::example(schema, nth).to_string(),
        Format::AnyObject => return r#"{"answer":"sim"}"#.to_owned(),
        Format::Text => {}
    }
    let mut text = if ask.results.is_empty() {
        let said: Vec<String> = marker::strip(&ask.prompt).split_whitespace().take(12).map(str::to_owned).collect();
        format!("You said: {}.", said.join(" "))
    } else {
        let results: Vec<String> = ask.results.iter().map(|r| marker::strip(r).chars().take(200).collect()).collect();
        format!("The tools answered: {}.", results.join("; "))
    };
    match ask.images {
        0 => {}
        1 => text.push_str(" I see 1 image."),
        many => text.push_str(&format!(" I see {many} images.")),
    }
    if nth > 0 {
        text.push_str(&format!(" (choice {})", nth + 1));
    }
    let mut many = mood.marker.number("words").map_or(mood.words, |words| words as usize);
    // A limit that nobody set is the model's own, and above this.
    if let Some(limit) = ask.max_tokens.filter(|n| mood.fault == Some(Fault::IgnoreMaxTokens) && *n <= MOST_OVERRUN) {
        many = many.max((limit + limit / 2 + 1) as usize);
    }
    words(&text, many)
}

/// The longest limit that is overrun, in tokens: a longer answer would only cost time.
const MOST_OVERRUN: u64 = 16_384;

/// `text` and as many further words as make `words` in all.
fn words(text: &str, words: usize) -> String {
    let mut out = text.to_owned();
    let missing = words.saturating_sub(text.split_whitespace().count());
    for word in FILLER.iter().cycle().take(missing) {
        out.push(' ');
        out.push_str(word);
    }
    out
}

/// As much of `text` as `limit` tokens hold, their number, and whether that is all of it.
fn cut(text: &str, limit: u64) -> (String, u64, bool) {
    let mut end = 0;
    let mut used = 0;
    for piece in tokens::pieces(text) {
        let cost = tokens::count(piece);
        if used + cost > limit {
            return (text[..end].to_owned(), used, false);
        }
        used += cost;
        end += piece.len();
    }
    (text.to_owned(), used, true)
}

/// The tools that are called now.
fn chosen<'a>(ask: &'a Ask, mood: &Mood<'_>) -> Vec<&'a Tool> {
    let named = |name: &str| ask.tools.iter().find(|tool| tool.name == name);
    let first = match &ask.choice {
        Choice::None => None,
        Choice::Named(name) => named(name),
        Choice::Auto if mood.marker.get("tool") == Some("none") => None,
        // After results the model talks, unless one of them orders a further call.
        Choice::Auto if !ask.results.is_empty() && !ask.results.iter().any(|r| marker::is_in(r)) => None,
        Choice::Auto | Choice::Required => mood
            .marker
            .get("tool")
            .and_then(named)
            .or_else(|| ask.tools.iter().find(|tool| !tool.custom && ask.prompt.contains(&tool.name)))
            .or_else(|| ask.tools.iter().find(|tool| !tool.custom && tool.namespace.is_none()))
            .or_else(|| ask.tools.iter().find(|tool| !tool.custom))
            .or(ask.tools.first()),
    };
    let talks = [Fault::Refusal, Fault::ContentFilter, Fault::PauseTurn, Fault::WindowFull, Fault::UnknownReason];
    let Some(first) = first.filter(|_| !mood.fault.is_some_and(|fault| talks.contains(&fault))) else {
        return Vec::new();
    };
    let prompt = ask.prompt.to_ascii_lowercase();
    if !ask.parallel
        || !ask.results.is_empty()
        || !["twice", "both", "parallel"].iter().any(|word| prompt.contains(word))
    {
        return vec![first];
    }
    let second = ask.tools.iter().find(|tool| tool.name != first.name && !prompt.contains("twice"));
    vec![first, second.unwrap_or(first)]
}

fn call(tool: &Tool, nth: usize, mood: &Mood<'_>, left: u64, ids: &mut Ids) -> (Call, u64, bool) {
    let arguments = match mood.marker.get("args") {
        Some(args) => args.to_owned(),
        None if tool.custom => "sim".to_owned(),
        None => object(schema::example(&tool.schema, nth)).to_string(),
    };
    let name_tokens = tokens::count(&tool.name);
    let (arguments, tokens, whole) = cut(&arguments, left.saturating_sub(name_tokens));
    let (prefix, len) = mood.call_id;
    let call = Call {
        id: ids.alnum(prefix, len),
        name: tool.name.clone(),
        arguments,
        custom: tool.custom,
        namespace: tool.namespace.clone(),
    };
    (call, name_tokens + tokens, whole)
}

/// Arguments are an object whatever the schema says.
fn object(value: Value) -> Value {
    if value.is_object() { value } else { Value::Object(serde_json::Map::new()) }
}
