//! The headers that the real APIs put on their answers.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::clock;
use crate::vendor::Vendor;

/// Request ids, limits and the like.
pub(crate) fn standard(vendor: Vendor, request_id: &str, now: u64, took_ms: u64, out: &mut HeaderMap) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            out.insert(HeaderName::from_static(name), value);
        }
    };
    match vendor {
        Vendor::OpenAi => {
            put("x-request-id", request_id.to_owned());
            put("openai-organization", "org-sim".to_owned());
            put("openai-project", "proj_sim".to_owned());
            put("openai-version", "2020-10-01".to_owned());
            put("openai-processing-ms", took_ms.to_string());
            put("x-ratelimit-limit-requests", "30000".to_owned());
            put("x-ratelimit-limit-tokens", "150000000".to_owned());
            put("x-ratelimit-remaining-requests", "29999".to_owned());
            put("x-ratelimit-remaining-tokens", "149999000".to_owned());
            put("x-ratelimit-reset-requests", "2ms".to_owned());
            put("x-ratelimit-reset-tokens", "0s".to_owned());
        }
        Vendor::Anthropic => {
            put("request-id", request_id.to_owned());
            put("anthropic-organization-id", "00000000-0000-4000-8000-000000000051".to_owned());
            let reset = clock::rfc3339(now);
            for (kind, limit, left) in [
                ("requests", "4000", "3999"),
                ("tokens", "2400000", "2399000"),
                ("input-tokens", "2000000", "1999000"),
                ("output-tokens", "400000", "399000"),
            ] {
                for (what, value) in [("limit", limit), ("remaining", left), ("reset", reset.as_str())] {
                    let name = format!("anthropic-ratelimit-{kind}-{what}");
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                        out.insert(name, value);
                    }
                }
            }
        }
    }
}
