//! The real APIs' errors: status, kind and words, and the envelope of each vendor.

use crate::node::{Node, obj};
use crate::vendor::Vendor;

/// A request that is answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
}

impl Refusal {
    /// An error of any status.
    pub(crate) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, kind, message: message.into(), param: None, code: None }
    }

    /// The usual 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "invalid_request_error", message)
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Refusal {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Refusal {
        self.code = Some(code);
        self
    }

    /// The body in the vendor's envelope.
    pub(crate) fn body(&self, vendor: Vendor, request_id: &str) -> Node {
        match vendor {
            Vendor::OpenAi => obj! {"error": obj! {
                "message": &self.message,
                "type": self.kind,
                "param": self.param.clone(),
                "code": self.code,
            }},
            Vendor::Anthropic => {
                let mut error = obj! {"type": self.kind, "message": &self.message};
                if let Some(code) = self.code {
                    error = error.with("details", obj! {"error_code": code});
                }
                obj! {"type": "error", "error": error, "request_id": request_id}
            }
        }
    }
}

/// The answer to a missing or a wrong key.
pub(crate) fn unauthorized(vendor: Vendor, given: Option<&str>) -> Refusal {
    match (vendor, given) {
        (Vendor::OpenAi, None) => Refusal::new(
            401,
            "invalid_request_error",
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer \
             auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're \
             accessing the API from your browser and are prompted for a username and password. You can obtain an API \
             key from https://platform.openai.com/account/api-keys.",
        ),
        (Vendor::OpenAi, Some(key)) => Refusal::new(
            401,
            "invalid_request_error",
            format!(
                "Incorrect API key provided: {}. You can find your API key at \
                 https://platform.openai.com/account/api-keys.",
                masked(key)
            ),
        )
        .code("invalid_api_key"),
        (Vendor::Anthropic, None) => Refusal::new(401, "authentication_error", "x-api-key header is required"),
        (Vendor::Anthropic, Some(_)) => Refusal::new(401, "authentication_error", "invalid x-api-key"),
    }
}

fn masked(key: &str) -> String {
    let chars: Vec<char> = key.chars().collect();
    if chars.len() <= 12 {
        return "*".repeat(chars.len());
    }
    let head: String = chars[..8].iter().collect();
    let tail: String = chars[chars.len() - 4..].iter().collect();
    format!("{head}{}{tail}", "*".repeat(chars.len() - 12))
}

/// The answer to a model that nobody has.
pub(crate) fn no_model(vendor: Vendor, model: &str) -> Refusal {
    match vendor {
        Vendor::OpenAi => Refusal::new(
            404,
            "invalid_request_error",
            format!("The model `{model}` does not exist or you do not have access to it."),
        )
        .code("model_not_found"),
        Vendor::Anthropic => Refusal::new(404, "not_found_error", format!("model: {model}")),
    }
}

/// The answer to a path that does not exist, or not with this method.
pub(crate) fn no_path(vendor: Vendor, method: &str, path: &str, known: bool) -> Refusal {
    match vendor {
        Vendor::OpenAi if known => {
            Refusal::new(405, "invalid_request_error", format!("Not allowed to {method} on {path}."))
                .code("method_not_supported")
        }
        Vendor::OpenAi => Refusal::new(404, "invalid_request_error", format!("Invalid URL ({method} {path})")),
        Vendor::Anthropic if known => Refusal::new(405, "invalid_request_error", "Method Not Allowed"),
        Vendor::Anthropic => Refusal::new(404, "not_found_error", "Not found"),
    }
}

/// The answer to a body that is not JSON.
pub(crate) fn not_json(vendor: Vendor, why: &str) -> Refusal {
    match vendor {
        Vendor::OpenAi => Refusal::invalid(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP \
             library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you \
             have trouble figuring out how to fix this, please contact us through our help center at \
             help.openai.com.)",
        ),
        Vendor::Anthropic => Refusal::invalid(format!("The request body is not valid JSON: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes() {
        let refusal = no_model(Vendor::OpenAi, "x");
        assert_eq!(
            refusal.body(Vendor::OpenAi, "req_1").text(),
            r#"{"error":{"message":"The model `x` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#
        );
        assert_eq!(
            no_model(Vendor::Anthropic, "x").body(Vendor::Anthropic, "req_1").text(),
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"},"request_id":"req_1"}"#
        );
        assert_eq!(masked("sk-proj-abcdefghijk"), "sk-proj-*******hijk");
    }
}
