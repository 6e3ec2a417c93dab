//! What becomes of pods of many kinds, and laws over generated ones.

use proptest::{prelude::*, sample::select};

use super::*;

fn settings() -> Settings {
    Settings {
        namespace: "llmroute-system".into(),
        image: "llmroute.dev/sidecar:dev".to_owned(),
        pull_policy: None,
        control: "https://llmroute-control.llmroute-system.svc:8443".to_owned(),
        resources: json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}),
        env: Vec::new(),
    }
}

fn chosen(secret: Option<&str>) -> Chosen {
    let policy = PolicyKey { namespace: "shop".into(), name: "assistant".into() };
    Chosen { policy, accepted: true, secret: secret.map(Into::into) }
}

fn judge(pod: &Value) -> Verdict {
    inject(&settings(), "shop", pod, Some(&chosen(Some("llm-keys"))), "PEM")
}

/// As the API server applies them; `add` of a member is all that there is.
fn apply(pod: &Value, verdict: Verdict) -> Value {
    let mut pod = pod.clone();
    match verdict {
        Verdict::Unchanged => {}
        Verdict::Refused(why) => panic!("{why}"),
        Verdict::Patched(operations) => operations.into_iter().for_each(|op| {
            assert_eq!(op["op"], "add");
            let member = op["path"].as_str().unwrap().strip_prefix("/spec/").unwrap().to_owned();
            pod["spec"][member] = op["value"].clone();
        }),
    }
    pod
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"labels": {"app": "shop"}}, "spec": spec})
}

#[test]
fn the_oldest_policy_is_chosen_with_what_was_accepted_of_it() {
    use crate::world::{Document, Policy};
    let key = |name: &str| PolicyKey { namespace: "shop".into(), name: name.into() };
    let policy = |created| Policy {
        created,
        selector: serde_json::from_value(json!({"matchLabels": {"app": "shop"}})).unwrap(),
        secret: Some("llm-keys".into()),
        ..Policy::default()
    };
    let of = |app: &str| Pod {
        namespace: "shop".into(),
        labels: [("app".to_owned(), app.to_owned())].into(),
        ..Pod::default()
    };
    let mut world = World::default();
    world.policies.insert(key("young"), policy(2));
    world.policies.insert(key("old"), policy(1));
    let want = Chosen { policy: key("old"), accepted: false, secret: Some("llm-keys".into()) };
    assert_eq!((choose(&world, &of("shop")), choose(&world, &of("other"))), (Ok(Some(want.clone())), Ok(None)));
    let document = Document::new(key("old"), 1, &json!({}));
    world.policies.get_mut(&key("old")).unwrap().accepted = Some(Arc::new(document));
    assert_eq!(choose(&world, &of("shop")), Ok(Some(Chosen { accepted: true, ..want.clone() })));
    world.policies.values_mut().for_each(|policy| policy.recall = true);
    assert_eq!(choose(&world, &of("other")), Err(NotYet), "whom an earlier version selects is not known yet");
}

fn plain() -> Value {
    pod(json!({"containers": [{"name": "app", "image": "shop:1"}]}))
}

#[test]
fn the_sidecar_is_what_the_design_says() {
    let done = apply(&plain(), judge(&plain()));
    let want = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {
        "containers": [{"name": "app", "image": "shop:1", "env": [
            {"name": "OPENAI_BASE_URL", "value": "http://127.0.0.1:15080/v1"}, {"name": "OPENAI_API_KEY", "value": "llmroute"},
            {"name": "ANTHROPIC_BASE_URL", "value": "http://127.0.0.1:15080"}, {"name": "ANTHROPIC_API_KEY", "value": "llmroute"}]}],
        "initContainers": [{
            "name": "llmroute-sidecar", "image": "llmroute.dev/sidecar:dev", "restartPolicy": "Always",
            "args": ["--control", "https://llmroute-control.llmroute-system.svc:8443",
                "--control-fallback", "/etc/llmroute/policy/policy.json", "--state", "/var/lib/llmroute",
                "--credentials", "/etc/llmroute/credentials"],
            "ports": [{"name": "llmroute-admin", "containerPort": 15090}],
            "startupProbe": {"httpGet": {"path": "/readyz", "port": 15090}, "periodSeconds": 1, "failureThreshold": 86400},
            "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": {"runAsUser": 2102, "runAsGroup": 2102, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
            "env": [{"name": "LLMROUTE_CA", "value": "PEM"}],
            "volumeMounts": [
                {"name": "llmroute-identity", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true},
                {"name": "llmroute-policy", "mountPath": "/etc/llmroute/policy", "readOnly": true},
                {"name": "llmroute-credentials", "mountPath": "/etc/llmroute/credentials", "readOnly": true},
                {"name": "llmroute-state", "mountPath": "/var/lib/llmroute"}]}],
        "volumes": [
            {"name": "llmroute-identity", "projected": {"defaultMode": 292, "sources": [
                {"serviceAccountToken": {"audience": "llmroute", "expirationSeconds": 3600, "path": "token"}}]}},
            {"name": "llmroute-policy", "configMap": {"name": "llmroute-assistant", "defaultMode": 292, "optional": true}},
            {"name": "llmroute-credentials", "secret": {"secretName": "llm-keys", "defaultMode": 292, "optional": true}},
            {"name": "llmroute-state", "emptyDir": {"sizeLimit": "1024Mi"}}]}});
    assert_eq!(done, want);
}

