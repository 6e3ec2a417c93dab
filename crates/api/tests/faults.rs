//! Bad policies: every fault in one run, each with its path and remedy.

const SMALL: &str = include_str!("policies/small.yaml");
const FULL: &str = include_str!("policies/full.yaml");

fn faults(yaml: &str) -> Vec<String> {
    api::load(yaml).err().into_iter().flatten().map(|fault| fault.to_string()).collect()
}

/// Faults of the full policy with `from` replaced.
fn full_with(from: &str, to: &str) -> Vec<String> {
    assert!(FULL.contains(from), "{from}");
    faults(&FULL.replacen(from, to, 1))
}

#[test]
fn one_run_names_every_fault_of_form_and_meaning() {
    let yaml = r#"
apiVersion: llmroute.dev/v1alpha1
kind: LLMRoutePolicy
metadata: {name: Bad_Name}
spec:
  credentails: {secretName: keys}
  providers:
  - {name: openai, api: OpenAi, baseUrl: "api.openai.com"}
  - {name: openai, api: Anthropic, headers: {Authorization: "Bearer x"}}
  classify:
    rules:
    - {scene: code, when: "request.tool > 0"}
    - {when: "request.stream"}
    default: {tier: silber}
  tiers:
  - {name: gold, sla: 5x, maxCostUsd: 0.02, overBudget: [Reject, Trim]}
  - {name: silver, retries: {attempts: 0}}
  scenes:
  - {name: chat, targets: [{provider: opnai, model: gpt-6-sol}]}
  - {name: empty, targets: []}
  budgets:
  - {name: minute, window: 1s, warnAt: "0.9", degradeAt: "0.7"}
  breaker: {halfOpenProbes: 1, closeAfter: 2}
"#;
    let mut told = faults(yaml);
    let mut want = [
        "metadata.name: \"Bad_Name\" is not a name of a Kubernetes object; use lower-case letters, digits, - and . such as llm-keys",
        "spec.credentails: is not a field; did you mean credentials?",
        "spec.providers[0].api: \"OpenAi\" is not a value here; did you mean OpenAI?",
        "spec.providers[0].baseUrl: \"api.openai.com\" is not a base URL; write http:// or https:// with a host, then at most a port and a path, such as https://api.openai.com",
        "spec.providers[1].name: \"openai\" is the name of spec.providers[0] already; give each its own",
        "spec.providers[1].headers[\"Authorization\"]: is a header that the sidecar sets itself; keys belong into credentialKey",
        "spec.classify.rules[0].scene: \"code\" is not defined in spec.scenes; spec.scenes has chat, empty",
        "spec.classify.rules[0].when: does not compile: request has no tool; did you mean tools? (column 8); write a CEL condition such as request.tools > 0",
        "spec.classify.rules[1].scene: the rule gives neither scene nor tier; add scene, tier or both",
        "spec.classify.default.tier: \"silber\" is not defined in spec.tiers; did you mean silver?",
        "spec.tiers[0].sla: \"5x\" is not a duration; write a number with ms, s, m, h or d, such as 20s",
        "spec.tiers[0].maxCostUsd: 0.02 is not a string; write a decimal string with at most nine decimals, such as \"2.50\"",
        "spec.tiers[0].overBudget[1]: stands after Reject, where nothing is left to do; put Reject last",
        "spec.tiers[1].retries.attempts: 0 is out of range; write a whole number from 1 to 20",
        "spec.scenes[1].targets: is an empty list; it needs at least one item",
        "spec.budgets[0].window: \"1s\" is shorter than 5s; write a number with s, m, h or d from 5s to 31d, such as 24h",
        "spec.budgets[0].limitUsd: is missing; add it; write a decimal string with at most nine decimals, such as \"2.50\"",
        "spec.budgets[0].warnAt: is above degradeAt; warn no later than you degrade",
        "spec.breaker.closeAfter: 2 is above halfOpenProbes, 1, so the circuit could never close; write at most halfOpenProbes",
    ];
    told.sort();
    want.sort();
    assert_eq!(told, want);
}

#[test]
fn a_name_that_nobody_defines_is_told_where_the_list_is_sound() {
    let told = faults(&SMALL.replace("provider: openai", "provider: opnai"));
    let want = "is not defined in spec.providers; did you mean openai?";
    assert!(told.len() == 2 && told.iter().all(|t| t.contains(want)), "{told:?}");
    let told = faults(&SMALL.replace("name: claude", "name: 7"));
    assert!(told.len() == 1 && told[0].starts_with("spec.providers[1].name: 7 is not a string"), "{told:?}");
}

