//! `GET /v1/models` in either vendor's shape.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Dialect;

/// The list of `(model, provider)` pairs.
#[must_use]
pub fn models_list(dialect: Dialect, models: &[(&str, &str)]) -> Bytes {
    let rows: Vec<Value> = models.iter().map(|(m, p)| entry(dialect, m, p)).collect();
    let list = match dialect {
        Dialect::Messages => json!({
            "data": rows, "has_more": false,
            "first_id": models.first().map(|m| m.0), "last_id": models.last().map(|m| m.0),
        }),
        Dialect::Chat | Dialect::Responses => json!({"object": "list", "data": rows}),
    };
    list.to_string().into()
}

/// One model.
#[must_use]
pub fn model_entry(dialect: Dialect, model: &str, provider: &str) -> Bytes {
    entry(dialect, model, provider).to_string().into()
}

fn entry(dialect: Dialect, model: &str, provider: &str) -> Value {
    match dialect {
        Dialect::Messages => {
            json!({"type": "model", "id": model, "display_name": model, "created_at": "1970-01-01T00:00:00Z"})
        }
        Dialect::Chat | Dialect::Responses => {
            json!({"id": model, "object": "model", "created": 0, "owned_by": provider})
        }
    }
}
