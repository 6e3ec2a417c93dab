//! Policies that are to be stored: what the schema cannot judge, a `when` and a JSON Schema for example.

use serde_json::json;

use super::review::{Answer, Denial, Question};

/// Faults that are listed; whoever mends these sees the others next.
const MOST: usize = 64;

/// Whether it may be stored. A policy that only changes its metadata may, whatever is wrong with it: its owner, a finalizer or
/// a label must not hang on a rule that came after it. The spec is used up.
pub(super) fn judge(question: &mut Question) -> Answer {
    let Question { kind, operation, namespace, object, old, .. } = question;
    let is_change = operation == "CREATE" || operation == "UPDATE" && object["spec"] != old["spec"];
    if kind != "LLMRoutePolicy" || !is_change || object["metadata"]["deletionTimestamp"].is_string() {
        return Answer::Allowed(Vec::new());
    }
    // One that is to get a name has none yet.
    let name = object["metadata"]["name"].as_str().unwrap_or("generated");
    let mut manifest = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {"namespace": namespace, "name": name},
    });
    if let Some(spec) = object.get_mut("spec") {
        manifest["spec"] = spec.take();
    }
    match api::accept(&manifest) {
        Ok((_, snapshot)) => {
            let idle = snapshot.not_in_force.iter();
            Answer::Allowed(idle.map(|f| format!("{} has no effect yet: {}", f.path, f.effect)).collect())
        }
        Err(faults) => Answer::Denied(denial(&faults)),
    }
}

fn denial(faults: &[api::Fault]) -> Denial {
    let more = faults.len().saturating_sub(MOST);
    let mut causes: Vec<(String, String)> =
        faults.iter().take(MOST).map(|f| (f.path.clone(), format!("{}; {}", f.message, f.remedy))).collect();
    if more > 0 {
        causes.push(("spec".to_owned(), format!("{more} more faults")));
    }
    let all: Vec<String> = causes.iter().map(|(path, why)| format!("{path}: {why}")).collect();
    Denial { status: (422, "Invalid"), message: all.join("\n"), causes }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn question(operation: &str, object: Value, old: Value) -> Question {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": {"kind": "LLMRoutePolicy"}, "operation": operation, "namespace": "shop",
            "object": object, "oldObject": old}});
        Question::read(review.to_string().as_bytes()).unwrap()
    }

    fn policy(spec: Value) -> Value {
        let metadata = json!({"name": "p", "uid": "x", "managedFields": [{"manager": "kubectl"}]});
        json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy", "metadata": metadata, "spec": spec})
    }

    fn good() -> Value {
        json!({"providers": [{"name": "openai", "api": "OpenAI"}], "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]})
    }

    fn bad() -> Value {
        let mut spec = good();
        spec["classify"] =
            json!({"rules": [{"scene": "chat", "when": "request.tools >"}, {"scene": "chat", "when": "request.body"}]});
        spec
    }

    #[test]
    fn all_faults_are_told_with_their_fields() {
        let mut question = question("CREATE", policy(bad()), Value::Null);
        let Answer::Denied(denial) = judge(&mut question) else { panic!("denied") };
        assert_eq!(denial.status, (422, "Invalid"));
        let fields: Vec<&str> = denial.causes.iter().map(|(field, _)| &**field).collect();
        assert_eq!(fields, ["spec.classify.rules[0].when", "spec.classify.rules[1].when"]);
        assert_eq!(denial.message.lines().count(), 2, "{}", denial.message);
        let told = question.answered(Answer::Denied(denial));
        assert_eq!((&told["response"]["uid"], &told["response"]["allowed"]), (&json!("u"), &json!(false)));
        let status = &told["response"]["status"];
        assert_eq!((&status["code"], &status["details"]["name"]), (&json!(422), &json!("p")));
        assert_eq!(status["details"]["causes"][1]["field"], "spec.classify.rules[1].when");
    }

    #[test]
    fn a_great_many_faults_are_counted() {
        let mut spec = good();
        let rule = json!({"scene": "chat", "when": "request.tools >"});
        spec["classify"] = json!({"rules": vec![rule; 64]});
        spec["budgets"] =
            json!([{"name": "a", "window": "1x", "limitUsd": "1"}, {"name": "b", "window": "1x", "limitUsd": "1"}]);
        let Answer::Denied(denial) = judge(&mut question("CREATE", policy(spec), Value::Null)) else {
            panic!("denied")
        };
        assert_eq!(denial.causes.len(), MOST + 1);
        assert_eq!(denial.causes[MOST].1, "2 more faults");
    }

    #[test]
    fn only_a_new_spec_is_judged() {
        let mut going = policy(bad());
        going["metadata"]["deletionTimestamp"] = "2026-11-26T00:00:00Z".into();
        let mut unnamed = policy(good());
        unnamed["metadata"] = json!({"generateName": "p-"});
        let mut other_kind = question("CREATE", policy(bad()), Value::Null);
        other_kind.kind = "ConfigMap".to_owned();
        let rows = [
            ("new and good", question("CREATE", policy(good()), Value::Null), true),
            ("without a name yet", question("CREATE", unnamed, Value::Null), true),
            ("new and bad", question("CREATE", policy(bad()), Value::Null), false),
            ("an edit that mends", question("UPDATE", policy(good()), policy(bad())), true),
            ("an edit that spoils", question("UPDATE", policy(bad()), policy(good())), false),
            ("bad as it was", question("UPDATE", policy(bad()), policy(bad())), true),
            ("on its way out", question("UPDATE", going, policy(good())), true),
            ("of another kind", other_kind, true),
        ];
        for (what, mut question, want) in rows {
            let answer = judge(&mut question);
            assert_eq!(matches!(answer, Answer::Allowed(_)), want, "{what}: {answer:?}");
        }
    }

    #[test]
    fn fields_without_effect_are_warned_of() {
        let mut spec = good();
        spec["cutover"] = json!({});
        let mut question = question("CREATE", policy(spec), Value::Null);
        let Answer::Allowed(warnings) = judge(&mut question) else { panic!("allowed") };
        assert_eq!(warnings, ["spec.cutover has no effect yet: traffic does not move in steps"]);
        let told = question.answered(Answer::Allowed(vec!["x".repeat(1000); 100]));
        let told = told["response"]["warnings"].as_array().unwrap();
        assert_eq!((told.len(), told[0].as_str().map(str::len)), (16, Some(256)), "what the API server takes");
    }
}
