//! What the chart says and what the programs have: names, ports, paths, flags, rights.

use clap::Parser;
use operator::{admit, ca::Lives, certificates::Source, config::Config, inject, observe, reconcile, webhooks};
use serde_json::{Value, json};

use crate::{objects, path, render, the};

fn chart(values: Option<&str>) -> Vec<Value> {
    objects(&render(values, &[]))
}

/// The operator's container, and its settings as the program reads its arguments.
fn operator(objects: &[Value]) -> (Value, Config) {
    let container =
        the(objects, "Deployment", "llmroute-operator")["spec"]["template"]["spec"]["containers"][0].clone();
    // As the kubelet has them.
    let args =
        container["args"].as_array().expect("args").iter().map(|a| a.as_str().expect("text").replace("$$(", "$("));
    let pod = ["--pod-name=a", "--pod-ip=10.0.0.1"].map(str::to_owned);
    let config = Config::try_parse_from(["x".to_owned()].into_iter().chain(args).chain(pod)).expect("flags");
    (container, config)
}

#[test]
fn the_program_takes_the_arguments() {
    let (_, usual) = operator(&chart(None));
    let settings = usual.settings();
    assert_eq!((&*settings.image, settings.pull_policy, settings.env), ("llmroute.dev/sidecar:dev", None, vec![]));
    assert_eq!(
        settings.resources,
        json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}})
    );
    let (_, small) = operator(&chart(Some("small")));
    assert_eq!(small.settings().resources, settings.resources, "unset is the program's default");
    assert!(!small.any_address);
    let (_, everything) = operator(&chart(Some("everything")));
    assert!(everything.any_address);
    let settings = everything.settings();
    assert_eq!(
        (&*settings.image, settings.pull_policy.as_deref()),
        ("registry.example/llmroute/sidecar:1.2.3", Some("IfNotPresent"))
    );
    assert_eq!(settings.resources["limits"], json!({"cpu": "500m", "memory": "256Mi"}));
    assert_eq!(settings.env[1]["value"], "k8s.pod.name=$(POD_NAME), note=a: b #c");
}

#[test]
fn a_sidecars_volume_holds_what_it_keeps() {
    const { assert!(inject::STATE_BYTES >= 4 * sidecar::later::KEPT_BYTES, "the pod would be evicted") };
}

#[test]
fn names_and_ports_are_those_of_the_program() {
    let objects = chart(None);
    let (container, config) = operator(&objects);
    let port = |name: &str| {
        let ports = container["ports"].as_array().expect("ports");
        ports.iter().find(|p| p["name"] == name).expect(name)["containerPort"].clone()
    };
    assert_eq!(port("grpc"), config.control.port());
    assert_eq!(port("webhook"), config.webhook.port());
    assert_eq!(port("admin"), config.admin.port());
    let control = the(&objects, "Service", &config.service);
    let endpoint = config.endpoint(config.control.port());
    assert_eq!(control["spec"]["ports"][0]["name"], *endpoint.port_name);
    assert!(control["spec"]["selector"].is_null(), "the leader says where it leads");
    let settings = config.settings();
    assert!(settings.control.ends_with(&format!(":{}", control["spec"]["ports"][0]["port"])), "{}", settings.control);
    the(&objects, "Secret", &config.tls_secret);
    the(&objects, "Lease", &config.lease);
    let account = &the(&objects, "Deployment", "llmroute-operator")["spec"]["template"]["spec"]["serviceAccountName"];
    the(&objects, "ServiceAccount", account.as_str().expect("a name"));
    let monitors = chart(Some("everything"));
    let sidecars = &the(&monitors, "PodMonitor", "llmroute-sidecars")["spec"]["podMetricsEndpoints"][0]["port"];
    assert_eq!(sidecars, "llmroute-admin");
}

#[test]
fn cert_manager_makes_what_the_operator_serves() {
    let own = chart(None);
    assert_eq!(operator(&own).1.certificates(), Source::Operator(Lives::default()));
    for (values, issuer) in [("cert-manager", "llmroute-ca"), ("everything", "company-ca")] {
        let objects = chart(Some(values));
        let (_, config) = operator(&objects);
        assert_eq!(config.certificates(), Source::Given);
        let certificate = &the(&objects, "Certificate", &config.tls_secret)["spec"];
        assert_eq!(certificate["secretName"], *config.tls_secret);
        assert_eq!(certificate["dnsNames"], json!(config.names()));
        assert_eq!(certificate["issuerRef"]["name"], issuer);
        assert!(!objects.iter().any(|o| o["kind"] == "Secret"), "it is cert-manager's to make");
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let annotations = &the(&objects, kind, webhooks::NAME)["metadata"]["annotations"];
            assert_eq!(annotations["cert-manager.io/inject-ca-from"], format!("llmroute-system/{}", config.tls_secret));
        }
        let rights = the(&objects, "ClusterRole", "llmroute-operator")["rules"].to_string();
        assert!(!rights.contains("webhookconfigurations"), "{rights}");
        let rules = the(&objects, "Role", "llmroute-operator")["rules"].as_array().expect("rules").clone();
        let secrets: Vec<&Value> = rules.iter().filter(|rule| rule["resources"] == json!(["secrets"])).collect();
        assert_eq!(
            (&secrets[0]["verbs"], &secrets[0]["resourceNames"]),
            (&json!(["get"]), &json!([config.tls_secret]))
        );
    }
    let objects = chart(Some("cert-manager"));
    let ca = &the(&objects, "Certificate", "llmroute-ca")["spec"];
    assert_eq!(ca["secretName"], the(&objects, "Issuer", "llmroute-ca")["spec"]["ca"]["secretName"]);
    assert_eq!((&ca["isCA"], &ca["issuerRef"]["name"]), (&json!(true), &json!("llmroute-self-signed")));
    the(&objects, "Issuer", "llmroute-self-signed");
}