#[test]
fn one_fault_at_a_time() {
    let rows = [
        (
            "apiVersion: llmroute.dev/v1alpha1",
            "apiVersion: llmroute.dev/v1",
            "apiVersion: is \"llmroute.dev/v1\", not llmroute.dev/v1alpha1",
        ),
        ("kind: LLMRoutePolicy", "kind: LLMRoutePolice", "kind: is \"LLMRoutePolice\", not LLMRoutePolicy"),
        ("name: full, ", "", "metadata.name: is missing"),
        ("namespace: shop", "namespace: Shop", "metadata.namespace: \"Shop\" is not a name"),
        ("namespace: shop", "labels: 5", "metadata: does not read"),
        ("namespace: shop", "namspace: shop", "metadata.namspace: is not a field; did you mean namespace?"),
        ("spec:", "specs: {}\nspec:", "specs: is not a field; did you mean spec?"),
        (
            "matchLabels: {app: shop-assistant}",
            "matchLabels: {\"a b\": c}",
            "spec.podSelector.matchLabels[\"a b\"]: the key is not",
        ),
        (
            "matchLabels: {app: shop-assistant}",
            "matchExpressions: [{key: a, operator: Exists, values: [b]}]",
            "spec.podSelector.matchExpressions[0].values: do not fit",
        ),
        ("secretName: llm-keys", "secretName: LLM", "spec.credentials.secretName: \"LLM\" is not a name"),
        ("headers: {} ", "headers: {X-A: b, x-a: c} ", "spec.providers[0].headers[\"x-a\"]: is there twice"),
        ("headers: {} ", "headers: {x a: b} ", "spec.providers[0].headers[\"x a\"]: the name is not a header name"),
        (
            "paths: [] ",
            "paths: [{path: /v1/a}, {path: /v1/a}] ",
            "spec.providers[0].paths[1].path: \"/v1/a\" is the path of",
        ),
        ("min: 4, max: 64", "min: 65, max: 64", "spec.providers[0].limits.concurrency.min: 65 is above max, 64"),
        ("timeout: 5s}", "timeout: 31s}", "spec.providers[0].probe.timeout: is above interval"),
        (
            "contextTokens: 400000",
            "contextTokens: lots",
            "spec.providers[0].models[0].contextTokens: \"lots\" is not a whole number",
        ),
        (
            "contextTokens: 400000",
            "capabilities: {efforts: [Low, Low]}",
            "spec.providers[0].models[0].capabilities.efforts[1]: Low is there twice",
        ),
        (
            "contextTokens: 400000",
            "capabilities: {sampling: Some}",
            "spec.providers[0].models[0].capabilities.sampling: \"Some\" is not a value here",
        ),
        (
            "inputPerMTok: \"2\"",
            "inputPerMTok: \"9999999999999.9\"",
            "spec.providers[0].models[0].price.inputPerMTok: has 15 characters",
        ),
        (
            "cachedInputPerMTok: \"0.20\"",
            "serverTools: [{tool: WebSearch}]",
            "spec.providers[0].models[0].price.serverTools[0].costUsd: is missing",
        ),
        (
            "cachedInputPerMTok: \"0.20\"",
            "serviceTiers: {fast: \"x\"}",
            "spec.providers[0].models[0].price.serviceTiers.fast: \"x\"",
        ),
        ("tenant: [x-tenant]", "tenant: [Cookie]", "spec.classify.headers.tenant[0]: Cookie is not for hints"),
        (
            "default: {scene: chat",
            "default: {scene: chart",
            "spec.classify.default.scene: \"chart\" is not defined in spec.scenes; did you mean chat?",
        ),
        ("base: 200ms, cap: 5s", "base: 6s, cap: 5s", "spec.tiers[0].retries.base: is above cap"),
        (
            "budgetRatio: \"0.2\"",
            "budgetRatio: \"1.2\"",
            "spec.tiers[0].retries.budgetRatio: \"1.2\" is not a share from 0 to 1",
        ),
        ("successRate: \"99.5\"", "successRate: 99.5", "spec.tiers[0].slo.successRate: 99.5 is not a string"),
        (
            "[CheaperModel, Trim,",
            "[CheaperModel, CheaperModel,",
            "spec.tiers[0].overBudget[1]: CheaperModel is there twice",
        ),
        (
            "{check: NotEmpty}",
            "{check: JsonSchema}",
            "spec.scenes[0].guardrails[1].check: \"JsonSchema\" is the check of",
        ),
        ("ttl: 10m", "ttl: 40d", "spec.scenes[0].cache.ttl: \"40d\" is longer than 31d"),
        (
            "temperature: \"0.2\"",
            "temperature: \"2.2\"",
            "spec.scenes[0].trim.temperature: \"2.2\" is not a temperature",
        ),
        (
            "scope: Tenant",
            "scope: Pod",
            "spec.budgets[1].scope: \"Pod\" is not a value here; write one of Policy, Tenant",
        ),
        ("failureRatio: \"0.5\"", "failureRatio: \"0\"", "spec.breaker.failureRatio: \"0\" is not a share above 0"),
        ("unhealthyBelow: 65", "unhealthyBelow: 101", "spec.health.unhealthyBelow: 101 is out of range"),
        ("watchAt: \"0.03\"", "watchAt: \"0.3\"", "spec.cutover.watchAt: is above hardCutAt"),
        ("\"0.5\", \"1\"]", "\"0.5\", \"0.9\"]", "spec.cutover.returnSteps: does not rise to 1"),
        (
            "  health:",
            "  overrides: [{name: a, reason: why, until: 2027-01-31T18:00:00Z}]\n  health:",
            "spec.overrides[0].openCircuit: the override has not exactly one",
        ),
    ];
    for (from, to, want) in rows {
        let told = full_with(from, to);
        assert!(told.len() == 1 && told[0].starts_with(want), "{want}\n{told:#?}");
    }
}

