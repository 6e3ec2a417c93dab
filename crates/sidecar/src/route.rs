//! Which path is what: pure, by method and path.

use dialect::Dialect;
use hyper::Method;
use policy::{
    ask::Call,
    reason::Cause,
    snapshot::{Api, Snapshot},
};

use crate::later::{self, Act, Named};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// One of the calls that scenes serve.
    Call(Call),
    /// A path passed through to the first provider of an API, or to the keeper of what it names.
    Through(Api),
    /// The models of the policy's targets, or one of them.
    Models(Option<String>),
    /// A request by its id.
    Later(Dialect, Named, Act),
    /// `GET /`.
    Root,
    /// Nobody's.
    Refused(Cause),
}

/// Passed through to OpenAI providers with every path below.
const THROUGH: [&str; 4] = ["/v1/embeddings", "/v1/moderations", "/v1/audio", "/v1/images"];

/// Decides on a request. `anthropic`: `anthropic-version` is present; a path that both vendors have is Anthropic's then.
#[must_use]
pub fn route(method: &Method, path: &str, anthropic: bool, snapshot: Option<&Snapshot>) -> Route {
    let post = |route| if method == Method::POST { route } else { Route::Refused(Cause::MethodNotAllowed) };
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    match path {
        "/v1/chat/completions" => return post(Route::Call(Call::Chat)),
        "/v1/responses" => return post(Route::Call(Call::Responses)),
        "/v1/messages" => return post(Route::Call(Call::Messages)),
        "/v1/messages/count_tokens" => return post(Route::Call(Call::CountTokens)),
        "/" if method == Method::GET || method == Method::HEAD => return Route::Root,
        _ => {}
    }
    if let Some(id) = path.strip_prefix("/v1/models").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        let id = id.strip_prefix('/').map(str::to_owned);
        return if method == Method::GET { Route::Models(id) } else { Route::Refused(Cause::MethodNotAllowed) };
    }
    let below = |prefix: &str| is_below(path, prefix);
    if let Some((dialect, named, more)) = later::below(path) {
        return match Act::of(method, more) {
            Ok(act) => Route::Later(dialect, named, act),
            Err(cause) => Route::Refused(cause),
        };
    }
    let api = if anthropic { Api::Anthropic } else { Api::OpenAi };
    if path.starts_with("/v1/responses/") {
        let known = matches!(*method, Method::GET | Method::POST | Method::DELETE);
        return if known { Route::Through(Api::OpenAi) } else { Route::Refused(Cause::MethodNotAllowed) };
    }
    if THROUGH.iter().any(|p| below(p)) {
        return post(Route::Through(Api::OpenAi));
    }
    let first = snapshot.and_then(|s| s.providers.iter().find(|p| p.api == api));
    if path.starts_with("/v1/") && first.is_some_and(|p| p.paths.iter().any(|rule| below(&rule.path))) {
        return Route::Through(api);
    }
    Route::Refused(Cause::PathNotFound)
}

/// Whether `path` is `prefix` or stands below it.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let rows: &[(Method, &str, bool, Route)] = &[
            (Method::POST, "/v1/chat/completions", false, Route::Call(Call::Chat)),
            (Method::POST, "/v1/messages", true, Route::Call(Call::Messages)),
            (Method::POST, "/v1/messages/count_tokens", true, Route::Call(Call::CountTokens)),
            (Method::GET, "/v1/messages", true, Route::Refused(Cause::MethodNotAllowed)),
            (Method::GET, "/v1/models", false, Route::Models(None)),
            (Method::GET, "/v1/models/gpt-6-sol", false, Route::Models(Some("gpt-6-sol".into()))),
            (Method::GET, "/v1/modelsx", false, Route::Refused(Cause::PathNotFound)),
            (Method::POST, "/v1/embeddings", false, Route::Through(Api::OpenAi)),
            (Method::POST, "/v1/audio/transcriptions", false, Route::Through(Api::OpenAi)),
            (Method::POST, "/v1/audiobook", false, Route::Refused(Cause::PathNotFound)),
            (Method::GET, "/v1/responses/resp_1", false, Route::Through(Api::OpenAi)),
            (Method::POST, "/v1/responses/resp_1/cancel", false, Route::Through(Api::OpenAi)),
            (Method::GET, "/v1/responses/resp_llmroute_x", false, Route::Later(Dialect::Responses, None, Act::Fetch)),
            (
                Method::POST,
                "/v1/messages/msg_llmroute_1/cancel/",
                true,
                Route::Later(Dialect::Messages, None, Act::Cancel),
            ),
            (Method::PUT, "/v1/chat/completions/chatcmpl-llmroute-1", false, Route::Refused(Cause::MethodNotAllowed)),
            (Method::GET, "/v1/chat/completions/chatcmpl-1", false, Route::Refused(Cause::PathNotFound)),
            (Method::POST, "/v1/files", false, Route::Refused(Cause::PathNotFound)),
            (Method::HEAD, "/", false, Route::Root),
            (Method::GET, "/admin", false, Route::Refused(Cause::PathNotFound)),
        ];
        for (method, path, anthropic, want) in rows {
            assert_eq!(route(method, path, *anthropic, None), *want, "{method} {path}");
        }
    }
}