#[test]
fn network_policies_name_the_ports_that_there_are() {
    let rendered = chart(Some("everything"));
    let (container, _) = operator(&rendered);
    let policy = &the(&rendered, "NetworkPolicy", "llmroute-operator")["spec"];
    let labels = &the(&rendered, "Deployment", "llmroute-operator")["spec"]["selector"];
    assert_eq!(&policy["podSelector"], labels);
    let ingress = policy["ingress"].as_array().expect("rules");
    let named: Vec<&Value> = ingress.iter().map(|rule| &rule["ports"][0]["port"]).collect();
    let ports: Vec<&Value> = container["ports"].as_array().expect("ports").iter().map(|port| &port["name"]).collect();
    assert_eq!(named, ports);
    assert!(ingress[1].get("from").is_none(), "the API server is nobody's pod");
    assert_eq!(ingress[2]["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "monitoring");

    let sidecars = objects(&std::fs::read_to_string(path("manifests/network-policy.yaml")).expect("the manifest"));
    let spec = &the(&sidecars, "NetworkPolicy", "llmroute-sidecar-metrics")["spec"];
    assert_eq!(spec["ingress"][0]["ports"], json!([{"port": inject::ADMIN.0, "protocol": "TCP"}]));
    assert_eq!(spec["podSelector"]["matchLabels"], json!({observe::INJECT: "enabled"}));
}

#[test]
fn webhooks_are_asked_where_the_program_answers() {
    let objects = chart(None);
    let (_, config) = operator(&objects);
    let rows = [
        ("MutatingWebhookConfiguration", webhooks::PODS.as_slice(), admit::MUTATE, "Fail"),
        ("ValidatingWebhookConfiguration", webhooks::POLICIES.as_slice(), admit::VALIDATE, "Ignore"),
    ];
    for (kind, names, path, policy) in rows {
        let all = the(&objects, kind, webhooks::NAME)["webhooks"].as_array().expect("webhooks").clone();
        let named: Vec<&Value> = all.iter().map(|w| &w["name"]).collect();
        assert_eq!(named, names.iter().collect::<Vec<_>>(), "{kind}");
        for webhook in &all {
            let service = &webhook["clientConfig"]["service"];
            assert_eq!((&service["path"], &webhook["failurePolicy"]), (&json!(path), &json!(policy)));
            let (name, namespace) =
                (service["name"].as_str().expect("a name"), service["namespace"].as_str().expect("one"));
            assert!(config.names().contains(&format!("{name}.{namespace}.svc")), "the certificate has the name {name}");
            assert_eq!(the(&objects, "Service", name)["spec"]["ports"][0]["port"], service["port"]);
            assert_eq!(webhook["sideEffects"], "None");
            assert!(webhook["clientConfig"].get("caBundle").is_none(), "the operator owns it");
        }
    }
    let pods = &the(&objects, "MutatingWebhookConfiguration", webhooks::NAME)["webhooks"];
    for webhook in pods.as_array().expect("webhooks") {
        let spared = &webhook["namespaceSelector"]["matchExpressions"][0];
        assert_eq!(spared["values"], json!(["llmroute-system", "kube-system"]));
        assert_eq!(webhook["namespaceSelector"]["matchExpressions"][1]["key"], observe::INJECT);
        assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
    }
    assert_eq!(inject::ADMIN.0, 15_090);
}

#[test]
fn the_operator_may_do_what_it_does_and_reads_no_key() {
    let committed = objects(&std::fs::read_to_string(path("manifests/rbac.yaml")).expect("rights"));
    let rendered = chart(None);
    for kind in ["ClusterRole", "Role"] {
        let rules = |objects: &[Value]| the(objects, kind, "llmroute-operator")["rules"].clone();
        assert_eq!(rules(&rendered), rules(&committed), "{kind}: the chart and manifests/rbac.yaml");
        for rule in rules(&rendered).as_array().expect("rules") {
            let text = rule.to_string();
            assert!(!text.contains('*'), "{text}");
            let is_of = |name: &str| rule["resources"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
            assert!(!is_of("secrets") || rule["resourceNames"] == json!(["llmroute-tls"]) && kind == "Role", "{text}");
        }
    }
    for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
        let spec = |objects: &[Value]| the(objects, kind, "llmroute-operator")["spec"].clone();
        assert_eq!(spec(&rendered), spec(&committed), "{kind}");
    }
    let confined = the(&rendered, "ValidatingAdmissionPolicy", "llmroute-operator")["spec"].to_string();
    let (name, label) = (reconcile::config_map_name(""), reconcile::MANAGED_BY);
    for word in [format!("startsWith('{name}')"), format!("'{label}'"), format!("'{}'", reconcile::MANAGER)] {
        assert!(confined.contains(&word), "{word}: {confined}");
    }
}

#[test]
fn pod_security_restricted_takes_the_operator() {
    let objects = chart(None);
    let spec = &the(&objects, "Deployment", "llmroute-operator")["spec"]["template"]["spec"];
    let own = &spec["containers"][0]["securityContext"];
    let want =
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(own, &want);
    assert_eq!(
        (&spec["securityContext"]["runAsNonRoot"], &spec["securityContext"]["seccompProfile"]["type"]),
        (&json!(true), &json!("RuntimeDefault"))
    );
    assert!(["hostNetwork", "hostPID", "volumes"].iter().all(|name| spec[*name].is_null()));
}
