//! Whose a token is: the API server says (TokenReview), and what it said holds for a minute.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};
use moka::sync::Cache;
use ring::digest;
use tokio::sync::Semaphore;

use crate::{
    metrics::Metrics,
    push::{Caller, Denied, Identify},
    reconcile::call,
};

/// Whom a sidecar's token is for.
pub const AUDIENCE: &str = "llmroute";
/// So long an answer holds.
const HOLDS: Duration = Duration::from_secs(60);
/// Questions at once; others wait. As many as an API server answers at full speed anyway: a thousand sidecars that come back
/// at once are a second's work for it, and leave room for everyone else's.
const AT_ONCE: usize = 16;
/// Answers that are kept.
const MOST: u64 = 20_000;
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Asks the API server.
pub struct Reviews {
    reviews: Api<TokenReview>,
    /// By the token's digest: the token itself is kept nowhere.
    known: Cache<[u8; 32], Caller>,
    questions: Semaphore,
    metrics: Arc<Metrics>,
}

impl Reviews {
    /// With an empty memory.
    #[must_use]
    pub fn new(client: Client, metrics: Arc<Metrics>) -> Reviews {
        let known = Cache::builder().max_capacity(MOST).time_to_live(HOLDS).build();
        Reviews { reviews: Api::all(client), known, questions: Semaphore::new(AT_ONCE), metrics }
    }
}

#[async_trait]
impl Identify for Reviews {
    async fn identify(&self, token: &str) -> Result<Caller, Denied> {
        let digest: Option<[u8; 32]> = digest::digest(&digest::SHA256, token.as_bytes()).as_ref().try_into().ok();
        if let Some(caller) = digest.and_then(|digest| self.known.get(&digest)) {
            self.metrics.reviewed("cached");
            return Ok(caller);
        }
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        // It is never closed.
        let _one = self.questions.acquire().await;
        let answer = call("review a token", self.reviews.create(&PostParams::default(), &review)).await;
        let result = match answer {
            Ok(review) => caller(review.status.unwrap_or_default()),
            Err(error) => {
                // The error may hold what was sent; it goes neither to the caller nor into the log.
                let why = match error {
                    crate::reconcile::Failed::Api { error: kube::Error::Api(status), .. } => status.reason.clone(),
                    _ => "the API server cannot be reached".to_owned(),
                };
                tracing::warn!(%why, "a token could not be reviewed");
                Err(Denied::Unavailable("tokens cannot be reviewed now".to_owned()))
            }
        };
        self.metrics.reviewed(match &result {
            Ok(_) => "known",
            Err(Denied::Refused(_)) => "refused",
            Err(Denied::Unavailable(_)) => "unavailable",
        });
        if let (Ok(caller), Some(digest)) = (&result, digest) {
            self.known.insert(digest, caller.clone());
        }
        result
    }
}

