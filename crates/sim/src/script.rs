//! Scripted rules: which requests suffer what, in order, how often.

use std::collections::HashMap;

use serde_json::Value;

use crate::fault::{Act, Fault};
use crate::marker::Marker;
use crate::vendor::Vendor;

/// One rule of a script. The first that matches a request decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Which requests it is for.
    pub when: When,
    /// For how many of them; then it is skipped. Unset: all.
    pub times: Option<u64>,
    /// The share of them, in percent. Unset: all.
    pub percent: Option<f64>,
    /// What happens to them.
    pub act: Act,
}

/// Which requests a rule is for. What is unset matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Whose API.
    pub vendor: Option<Vendor>,
    /// How the path begins.
    pub path: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// A header that is there, as `name`, or has a value, as `name: value`.
    pub header: Option<String>,
    /// Whether a stream is asked.
    pub stream: Option<bool>,
}

/// What rules look at.
pub(crate) struct Facts<'a> {
    pub(crate) vendor: Vendor,
    pub(crate) path: &'a str,
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
    pub(crate) headers: &'a [(String, String)],
}

impl Rule {
    /// Every request suffers this fault.
    pub fn fault(fault: Fault) -> Rule {
        Rule { act: Act::fault(fault), ..Rule::default() }
    }

    /// Every request is treated so.
    pub fn act(act: Act) -> Rule {
        Rule { act, ..Rule::default() }
    }

    /// Only this often.
    pub fn times(mut self, times: u64) -> Rule {
        self.times = Some(times);
        self
    }

    /// Only this share of the requests, in percent.
    pub fn percent(mut self, percent: f64) -> Rule {
        self.percent = Some(percent);
        self
    }

    /// Only requests of this API.
    pub fn vendor(mut self, vendor: Vendor) -> Rule {
        self.when.vendor = Some(vendor);
        self
    }

    /// Only requests for this model.
    pub fn model(mut self, model: &str) -> Rule {
        self.when.model = Some(model.to_owned());
        self
    }

    /// Only requests whose path begins so.
    pub fn path(mut self, path: &str) -> Rule {
        self.when.path = Some(path.to_owned());
        self
    }

    /// Only requests that ask for a stream, or only those that do not.
    pub fn stream(mut self, stream: bool) -> Rule {
        self.when.stream = Some(stream);
        self
    }

    /// Only requests with this header, as `name` or `name: value`.
    pub fn header(mut self, header: &str) -> Rule {
        self.when.header = Some(header.to_owned());
        self
    }

    /// Reads one rule of a script.
    pub fn from_json(value: &Value) -> Result<Rule, String> {
        let members = value.as_object().ok_or_else(|| format!("a rule is an object, not {value}"))?;
        let mut rule = Rule::default();
        for (name, value) in members {
            match name.as_str() {
                "match" => rule.when = When::from_json(value)?,
                "times" => rule.times = Some(value.as_u64().ok_or("`times` is a whole number")?),
                "percent" => rule.percent = Some(value.as_f64().ok_or("`percent` is a number")?),
                name => {
                    if !rule.act.set_json(name, value)? {
                        return Err(format!("a rule has no member `{name}`"));
                    }
                }
            }
        }
        Ok(rule)
    }
}

impl When {
    fn from_json(value: &Value) -> Result<When, String> {
        let members = value.as_object().ok_or("`match` is an object")?;
        let mut when = When::default();
        for (name, value) in members {
            let text = || value.as_str().map(str::to_owned).ok_or_else(|| format!("`match.{name}` is a string"));
            match name.as_str() {
                "vendor" => {
                    let vendor = Vendor::by_name(&text()?);
                    when.vendor = Some(vendor.ok_or("`match.vendor` is `openai` or `anthropic`")?);
                }
                "path" => when.path = Some(text()?),
                "model" => when.model = Some(text()?),
                "header" => when.header = Some(text()?),
                "stream" => when.stream = Some(value.as_bool().ok_or("`match.stream` is true or false")?),
                other => return Err(format!("`match` has no member `{other}`")),
            }
        }
        Ok(when)
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        self.vendor.is_none_or(|vendor| vendor == facts.vendor)
            && self.path.as_ref().is_none_or(|path| facts.path.starts_with(path.as_str()))
            && self.model.as_ref().is_none_or(|model| model == facts.model)
            && self.stream.is_none_or(|stream| stream == facts.stream)
            && self.header.as_ref().is_none_or(|header| has(facts.headers, header))
    }
}

fn has(headers: &[(String, String)], wanted: &str) -> bool {
    let (name, value) = wanted.split_once(':').map_or((wanted, None), |(name, value)| (name, Some(value.trim())));
    let name = name.trim().to_ascii_lowercase();
    headers.iter().any(|(n, v)| *n == name && value.is_none_or(|value| v == value))
}

/// Reads a script: `{"seed": 7, "rules": [...]}`, or the list alone.
pub fn parse(value: &Value) -> Result<(Vec<Rule>, Option<u64>), String> {
    let rules = if value.is_array() { value } else { &value["rules"] };
    let rules = rules.as_array().ok_or("a script is a list of rules, or an object with `rules`")?;
    let rules =
        rules.iter().enumerate().map(|(i, rule)| Rule::from_json(rule).map_err(|why| format!("rules[{i}]: {why}")));
    Ok((rules.collect::<Result<_, _>>()?, value["seed"].as_u64()))
}

