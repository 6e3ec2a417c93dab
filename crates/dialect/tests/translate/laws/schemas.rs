//! Requests by the vendors' published schemas (`tests/schemas`): any member that there is, in any place.

use std::{collections::BTreeSet, sync::LazyLock};

use dialect::Dialect::{self, Chat, Messages, Responses};
use serde_json::{Map, Value, json};

/// One API's schema, and what was made by it.
pub struct Maker {
    schema: &'static Value,
    state: u64,
    /// Makes first what it has not made yet.
    pub greedy: bool,
    /// Members that were made, with the type that has them.
    pub made: BTreeSet<(String, String)>,
}

/// How deep objects have members that they can do without.
const DEPTH: usize = 10;

fn schema(dialect: Dialect) -> &'static Value {
    static ALL: LazyLock<[Value; 3]> = LazyLock::new(|| {
        [
            include_str!("../../schemas/chat.json"),
            include_str!("../../schemas/responses.json"),
            include_str!("../../schemas/messages.json"),
        ]
        .map(|text| serde_json::from_str(text).unwrap())
    });
    &ALL[match dialect {
        Chat => 0,
        Responses => 1,
        Messages => 2,
    }]
}

/// All members of all types that a request can hold.
pub fn members(dialect: Dialect) -> BTreeSet<(String, String)> {
    let types = schema(dialect)["types"].as_object().unwrap();
    let of = |kind: &Value| {
        let all = [&kind["need"], &kind["may"]].map(|m| m.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        all.concat()
    };
    types.iter().flat_map(|(name, kind)| of(kind).into_iter().map(|m| (name.clone(), m))).collect()
}

impl Maker {
    pub fn new(dialect: Dialect, seed: u64) -> Maker {
        Maker {
            schema: schema(dialect),
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            greedy: false,
            made: BTreeSet::new(),
        }
    }

    /// A request; `$` where a mark goes. Calls have ids of their own, and their results.
    pub fn request(&mut self, dialect: Dialect) -> Value {
        let root = self.schema["root"].clone();
        let mut body = self.value(&root, "", 0);
        body["model"] = "mock".into();
        if dialect == Responses && body["input"].is_null() {
            body["input"] = "$".into();
        }
        match dialect {
            Chat => self.link_chat(&mut body),
            Responses => self.link_responses(&mut body),
            Messages => self.link_messages(&mut body),
        }
        body
    }

    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % n
    }

    fn value(&mut self, kind: &Value, member: &str, depth: usize) -> Value {
        if let Some(word) = kind.as_str() {
            return match word.strip_prefix('#') {
                Some(name) => self.object(name, depth),
                None => self.leaf(word, member),
            };
        }
        let (how, of) = kind.as_object().unwrap().iter().next().unwrap();
        match how.as_str() {
            "is" => of[self.below(of.as_array().unwrap().len())].clone(),
            "one" => {
                let mut all: Vec<&Value> = of.as_array().unwrap().iter().filter(|k| *k != "null").collect();
                let is_new = |k: &&Value| self.lacks(k);
                if self.greedy && all.iter().any(is_new) {
                    all.retain(is_new);
                }
                let at = self.below(all.len());
                self.value(all[at], member, depth)
            }
            "list" => {
                let most = if depth < 3 { 5 } else { 2 };
                (0..1 + self.below(most)).map(|_| self.value(of, member, depth + 1)).collect()
            }
            "map" if ["parameters", "input_schema", "schema"].contains(&member) => {
                json!({"type": "object", "title": "$", "properties": {}})
            }
            "map" => json!({"a": self.value(of, "", depth + 1)}),
            other => panic!("{other}"),
        }
    }

    fn object(&mut self, name: &str, depth: usize) -> Value {
        let kind = &self.schema["types"][name];
        let mut out = Map::new();
        for (is_needed, members) in [(true, &kind["need"]), (false, &kind["may"])] {
            for (member, kind) in members.as_object().unwrap() {
                // Of the many members at the top each is rare, so that what is beside it is not always the same.
                let is_top = depth == 0 && !matches!(member.as_str(), "input" | "tools");
                let odds = if is_top { 4 } else { 2 + depth / 4 };
                let is_new = self.greedy && !self.made.contains(&(name.to_owned(), member.clone()));
                if is_needed || is_new || depth < DEPTH && self.below(odds) == 0 {
                    self.made.insert((name.to_owned(), member.clone()));
                    let value = self.value(kind, member, depth + 1);
                    out.insert(member.clone(), value);
                }
            }
        }
        out.into()
    }

    /// Whether some member of the type was not made yet.
    fn lacks(&self, kind: &Value) -> bool {
        let Some(name) = kind.as_str().and_then(|word| word.strip_prefix('#')) else { return false };
        let of = |members: &Value| members.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let kind = &self.schema["types"][name];
        let mut all = [of(&kind["need"]), of(&kind["may"])].concat().into_iter();
        all.any(|member| !self.made.contains(&(name.to_owned(), member)))
    }

    fn leaf(&mut self, word: &str, member: &str) -> Value {
        match word {
            "int" => "$int".into(),
            "num" => "$half".into(),
            "bool" => (self.below(2) == 0).into(),
            "null" => Value::Null,
            "any" => json!({"a": "$"}),
            _ => match member {
                "url" | "image_url" | "file_url" => "https://x.org/$".into(),
                "file_data" => "data:application/pdf;base64,$".into(),
                "arguments" => "{\"a\":\"$\"}".into(),
                _ => "$".into(),
            },
        }
    }

    /// An object of the type whose name ends so.
    fn made(&mut self, end: &str) -> Value {
        let types = self.schema["types"].as_object().unwrap();
        let name = types.keys().find(|name| name.ends_with(end)).unwrap();
        self.object(name, 3)
    }

    fn link_chat(&mut self, body: &mut Value) {
        let mut out = vec![];
        for (i, mut message) in list(&mut body["messages"]).into_iter().enumerate() {
            if message["role"] == "tool" {
                continue;
            }
            let mut results = vec![];
            for (j, call) in message["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
                call["id"] = format!("call_{i}_{j}").into();
                let mut result = self.made(".ChatCompletionToolMessageParam");
                result["tool_call_id"] = call["id"].clone();
                results.push(result);
            }
            out.push(message);
            out.extend(results);
        }
        body["messages"] = out.into();
    }

    fn link_responses(&mut self, body: &mut Value) {
        let mut items = list(&mut body["input"]);
        items.retain(|item| item["type"] != "function_call_output" && item["type"] != "custom_tool_call_output");
        let mut out = vec![];
        for (i, mut item) in items.into_iter().enumerate() {
            let result = match item["type"].as_str() {
                Some("function_call") => Some(".FunctionCallOutput"),
                Some("custom_tool_call") => Some(".ResponseCustomToolCallOutputParam"),
                _ => None,
            };
            if result.is_some() {
                item["call_id"] = format!("call_{i}").into();
            }
            let id = item["call_id"].clone();
            out.push(item);
            out.extend(result.map(|end| {
                let mut result = self.made(end);
                result["call_id"] = id;
                result
            }));
        }
        if !out.is_empty() {
            body["input"] = out.into();
        }
    }

    fn link_messages(&mut self, body: &mut Value) {
        let mut out = vec![];
        for (i, mut message) in list(&mut body["messages"]).into_iter().enumerate() {
            let mut results = vec![];
            if let Some(blocks) = message["content"].as_array_mut() {
                blocks.retain(|block| block["type"] != "tool_result");
                for (j, block) in blocks.iter_mut().enumerate().filter(|(_, b)| b["type"] == "tool_use") {
                    block["id"] = format!("toolu_{i}_{j}").into();
                    let mut result = self.made(".BetaToolResultBlockParam");
                    result["tool_use_id"] = block["id"].clone();
                    results.push(result);
                }
            }
            out.push(message);
            if !results.is_empty() {
                out.push(json!({"role": "user", "content": results}));
            }
        }
        body["messages"] = out.into();
    }
}

fn list(v: &mut Value) -> Vec<Value> {
    match v.take() {
        Value::Array(list) => list,
        other => {
            *v = other;
            vec![]
        }
    }
}