/// The pod that a review names. A token that is bound to no pod is no sidecar's, however good it is.
fn caller(status: TokenReviewStatus) -> Result<Caller, Denied> {
    let TokenReviewStatus { authenticated, audiences, error, user } = status;
    let refused = |why: &str| Err(Denied::Refused(why.to_owned()));
    if authenticated != Some(true) {
        return refused(error.as_deref().unwrap_or("invalid bearer token"));
    }
    // An API server that knows no audiences leaves them out: then the token is for itself.
    if !audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
        return refused("the token is not for the audience llmroute");
    }
    let user = user.unwrap_or_default();
    let account = user.username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    let namespace = account.and_then(|account| account.split_once(':')).map(|(namespace, _)| namespace);
    let extra = |name: &str| match user.extra.as_ref()?.get(name)?.as_slice() {
        [one] if !one.is_empty() => Some(one.as_str()),
        _ => None,
    };
    match (namespace, extra(POD_NAME), extra(POD_UID)) {
        (Some(namespace), Some(name), Some(uid)) => {
            Ok(Caller { namespace: namespace.into(), name: name.into(), uid: uid.into() })
        }
        (None, ..) => refused("the token is no service account's"),
        _ => refused("the token is bound to no pod"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({"authenticated": true, "audiences": ["llmroute"], "user": {"username": "system:serviceaccount:shop:default",
            "extra": {POD_NAME: ["a-1"], POD_UID: ["u-1"], "authentication.kubernetes.io/node-name": ["n"]}}})
    }

    #[test]
    fn only_a_token_of_a_pod_for_us_names_a_caller() {
        let caller_of = |status: Value| caller(serde_json::from_value(status).unwrap());
        let want = Caller { namespace: "shop".into(), name: "a-1".into(), uid: "u-1".into() };
        assert_eq!(caller_of(good()), Ok(want));
        let rows: [(&str, Value, &str); 9] = [
            ("/authenticated", Value::Null, "invalid bearer token"),
            ("/authenticated", json!(false), "invalid bearer token"),
            ("/audiences", Value::Null, "the token is not for the audience llmroute"),
            ("/audiences", json!(["https://kubernetes.default.svc"]), "the token is not for the audience llmroute"),
            ("/user/username", json!("alice"), "the token is no service account's"),
            ("/user/extra", Value::Null, "the token is bound to no pod"),
            ("/user/extra/authentication.kubernetes.io~1pod-uid", json!([]), "the token is bound to no pod"),
            ("/user/extra/authentication.kubernetes.io~1pod-uid", json!(["a", "b"]), "the token is bound to no pod"),
            ("/user/extra/authentication.kubernetes.io~1pod-name", json!([""]), "the token is bound to no pod"),
        ];
        for (at, value, want) in rows {
            let mut status = good();
            *status.pointer_mut(at).unwrap() = value;
            assert_eq!(caller_of(status), Err(Denied::Refused(want.to_owned())), "{at}");
        }
        let expired = json!({"error": "[invalid bearer token, token has expired]"});
        assert_eq!(caller_of(expired), Err(Denied::Refused("[invalid bearer token, token has expired]".to_owned())));
    }

    #[tokio::test]
    async fn a_good_answer_holds_a_while_and_a_bad_one_does_not() {
        let (client, mut api) = crate::scripted::Api::new();
        let reviews = Reviews::new(client, Arc::default());
        let review = |status: Value| json!({"metadata": {}, "spec": {}, "status": status});
        for _ in 0..2 {
            let (refused, (called, sent)) = tokio::join!(reviews.identify("t0k3n"), api.answer(201, review(json!({}))));
            assert!(matches!(refused, Err(Denied::Refused(_))), "{refused:?}");
            assert!(called.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews?"), "{called}");
            assert_eq!(sent["spec"], json!({"token": "t0k3n", "audiences": ["llmroute"]}));
        }
        let (failed, _) = tokio::join!(reviews.identify("t0k3n"), api.refuses(403));
        assert_eq!(failed, Err(Denied::Unavailable("tokens cannot be reviewed now".to_owned())));
        let (known, _) = tokio::join!(reviews.identify("t0k3n"), api.answer(201, review(good())));
        assert_eq!(known, reviews.identify("t0k3n").await, "without another call");
        assert!(known.is_ok());
        let (other, _) = tokio::join!(reviews.identify("other"), api.answer(201, review(json!({}))));
        assert!(other.is_err(), "of one token alone");
    }

    #[tokio::test]
    async fn of_many_who_come_at_once_a_few_are_asked_about_at_a_time() {
        let (client, mut api) = crate::scripted::Api::new();
        let reviews = Reviews::new(client, Arc::default());
        let tokens: Vec<String> = (0..AT_ONCE * 3).map(|n| format!("token-{n}")).collect();
        let all = futures_util::future::join_all(tokens.iter().map(|token| reviews.identify(token)));
        let answers = async {
            let mut free = vec![];
            for _ in &tokens {
                api.answer(201, json!({"metadata": {}, "spec": {}, "status": good()})).await;
                free.push(reviews.questions.available_permits());
            }
            free
        };
        let (all, free) = tokio::join!(all, answers);
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(free[..AT_ONCE * 2], [0; AT_ONCE * 2], "while some wait");
    }
}
