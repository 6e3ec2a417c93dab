//! What OpenAI's strict mode asks of a schema.

use serde_json::Value;

use crate::model::Schema;

/// Whether an answer must fit its schema exactly: as the caller says, or wherever that mode takes the schema.
pub(crate) fn binds(format: &Schema) -> bool {
    format.strict.unwrap_or_else(|| is_strict(&format.schema))
}

/// Whether every object in `schema` forbids other members and requires all its own: strict mode refuses the rest.
pub(crate) fn is_strict(schema: &Value) -> bool {
    let is_object = schema["type"] == "object" || schema["properties"].is_object();
    let properties = || schema["properties"].as_object().into_iter().flatten();
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
    let closed = schema["additionalProperties"] == false && properties().all(|(name, _)| required(name));
    let named = ["$defs", "definitions"].into_iter().flat_map(|m| schema[m].as_object().into_iter().flatten());
    let listed = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|m| schema[m].as_array().into_iter().flatten());
    let inner = properties().chain(named).map(|(_, s)| s).chain(listed).chain(schema.get("items"));
    (!is_object || closed) && inner.into_iter().all(is_strict)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows() {
        let open = json!({"type": "object", "properties": {"a": {}}, "required": ["a"]});
        let optional = json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false});
        let closed =
            json!({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": false});
        assert!(!is_strict(&open) && !is_strict(&optional) && is_strict(&closed));
        assert!(!is_strict(&json!({"type": "array", "items": open})));
        assert!(!is_strict(&json!({"$defs": {"x": optional}})) && is_strict(&json!({"anyOf": [closed]})));
    }
}