#[test]
fn without_a_secret_and_a_ca_there_is_neither() {
    let Verdict::Patched(patch) = inject(&settings(), "shop", &plain(), Some(&chosen(None)), "") else {
        panic!("patched")
    };
    let text = Value::from(patch).to_string();
    assert!(!text.contains("credentials") && !text.contains("LLMROUTE_CA"), "{text}");
}

#[test]
fn who_wants_no_sidecar_gets_none() {
    let labelled = |value: &str| {
        let mut pod = plain();
        pod["metadata"]["labels"][INJECT] = value.into();
        pod
    };
    let mut mirror = plain();
    mirror["metadata"]["annotations"] = json!({MIRROR: "x"});
    let mine = chosen(None);
    let rows = [
        ("no policy selects one of an opted-in namespace", "shop", plain(), None),
        ("its label says no", "shop", labelled("disabled"), Some(&mine)),
        ("a static pod", "shop", mirror, Some(&mine)),
        ("the operator's own namespace", "llmroute-system", labelled("enabled"), Some(&mine)),
        ("the cluster's own namespace", "kube-system", labelled("enabled"), None),
    ];
    for (what, namespace, pod, chosen) in rows {
        assert_eq!(inject(&settings(), namespace, &pod, chosen, "PEM"), Verdict::Unchanged, "{what}");
    }
    let refused = |verdict| match verdict {
        Verdict::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    let why = refused(inject(&settings(), "shop", &labelled("enabled"), None, "PEM"));
    assert!(why.contains("no LLMRoutePolicy in the namespace shop selects it"), "{why}");
    let waiting = Chosen { accepted: false, ..chosen(None) };
    let why = refused(inject(&settings(), "shop", &plain(), Some(&waiting), "PEM"));
    assert!(why.contains("kubectl describe lrp assistant -n shop"), "{why}");
}

#[test]
fn what_cannot_be_done_is_refused_with_a_sentence() {
    let app = |more: Value| {
        let mut container = json!({"name": "app", "image": "shop:1"});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        container
    };
    let of = |container: Value| pod(json!({"containers": [container]}));
    let with = |container: Value, more: Value| {
        let mut pod = of(container);
        pod["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        pod
    };
    let shared = json!({"shareProcessNamespace": true});
    let volume = |volume: Value| json!({"volumes": [volume]});
    let mounts = |name: &str| json!({"volumeMounts": [{"name": name, "mountPath": "/k"}]});
    let annotated = |name: &str, value: &str| {
        let mut pod = plain();
        pod["metadata"]["annotations"] = json!({name: value});
        pod
    };
    let rows: Vec<(Value, Option<&str>)> = vec![
        (of(app(json!({}))), None),
        (with(app(json!({})), json!({"hostNetwork": true})), Some("hostNetwork")),
        (with(app(json!({})), json!({"hostNetwork": false})), None),
        (with(app(json!({})), json!({"os": {"name": "windows"}})), Some("Windows")),
        (with(app(json!({})), json!({"os": {"name": "linux"}})), None),
        (of(json!({"name": SIDECAR, "image": "x"})), Some("rename it")),
        (pod(json!({"containers": vec![app(json!({})); 256]})), None),
        (
            pod(json!({"containers": vec![app(json!({})); 200], "initContainers": vec![app(json!({})); 57]})),
            Some("it has 257 containers; have at most 256"),
        ),
        // Ports.
        (of(app(json!({"ports": [{"containerPort": 8080}, {"containerPort": 15080}]}))), Some("the port 15080")),
        (of(app(json!({"ports": [{"containerPort": 15090, "protocol": "TCP"}]}))), Some("the port 15090")),
        (of(app(json!({"ports": [{"containerPort": 15090, "protocol": "UDP"}]}))), None),
        (
            pod(
                json!({"containers": [app(json!({}))], "initContainers": [{"name": "first", "ports": [{"containerPort": 15080}]}]}),
            ),
            Some("the container first has the port 15080"),
        ),
        // Processes.
        (with(app(json!({})), shared.clone()), None),
        (with(app(json!({"securityContext": {"runAsUser": 0}})), shared.clone()), None),
        (
            with(app(json!({"securityContext": {"runAsUser": 2102}})), shared.clone()),
            Some("has the sidecar's UID 2102"),
        ),
        (of(app(json!({"securityContext": {"runAsUser": 2102}}))), None),
        (
            with(app(json!({})), json!({"shareProcessNamespace": true, "securityContext": {"runAsUser": 2102}})),
            Some("has the sidecar's UID 2102"),
        ),
        (
            with(
                app(json!({"securityContext": {"runAsUser": 1000}})),
                json!({"shareProcessNamespace": true, "securityContext": {"runAsUser": 2102}}),
            ),
            None,
        ),
        (with(app(json!({"securityContext": {"privileged": true}})), shared.clone()), Some("is privileged")),
        (of(app(json!({"securityContext": {"privileged": true}}))), None),
        (
            with(
                app(json!({"securityContext": {"capabilities": {"add": ["NET_ADMIN", "SYS_PTRACE"]}}})),
                shared.clone(),
            ),
            Some("has SYS_PTRACE"),
        ),
        (with(app(json!({"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}})), shared.clone()), None),
        (
            with(app(json!({"securityContext": {"capabilities": {"add": ["ALL"]}}})), json!({"hostPID": true})),
            Some("with hostPID"),
        ),
        // The Secret.
        (
            of(app(
                json!({"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "llm-keys", "key": "openai"}}}]}),
            )),
            Some("uses the Secret llm-keys"),
        ),
        (of(app(json!({"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}]}))), None),
        (of(app(json!({"envFrom": [{"secretRef": {"name": "llm-keys"}}]}))), Some("uses the Secret llm-keys")),
        (of(app(json!({"envFrom": [{"configMapRef": {"name": "llm-keys"}}]}))), None),
        (
            with(app(mounts("v")), volume(json!({"name": "v", "secret": {"secretName": "llm-keys"}}))),
            Some("uses the Secret llm-keys"),
        ),
        (
            with(
                app(mounts("v")),
                volume(json!({"name": "v", "projected": {"sources": [{"secret": {"name": "llm-keys"}}]}})),
            ),
            Some("uses the Secret llm-keys"),
        ),
        (with(app(json!({})), volume(json!({"name": "v", "secret": {"secretName": "llm-keys"}}))), None),
        (with(app(mounts("v")), volume(json!({"name": "v", "secret": {"secretName": "other"}}))), None),
        (of(app(mounts("llmroute-credentials"))), Some("mounts llmroute-credentials")),
        (of(app(mounts("llmroute-state"))), Some("mounts llmroute-state")),
        // Annotations.
        (annotated("llmroute.dev/sidecar-cpu-limit", "100m"), None),
        (annotated("llmroute.dev/sidecar-cpu-limit", "much"), Some("\"much\" is no quantity")),
    ];
    for (pod, want) in rows {
        match (judge(&pod), want) {
            (Verdict::Patched(_), None) => {}
            (Verdict::Refused(why), Some(part)) if why.starts_with("llmroute: ") && why.contains(part) => {}
            (verdict, want) => panic!("{pod}: {verdict:?}, not {want:?}"),
        }
    }
    let both = with(app(json!({"ports": [{"containerPort": 15080}]})), json!({"hostNetwork": true}));
    let Verdict::Refused(why) = judge(&both) else { panic!("refused") };
    assert!(why.contains("hostNetwork") && why.contains("15080"), "all reasons at once: {why}");
}

#[test]
fn what_the_app_says_wins() {
    let own = json!([{"name": "OPENAI_BASE_URL", "value": "http://mine"},
        {"name": "ANTHROPIC_API_KEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]);
    let pod = pod(json!({"initContainers": [{"name": "first", "env": own}], "containers": [{"name": "app"}]}));
    let done = apply(&pod, judge(&pod));
    let [sidecar, first] = done["spec"]["initContainers"].as_array().unwrap().as_slice() else { panic!("two") };
    assert_eq!(sidecar["name"], SIDECAR);
    let (before, added) = first["env"].as_array().unwrap().split_at(2);
    assert_eq!(Value::from(before), own);
    let names: Vec<&str> = added.iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["OPENAI_API_KEY", "ANTHROPIC_BASE_URL"]);
}

#[test]
fn resources_come_from_the_settings_and_the_pod() {
    let (resources, env) = (json!({"limits": {"memory": "1Gi"}}), vec![json!({"name": "OTEL_X", "value": "1"})]);
    let given = Settings { resources, env, pull_policy: Some("Never".to_owned()), ..settings() };
    let mut pod = plain();
    pod["metadata"]["annotations"] =
        json!({"llmroute.dev/sidecar-cpu-limit": "100m", "llmroute.dev/sidecar-cpu-request": "5m"});
    let done = apply(&pod, inject(&given, "shop", &pod, Some(&chosen(None)), "PEM"));
    let sidecar = &done["spec"]["initContainers"][0];
    assert_eq!(sidecar["resources"], json!({"limits": {"memory": "1Gi", "cpu": "100m"}, "requests": {"cpu": "5m"}}));
    assert_eq!(sidecar["env"], json!([{"name": "OTEL_X", "value": "1"}, {"name": "LLMROUTE_CA", "value": "PEM"}]));
    assert_eq!(sidecar["imagePullPolicy"], "Never");
}

#[test]
fn what_is_there_already_is_left_or_put_right() {
    let good = apply(&plain(), judge(&plain()));
    assert_eq!(judge(&good), Verdict::Unchanged);

    // What the API server and a LimitRange make of it.
    let mut defaulted = good.clone();
    let sidecar = &mut defaulted["spec"]["initContainers"][0];
    sidecar["terminationMessagePath"] = "/dev/termination-log".into();
    sidecar["startupProbe"]["timeoutSeconds"] = 1.into();
    sidecar["startupProbe"]["httpGet"]["scheme"] = "HTTP".into();
    sidecar["ports"][0]["protocol"] = "TCP".into();
    sidecar["resources"]["limits"]["cpu"] = "500m".into();
    sidecar["env"].as_array_mut().unwrap().insert(0, json!({"name": "ISTIO", "value": "1"}));
    sidecar["volumeMounts"].as_array_mut().unwrap().push(json!({"name": "x", "mountPath": "/x"}));
    assert_eq!(judge(&defaulted), Verdict::Unchanged);

    type Spoil = fn(&mut Value);
    let spoils: [(&str, Spoil); 9] = [
        ("not first", |spec| {
            spec["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "proxy", "env": []}))
        }),
        ("an old image", |spec| spec["initContainers"][0]["image"] = "old".into()),
        ("an old CA", |spec| spec["initContainers"][0]["env"][0]["value"] = "OLD".into()),
        ("another program", |spec| spec["initContainers"][0]["command"] = json!(["/bin/sh"])),
        ("root", |spec| spec["initContainers"][0]["securityContext"]["runAsUser"] = 0.into()),
        ("another policy's ConfigMap", |spec| spec["volumes"][1]["configMap"]["name"] = "llmroute-old".into()),
        ("another policy's Secret", |spec| spec["volumes"][2]["secret"]["secretName"] = "old".into()),
        ("a volume of another kind", |spec| {
            spec["volumes"][2] = json!({"name": "llmroute-credentials", "emptyDir": {}})
        }),
        ("no volumes", |spec| spec["volumes"] = json!([])),
    ];
    for (what, spoil) in spoils {
        let mut spoilt = good.clone();
        spoil(&mut spoilt["spec"]);
        let healed = apply(&spoilt, judge(&spoilt));
        assert_eq!(healed["spec"]["initContainers"][0], good["spec"]["initContainers"][0], "{what}");
        assert_eq!(healed["spec"]["volumes"], good["spec"]["volumes"], "{what}");
        assert_eq!(judge(&healed), Verdict::Unchanged, "{what}");
    }
    // A copy under a policy without a Secret.
    let text = apply(&good, inject(&settings(), "shop", &good, Some(&chosen(None)), "PEM")).to_string();
    assert!(!text.contains("llmroute-credentials"), "{text}");
}

/// Names in its `env`, the volume that it mounts, whether it has a member that nobody knows.
type Parts = (Option<Vec<&'static str>>, Option<&'static str>, bool);

/// Containers with all that matters here, and something that does not.
fn containers(names: &'static [&'static str]) -> impl Strategy<Value = Vec<Value>> {
    let variable = select(&["OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "MINE"][..]);
    let env = prop::option::of(prop::collection::vec(variable, 0..4));
    let mounts = prop::option::of(select(&["data", "keys"][..]));
    let one = (env, mounts, any::<bool>());
    prop::collection::vec(one, 0..names.len()).prop_map(move |all| {
        let container = |(name, (env, mount, odd)): (&&str, Parts)| {
            let mut container = json!({"name": name, "image": "x:1"});
            if let Some(env) = env {
                let entries: Vec<Value> = env.into_iter().map(|name| json!({"name": name, "value": "own"})).collect();
                container["env"] = entries.into();
            }
            if let Some(mount) = mount {
                container["volumeMounts"] = json!([{"name": mount, "mountPath": "/m"}]);
            }
            if odd {
                container["memberOfTomorrow"] = json!({"a": [1, null]});
            }
            container
        };
        names.iter().zip(all).map(container).collect()
    })
}

fn pods() -> impl Strategy<Value = Value> {
    let volumes = prop::option::of(Just(
        json!([{"name": "data", "emptyDir": {}}, {"name": "keys", "secret": {"secretName": "own"}}]),
    ));
    let init = prop::option::of(containers(&["a", "b", "c"]));
    (containers(&["app", "helper", "third"]), init, volumes, any::<bool>()).prop_map(
        |(containers, init, volumes, odd)| {
            let mut spec = json!({"containers": containers});
            init.into_iter().for_each(|init| spec["initContainers"] = init.into());
            volumes.into_iter().for_each(|volumes| spec["volumes"] = volumes);
            if odd {
                spec["securityContext"] = json!({"fsGroup": 3000, "runAsUser": 1000});
                spec["shareProcessNamespace"] = true.into();
            }
            pod(spec)
        },
    )
}

/// The pod without all that is ours; a list that is empty then is none.
fn stripped(mut pod: Value, original: &Value) -> Value {
    let names_of = |container: &Value| -> Vec<Value> { list(container, "env").map(|e| e["name"].clone()).collect() };
    for member in ["initContainers", "containers"] {
        let Some(Value::Array(containers)) = pod["spec"].get_mut(member) else { continue };
        containers.retain(|c| c["name"] != SIDECAR);
        for container in containers {
            let before = list(&original["spec"], member).find(|c| c["name"] == container["name"]).unwrap();
            let own = names_of(before);
            let is_ours = |e: &Value| {
                let is_variable =
                    sidecar::variables().iter().any(|(name, value)| e["name"] == *name && e["value"] == **value);
                is_variable && !own.contains(&e["name"])
            };
            let env: Vec<Value> = list(container, "env").filter(|e| !is_ours(e)).cloned().collect();
            container.as_object_mut().unwrap().remove("env");
            if before.get("env").is_some() {
                container["env"] = env.into();
            } else {
                assert!(env.is_empty());
            }
        }
    }
    if let Some(Value::Array(volumes)) = pod["spec"].get_mut("volumes") {
        volumes.retain(|v| !sidecar::VOLUMES.iter().any(|ours| v["name"] == *ours));
    }
    for member in ["initContainers", "volumes"] {
        if original["spec"].get(member).is_none() {
            assert_eq!(pod["spec"].as_object_mut().unwrap().remove(member), Some(json!([])));
        }
    }
    pod
}

proptest! {
    #[test]
    fn twice_is_once_and_what_is_not_ours_is_untouched(pod in pods()) {
        let once = apply(&pod, judge(&pod));
        prop_assert_eq!(judge(&once), Verdict::Unchanged);
        prop_assert_eq!(&once["spec"]["initContainers"][0]["name"], SIDECAR);
        for container in others(&once) {
            for (name, _) in sidecar::variables() {
                prop_assert!(list(container, "env").any(|e| e["name"] == name));
            }
        }
        prop_assert_eq!(stripped(once, &pod), pod);
    }

    #[test]
    fn no_pod_is_too_odd(name in "[a-z]{1,3}", at in 0..6_usize, odd in select(vec![json!(null), json!(1), json!([]), json!({}), json!("x"), json!([[1], null])])) {
        let mut pod = plain();
        let path = ["/spec", "/spec/containers", "/spec/containers/0", "/metadata", "/metadata/labels", "/spec/containers/0/image"][at];
        if let Some(place) = pod.pointer_mut(path) {
            *place = if at % 2 == 0 { odd } else { json!({ name: odd }) };
        }
        // A value of any kind, and no panic.
        let verdict = judge(&pod);
        if let Verdict::Patched(_) = &verdict && pod["spec"].is_object() {
            prop_assert_eq!(judge(&apply(&pod, verdict)), Verdict::Unchanged);
        }
    }
}
