//! YAML text to one policy object, bounded: text, depth, and what aliases unfold to.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Fault, form::KIND};

/// etcd holds no larger object.
const MAX_BYTES: usize = 1_500_000;
/// Far above any policy; aliases that unfold to more are refused.
const MAX_NODES: usize = 200_000;

/// The one `LLMRoutePolicy` among the documents of `yaml`; documents of other kinds may stand beside it.
pub(crate) fn policy(yaml: &str) -> Result<Value, Vec<Fault>> {
    if yaml.len() > MAX_BYTES {
        let message = format!("the file has {} bytes", yaml.len());
        return Err(vec![whole(message, "keep it under 1.5 MB, which is what Kubernetes stores")]);
    }
    let nodes = Cell::new(0);
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(yaml) {
        match (Node { nodes: &nodes }).deserialize(document) {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(value),
            Err(e) => return Err(vec![whole(format!("the file is not readable YAML: {e}"), "mend the YAML there")]),
        }
    }
    let ours = |value: &Value| value["kind"] == KIND;
    let count = documents.iter().filter(|d| ours(d)).count();
    match (documents.len(), count) {
        (0, _) => Err(vec![whole("the file is empty", "write an LLMRoutePolicy manifest")]),
        // A single document is judged as it is: its kind may just be misspelt.
        (1, _) => Ok(documents.remove(0)),
        (_, 1) => Ok(documents.into_iter().find(ours).unwrap_or_default()),
        (_, n) => Err(vec![whole(format!("the file has {n} documents of kind {KIND}"), "keep exactly one")]),
    }
}

fn whole(message: impl Into<String>, remedy: &str) -> Fault {
    Fault { path: String::new(), message: message.into(), remedy: remedy.to_owned() }
}

/// Builds a JSON value: keys are text and unique, numbers finite, `<<` merges as kubectl does it, nodes counted.
#[derive(Clone, Copy)]
struct Node<'a> {
    nodes: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > MAX_NODES {
            return Err(D::Error::custom(format!("it has more than {MAX_NODES} values")));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key_seed(Key(self))? {
            let value = map.next_value_seed(self)?;
            if members.contains_key(&key) {
                return Err(A::Error::custom(format!("{key:?} is there twice in one mapping")));
            }
            members.insert(key, value);
        }
        if let Some(merged) = members.remove("<<") {
            merge(&mut members, merged).map_err(A::Error::custom)?;
        }
        Ok(Value::Object(members))
    }
}

/// What the mapping has itself wins over what is merged in.
fn merge(members: &mut Map<String, Value>, from: Value) -> Result<(), &'static str> {
    let sources = match from {
        Value::Array(many) => many,
        one => vec![one],
    };
    for source in sources {
        let Value::Object(source) = source else { return Err("<< merges mappings only") };
        for (key, value) in source {
            members.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// A key, as text: kubectl turns numbers and booleans into text too.
struct Key<'a>(Node<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        match self.0.deserialize(from)? {
            Value::String(s) => Ok(s),
            Value::Bool(b) => Ok(b.to_string()),
            Value::Number(n) => Ok(n.to_string()),
            _ => Err(D::Error::custom("a key of a mapping is not text")),
        }
    }
}
