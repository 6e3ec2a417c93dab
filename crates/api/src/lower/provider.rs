//! Providers: base URLs, headers, paths, limits, facts on models.

use std::{collections::BTreeMap, time::Duration};

use policy::{
    catalogue::{self, LongPrompt, ModelFacts, Price, ServerTool, ServerToolCosts, ServiceTiers},
    money::PerToken,
    snapshot as snap,
};

use super::{capability, count, span, usd};
use crate::{
    fault::Faults,
    form::quoted,
    text::{self, Factor, HeaderValue},
    types::{self, Api, CancelBilling, Concurrency, Limits, Model, Probe, Provider},
};

const PROBE_INTERVAL: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const BILL_HORIZON: Duration = Duration::from_secs(120);

pub(super) fn all(providers: &[Provider], faults: &mut Faults) -> Vec<snap::Provider> {
    let one = |(i, p)| provider(p, &format!("spec.providers[{i}]"), faults);
    providers.iter().enumerate().map(one).collect()
}

fn provider(provider: &Provider, path: &str, faults: &mut Faults) -> snap::Provider {
    let Provider {
        name,
        api,
        base_url,
        credential_key,
        headers,
        paths,
        http2,
        limits,
        probe,
        cancel_billing,
        bill_horizon,
        models,
    } = provider;
    let (family, home) = match api {
        Api::OpenAI | Api::ChatCompletions => (snap::Api::OpenAi, "https://api.openai.com"),
        Api::Anthropic => (snap::Api::Anthropic, "https://api.anthropic.com"),
    };
    let base = text::base_url(base_url.as_deref().unwrap_or(home)).unwrap_or_else(|| {
        let nowhere = snap::BaseUrl { tls: true, host: "".into(), port: 443, prefix: "".into() };
        faults.add(format!("{path}.baseUrl"), "is not a base URL", "write http:// or https:// with a host");
        nowhere
    });
    snap::Provider {
        name: (**name).into(),
        api: family,
        chat_only: *api == Api::ChatCompletions,
        base,
        credential_key: credential_key.as_deref().map(Into::into),
        headers: self::headers(headers, &format!("{path}.headers"), faults),
        paths: paths
            .iter()
            .map(|p| snap::PathRule { path: (*p.path).into(), cost: p.cost_usd.as_deref().map(usd) })
            .collect(),
        http2: http2.unwrap_or(false),
        limits: limits.as_ref().map(|l| self::limits(l, path, faults)).unwrap_or_default(),
        probe: self::probe(probe.as_ref().unwrap_or(&Probe::default()), path, faults),
        cancel_billing: match cancel_billing {
            None | Some(CancelBilling::Stops) => snap::CancelBilling::Stops,
            Some(CancelBilling::RunsOn) => snap::CancelBilling::RunsOn,
        },
        bill_horizon: bill_horizon.as_deref().map_or(BILL_HORIZON, span),
        models: models.iter().map(facts).collect(),
    }
}

fn headers(headers: &BTreeMap<String, HeaderValue>, path: &str, faults: &mut Faults) -> Vec<(Box<str>, Box<str>)> {
    let mut seen = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let at = format!("{path}[{}]", quoted(name));
        let lower = name.to_ascii_lowercase();
        if !text::is_header_name(name) {
            faults.add(at, "the name is not a header name", "use letters, digits and - such as x-team");
        } else if text::reserved_header(name) {
            faults.add(at, "is a header that the sidecar sets itself", "keys belong into credentialKey");
        } else if seen.iter().any(|(n, _): &(Box<str>, Box<str>)| **n == lower) {
            faults.add(at, "is there twice; header names have no case", "keep one of them");
        }
        seen.push((lower.into(), (**value).into()));
    }
    seen
}

fn limits(limits: &Limits, path: &str, faults: &mut Faults) -> snap::Limits {
    let Limits { requests_per_minute, tokens_per_minute, concurrency } = limits;
    let bounds = |c: &Concurrency| {
        if c.min > c.max {
            let path = format!("{path}.limits.concurrency.min");
            faults.add(path, format!("{} is above max, {}", c.min, c.max), "write a min of at most max");
        }
        (count(c.min), count(c.max))
    };
    snap::Limits {
        requests_per_minute: requests_per_minute.map(count),
        tokens_per_minute: tokens_per_minute.map(count),
        concurrency: concurrency.as_ref().map(bounds),
    }
}

