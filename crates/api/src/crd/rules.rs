//! Rules across fields, in CEL for the API server; `lower` says the same in Rust, and more kindly.
//!
//! The API server refuses a rule whose worst case is too dear: lists of names are bound once (`[names].all(n, …)`), and
//! everything reached has a bound in the types.

use serde_json::{Value, json};

/// Rules of one schema node.
pub(crate) struct Rules(&'static [Rule]);

struct Rule {
    rule: &'static str,
    message: &'static str,
    /// Names the offender, where the message alone would leave the reader searching.
    expression: Option<&'static str>,
}

impl Rules {
    pub(crate) fn json(&self) -> Value {
        let row = |r: &Rule| {
            let mut row = json!({"rule": r.rule, "message": r.message});
            if let Some(expression) = r.expression {
                row["messageExpression"] = expression.into();
            }
            row
        };
        self.0.iter().map(row).collect()
    }
}

const fn rule(rule: &'static str, message: &'static str) -> Rule {
    Rule { rule, message, expression: None }
}

pub(crate) const OBJECT: Rules = Rules(&[rule(
    "self.metadata.name.size() <= 244",
    "metadata.name has more than 244 characters; a ConfigMap beside the policy has the name llmroute-NAME",
)]);

pub(crate) const SPEC: Rules = Rules(&[
    Rule {
        rule: "[self.providers.map(p, p.name)].all(names, self.scenes.all(s, s.targets.all(t, t.provider in names)))",
        message: "a target names a provider that is not in spec.providers",
        expression: Some(
            "'unknown provider ' + self.scenes.map(s, s.targets.map(t, t.provider)).flatten().filter(n, !(n in self.providers.map(p, p.name)))[0]",
        ),
    },
    rule(
        "!has(self.classify) || [self.scenes.map(s, s.name)].all(names, (!has(self.classify.rules) || self.classify.rules.all(r, !has(r.scene) || r.scene in names)) && (!has(self.classify.default) || !has(self.classify.default.scene) || self.classify.default.scene in names))",
        "classify names a scene that is not in spec.scenes",
    ),
    rule(
        "!has(self.classify) || [has(self.tiers) && size(self.tiers) > 0 ? self.tiers.map(t, t.name) : ['default']].all(names, (!has(self.classify.rules) || self.classify.rules.all(r, !has(r.tier) || r.tier in names)) && (!has(self.classify.default) || !has(self.classify.default.tier) || self.classify.default.tier in names))",
        "classify names a tier that is not in spec.tiers",
    ),
]);

pub(crate) const SELECTOR: Rules = Rules(&[rule(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    "In and NotIn need values, Exists and DoesNotExist have none",
)]);

pub(crate) const LABELS: Rules = Rules(&[rule(
    "self.all(k, k.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$'))",
    "has a key that is not a label key",
)]);

pub(crate) const HEADERS: Rules = Rules(&[
    rule("self.all(k, k.matches('^[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?$'))", "has a name that is not a header name"),
    rule(
        "self.all(k, !k.matches('(?i)^(authorization|x-api-key|api-key|cookie|host|content-length|content-type|content-encoding|accept-encoding|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|traceparent|proxy-.*|x-llmroute-.*)$'))",
        "has a header that the sidecar sets itself",
    ),
    rule("self.all(a, self.exists_one(b, a.lowerAscii() == b.lowerAscii()))", "has a header twice; names have no case"),
]);

pub(crate) const HINTS: Rules = Rules(&[rule(
    "self.all(k, !k.matches('(?i)^(authorization|x-api-key|api-key|cookie|host|content-length|content-type|content-encoding|accept-encoding|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|traceparent|proxy-.*|x-llmroute-.*)$'))",
    "has a header that is not for hints",
)]);

pub(crate) const PROBE: Rules = Rules(&[rule(
    "!has(self.timeout) || !has(self.interval) || self.timeout <= self.interval",
    "timeout is above interval",
)]);

pub(crate) const CONCURRENCY: Rules = Rules(&[rule("self.min <= self.max", "min is above max")]);

pub(crate) const RULE: Rules = Rules(&[rule("has(self.scene) || has(self.tier)", "gives neither scene nor tier")]);

pub(crate) const LADDER: Rules = Rules(&[
    rule("self.all(a, self.exists_one(b, a == b))", "names a rung twice"),
    rule("!self.exists(a, a == 'Reject') || self[size(self) - 1] == 'Reject'", "nothing comes after Reject"),
]);

pub(crate) const RETRIES: Rules =
    Rules(&[rule("!has(self.base) || !has(self.cap) || self.base <= self.cap", "base is above cap")]);

pub(crate) const BUDGET: Rules = Rules(&[rule(
    "!has(self.warnAt) || !has(self.degradeAt) || double(self.warnAt) <= double(self.degradeAt)",
    "warnAt is above degradeAt",
)]);

pub(crate) const BREAKER: Rules = Rules(&[rule(
    "!has(self.closeAfter) || !has(self.halfOpenProbes) || self.closeAfter <= self.halfOpenProbes",
    "closeAfter is above halfOpenProbes",
)]);

pub(crate) const CUTOVER: Rules = Rules(&[rule(
    "!has(self.watchAt) || !has(self.hardCutAt) || double(self.watchAt) <= double(self.hardCutAt)",
    "watchAt is above hardCutAt",
)]);

pub(crate) const STEPS: Rules = Rules(&[rule(
    "size(self) == 0 || (double(self[size(self) - 1]) == 1.0 && self.map(s, double(s)).isSorted())",
    "steps must rise and end with 1",
)]);

pub(crate) const OVERRIDE: Rules =
    Rules(&[rule("has(self.openCircuit) != has(self.order)", "has not exactly one of openCircuit and order")]);