/// The rules in force and how often each was used.
pub(crate) struct Script {
    rules: Vec<(Rule, u64)>,
    rng: fastrand::Rng,
    markers: HashMap<String, u64>,
}

const MARKERS: usize = 10_000;

impl Script {
    pub(crate) fn new(rules: Vec<Rule>, seed: u64) -> Script {
        let rules = rules.into_iter().map(|rule| (rule, 0)).collect();
        Script { rules, rng: fastrand::Rng::with_seed(seed), markers: HashMap::new() }
    }

    /// What this request suffers: an order of its own comes before the rules.
    pub(crate) fn decide(&mut self, facts: &Facts<'_>, order: Option<&Marker>) -> Act {
        if let Some(act) = order.and_then(|marker| self.ordered(facts, marker)) {
            return act;
        }
        for (rule, used) in &mut self.rules {
            let left = rule.times.is_none_or(|times| *used < times);
            if !left || !rule.when.fits(facts) {
                continue;
            }
            if rule.percent.is_some_and(|percent| self.rng.f64() * 100.0 >= percent) {
                continue;
            }
            *used += 1;
            return rule.act.clone();
        }
        Act::default()
    }

    fn ordered(&mut self, facts: &Facts<'_>, marker: &Marker) -> Option<Act> {
        let vendor = marker.get("vendor").is_none_or(|name| name == facts.vendor.name());
        let model = marker.get("model").is_none_or(|name| name == facts.model);
        if !vendor || !model {
            return None;
        }
        if let Some(times) = marker.number("times") {
            if self.markers.len() >= MARKERS {
                self.markers.clear();
            }
            let used = self.markers.entry(marker.key()).or_default();
            if *used >= times {
                return None;
            }
            *used += 1;
        }
        let act = Act::from_marker(marker).ok()?;
        (act != Act::default()).then_some(act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts<'a>(vendor: Vendor, model: &'a str, headers: &'a [(String, String)]) -> Facts<'a> {
        Facts { vendor, path: "/v1/chat/completions", model, stream: false, headers }
    }

    #[test]
    fn rules_in_order_each_for_its_times() {
        let (rules, seed) = parse(&json!({"seed": 3, "rules": [
            {"match": {"vendor": "openai", "model": "gpt-6-sol"}, "times": 1, "fault": "rate_limit", "retry_after": 5},
            {"match": {"header": "X-A: b"}, "fault": "reset"},
            {"match": {"vendor": "openai"}, "times": 1, "fault": "cut_stream", "after": 2, "event_ms": 1},
        ]}))
        .unwrap();
        assert_eq!(seed, Some(3));
        let mut script = Script::new(rules, 0);
        let sol = |script: &mut Script| script.decide(&facts(Vendor::OpenAi, "gpt-6-sol", &[]), None);
        let first = sol(&mut script);
        assert_eq!((first.fault, first.retry_after.as_deref()), (Some(Fault::RateLimit), Some("5")));
        let second = sol(&mut script);
        assert_eq!((second.fault, second.after, second.event_ms), (Some(Fault::CutStream), Some(2), Some(1)));
        assert_eq!(sol(&mut script), Act::default());
        let headers = [("x-a".to_owned(), "b".to_owned())];
        assert_eq!(script.decide(&facts(Vendor::Anthropic, "m", &headers), None).fault, Some(Fault::Reset));
    }

    #[test]
    fn a_share_is_a_share() {
        let mut script = Script::new(vec![Rule::fault(Fault::ServerError).percent(10.0)], 7);
        let hits =
            (0..10_000).filter(|_| script.decide(&facts(Vendor::OpenAi, "m", &[]), None).fault.is_some()).count();
        assert!((900..1100).contains(&hits), "{hits}");
    }

    #[test]
    fn orders_in_the_prompt() {
        let mut script = Script::new(vec![Rule::fault(Fault::Reset)], 0);
        let marker = Marker::parse("fault=silence,vendor=openai,times=1");
        let mut ask = |vendor| script.decide(&facts(vendor, "m", &[]), Some(&marker)).fault;
        assert_eq!(ask(Vendor::Anthropic), Some(Fault::Reset));
        assert_eq!(ask(Vendor::OpenAi), Some(Fault::Silence));
        assert_eq!(ask(Vendor::OpenAi), Some(Fault::Reset));
    }

    #[test]
    fn bad_scripts_say_why() {
        for (script, why) in [
            (json!([{"fault": "nope"}]), "rules[0]: no fault is called `nope`; see --help"),
            (json!([{"foult": "reset"}]), "rules[0]: a rule has no member `foult`"),
            (json!([{"match": {"vendor": "x"}}]), "rules[0]: `match.vendor` is `openai` or `anthropic`"),
            (json!({}), "a script is a list of rules, or an object with `rules`"),
            (json!([{"after": "x"}]), "rules[0]: `after` must be a whole number, not `x`"),
        ] {
            assert_eq!(parse(&script).unwrap_err(), why);
        }
    }
}