#[test]
fn a_file_holds_one_policy() {
    let two = format!("{SMALL}---\n{SMALL}");
    assert_eq!(faults(&two), ["the file has 2 documents of kind LLMRoutePolicy; keep exactly one"]);
    assert_eq!(faults("# nothing\n---\n"), ["the file is empty; write an LLMRoutePolicy manifest"]);
    assert!(faults("just text")[0].starts_with("the document is a string, not a resource"));
    let neighbour = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n{SMALL}---\n");
    assert!(api::load(&neighbour).is_ok());
    let applied = SMALL.replace("spec:", "status: {observedGeneration: nonsense}\nspec:");
    assert!(api::load(&applied).is_ok(), "a status is the operator's, whatever it says");
}

#[test]
fn yaml_is_read_as_kubectl_reads_it() {
    let anchored = SMALL
        .replace("{provider: openai, model: gpt-6-sol}", "&sol {provider: openai, model: gpt-6-sol}")
        .replace("{provider: openai, model: gpt-6-luna}", "{<<: *sol, model: gpt-6-luna}");
    assert_eq!(api::load(&anchored), api::load(SMALL));
    let json = serde_json::to_string(&serde_yaml::from_str::<serde_json::Value>(SMALL).unwrap()).unwrap();
    assert_eq!(api::load(&json), api::load(SMALL));
    assert!(
        faults(&SMALL.replace("limitUsd: \"20\"", "limitUsd: 20.00"))[0].contains("limitUsd: 20.0 is not a string")
    );
}

#[test]
fn broken_and_hostile_text_is_one_clear_fault() {
    let bomb: String = (0..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, i| {
        text + &format!("a{}: &a{} [{}]\n", i + 1, i + 1, format!("*a{i}, ").repeat(9))
    });
    let rows = [
        ("a: [".to_owned(), "the file is not readable YAML: "),
        ("a: 1\na: 2\n".to_owned(), "the file is not readable YAML: "),
        ("a: .nan".to_owned(), "the file is not readable YAML: "),
        ("a: !tag b".to_owned(), "the file is not readable YAML: "),
        ("<<: 5".to_owned(), "the file is not readable YAML: << merges mappings only"),
        ("[".repeat(100_000), "the file is not readable YAML: "),
        (bomb, "the file is not readable YAML: "),
        (format!("a: {}", "x".repeat(2_000_000)), "the file has 2000003 bytes"),
    ];
    for (text, want) in rows {
        let told = faults(&text);
        assert!(told.len() == 1 && told[0].starts_with(want) && told[0].len() < 300, "{want} {told:?}");
    }
}