fn probe(probe: &Probe, path: &str, faults: &mut Faults) -> snap::Probe {
    let Probe { interval, timeout } = probe;
    let interval = interval.as_deref().map(span);
    let timeout = timeout.as_deref().map(span);
    if let (Some(interval), Some(timeout)) = (interval, timeout)
        && timeout > interval
    {
        faults.add(format!("{path}.probe.timeout"), "is above interval", "write a timeout of at most interval");
    }
    let long = interval.unwrap_or(PROBE_INTERVAL);
    snap::Probe {
        interval: interval.or(timeout.filter(|t| *t > PROBE_INTERVAL)).unwrap_or(PROBE_INTERVAL),
        timeout: timeout.unwrap_or(PROBE_TIMEOUT.min(long)),
    }
}

/// A row of the policy; what it leaves open comes from the catalogue, field by field.
fn facts(model: &Model) -> ModelFacts {
    let Model { name, price, context_tokens, max_output_tokens, images, image_tokens, capabilities } = model;
    let known = catalogue::find(name);
    let known = known.as_ref();
    let listed = known.and_then(|k| k.price);
    ModelFacts {
        name: (**name).into(),
        price: price.as_ref().map(|p| self::price(p, listed)).or(listed),
        context_tokens: context_tokens.map(count).or(known.and_then(|k| k.context_tokens)),
        max_output_tokens: max_output_tokens.map(count).or(known.and_then(|k| k.max_output_tokens)),
        images: *images,
        image_tokens: image_tokens.map(count).or(known.and_then(|k| k.image_tokens)),
        capabilities: capabilities.as_ref().map(capability::capabilities).unwrap_or_default(),
    }
}

fn price(price: &types::Price, listed: Option<Price>) -> Price {
    let types::Price {
        input,
        cached_input,
        cache_write,
        cache_write_long,
        output,
        long_prompt,
        service_tiers,
        server_tools,
    } = price;
    let input = per_token(input);
    let or = |own: &Option<_>, listed: Option<PerToken>, percent: u64| {
        own.as_deref().map(per_token).or(listed).unwrap_or(PerToken(input.0.saturating_mul(percent) / 100))
    };
    Price {
        input,
        cached_input: or(cached_input, listed.map(|l| l.cached_input), 100),
        cache_write: or(cache_write, listed.map(|l| l.cache_write), 125),
        cache_write_long: or(cache_write_long, listed.map(|l| l.cache_write_long), 200),
        output: per_token(output),
        long_prompt: long_prompt.as_ref().map(cliff).or(listed.and_then(|l| l.long_prompt)),
        tiers: tiers(service_tiers.as_ref(), listed.map(|l| l.tiers).unwrap_or_default()),
        server_tools: self::server_tools(server_tools),
    }
}

fn tiers(own: Option<&types::ServiceTiers>, listed: ServiceTiers) -> ServiceTiers {
    let Some(types::ServiceTiers { auto, flex, priority, fast, ultrafast }) = own else { return listed };
    let or = |own: &Option<Factor>, listed| own.as_deref().and_then(text::factor_percent).unwrap_or(listed);
    ServiceTiers {
        auto: or(auto, listed.auto),
        flex: or(flex, listed.flex),
        priority: or(priority, listed.priority),
        fast: or(fast, listed.fast),
        ultrafast: or(ultrafast, listed.ultrafast),
    }
}

fn server_tools(tools: &[types::ServerToolCost]) -> ServerToolCosts {
    let mut costs = ServerToolCosts::NONE;
    for types::ServerToolCost { tool, cost_usd } in tools {
        costs.set(server_tool(*tool), usd(cost_usd));
    }
    costs
}

fn server_tool(tool: types::ServerTool) -> ServerTool {
    match tool {
        types::ServerTool::WebSearch => ServerTool::WebSearch,
        types::ServerTool::WebFetch => ServerTool::WebFetch,
        types::ServerTool::FileSearch => ServerTool::FileSearch,
        types::ServerTool::CodeExecution => ServerTool::CodeExecution,
        types::ServerTool::ImageGeneration => ServerTool::ImageGeneration,
        types::ServerTool::ComputerUse => ServerTool::ComputerUse,
        types::ServerTool::Mcp => ServerTool::Mcp,
        types::ServerTool::ToolSearch => ServerTool::ToolSearch,
        types::ServerTool::Advisor => ServerTool::Advisor,
        types::ServerTool::Compaction => ServerTool::Compaction,
        types::ServerTool::Fallback => ServerTool::Fallback,
        types::ServerTool::Other => ServerTool::Other,
    }
}

fn cliff(cliff: &types::LongPrompt) -> LongPrompt {
    let types::LongPrompt { above_tokens, input_factor, output_factor } = cliff;
    LongPrompt {
        above: count(*above_tokens),
        input_percent: text::factor_percent(input_factor).unwrap_or(100),
        output_percent: text::factor_percent(output_factor).unwrap_or(100),
    }
}

fn per_token(text: &str) -> PerToken {
    PerToken::parse_per_million(text).unwrap_or_default()
}
