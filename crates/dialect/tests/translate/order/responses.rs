//! developers.openai.com, streaming events of Responses: numbers, places and ids that agree, every `done` the sum of its
//! deltas, the last response the sum of all.

use serde_json::{Value, json};

use super::{Broken, ensure, named, walk};

/// An item as it grows.
struct Item {
    /// With all that was told of it so far.
    whole: Value,
    is_open: bool,
    /// A part is open: in which list, and whether its text is done.
    part: Option<(&'static str, bool)>,
    /// The arguments, or the input, are done.
    is_told: bool,
}

#[derive(Default)]
struct Stream {
    /// Of the response: id, time, model.
    names: Option<[Value; 3]>,
    queued: bool,
    items: Vec<Item>,
}

pub fn responses(events: &[Value]) -> Result<bool, String> {
    let mut s = Stream::default();
    walk(events, |i, e| {
        ensure(e["sequence_number"] == i, "out of number")?;
        let kind = e["type"].as_str().unwrap_or_default();
        if kind == "error" {
            let whole = e["message"].is_string() && e.get("code").is_some() && e.get("param").is_some();
            return ensure(whole, "an error without words").map(|()| true);
        }
        let kind = kind.strip_prefix("response.").ok_or("unknown")?;
        match (i, kind) {
            (0, "created") | (1, "queued" | "in_progress") => s.begin(kind, &e["response"])?,
            (2, "in_progress") if s.queued => s.begin(kind, &e["response"])?,
            (0, _) => return Err("does not begin with response.created"),
            (_, "completed" | "incomplete" | "failed") => return s.end(kind, &e["response"]).map(|()| true),
            (1, _) => return Err("no response.in_progress"),
            (2, _) if s.queued => return Err("no response.in_progress"),
            (_, "output_item.added") => s.add(e)?,
            _ => s.grow(kind, e)?,
        }
        Ok(false)
    })
}

impl Stream {
    fn begin(&mut self, kind: &str, r: &Value) -> Broken {
        self.queued = kind == "queued";
        let status = if self.queued { "queued" } else { "in_progress" };
        ensure(r["status"] == status && r["output"] == json!([]), "no response that begins")?;
        for name in ["error", "incomplete_details", "usage"] {
            ensure(r[name].is_null(), "told at the beginning what is known at the end")?;
        }
        self.response(r)
    }

    /// Members that the SDKs' types require.
    fn response(&mut self, r: &Value) -> Broken {
        ensure(named(&r["id"]) && r["object"] == "response" && r["model"].is_string(), "no response")?;
        ensure(r["created_at"].is_number(), "no time")?;
        let same = ["id", "created_at", "model"].map(|m| r[m].clone());
        ensure(*self.names.get_or_insert_with(|| same.clone()) == same, "another response")
    }

    fn end(&mut self, kind: &str, r: &Value) -> Broken {
        self.response(r)?;
        ensure(r["status"] == kind, "a status of its own")?;
        let fails = r["error"].is_object() && named(&r["error"]["code"]) && r["error"]["message"].is_string();
        ensure(fails == (kind == "failed") && (fails || r["error"].is_null()), "an error at the wrong end")?;
        let lacks = named(&r["incomplete_details"]["reason"]);
        ensure(lacks == (kind == "incomplete"), "a reason at the wrong end")?;
        if let Some(u) = r["usage"].as_object() {
            let n = |name: &str| u.get(name).and_then(Value::as_u64).ok_or("not all counts");
            let total = n("input_tokens")?.saturating_add(n("output_tokens")?);
            ensure(total == n("total_tokens")?, "a total that is no sum")?;
        }
        if kind == "failed" {
            return Ok(());
        }
        ensure(self.items.iter().all(|i| !i.is_open), "an item is open")?;
        let all: Vec<&Value> = self.items.iter().map(|i| &i.whole).collect();
        ensure(r["output"] == json!(all), "not what was told")
    }

    fn add(&mut self, e: &Value) -> Broken {
        ensure(e["output_index"] == self.items.len(), "out of place")?;
        let item = &e["item"];
        let begins = |name: &str, empty: Value| item[name] == empty;
        let fits = match item["type"].as_str().unwrap_or_default() {
            "message" => item["role"] == "assistant" && begins("content", json!([])),
            "function_call" => named(&item["call_id"]) && named(&item["name"]) && begins("arguments", json!("")),
            "custom_tool_call" => named(&item["call_id"]) && named(&item["name"]) && begins("input", json!("")),
            "reasoning" => begins("summary", json!([])) && item["content"].as_array().is_none_or(Vec::is_empty),
            other => !other.is_empty(),
        };
        ensure(fits, "an item that lacks something, or does not begin empty")?;
        ensure(item["status"].is_null() || item["status"] == "in_progress", "an item that is not in progress")?;
        ensure(named(&item["id"]), "an item without an id")?;
        ensure(self.items.iter().all(|i| i.whole["id"] != item["id"]), "the id of another item")?;
        self.items.push(Item { whole: item.clone(), is_open: true, part: None, is_told: false });
        Ok(())
    }

    fn grow(&mut self, kind: &str, e: &Value) -> Broken {
        let place = e["output_index"].as_u64().ok_or("belongs to no item")? as usize;
        let item = self.items.get_mut(place).ok_or("belongs to an item that has not come")?;
        ensure(item.is_open, "belongs to an item that is done")?;
        if kind == "output_item.done" {
            return item.done(&e["item"]);
        }
        ensure(e["item_id"] == item.whole["id"], "the id of another item")?;
        let (what, step) = kind.rsplit_once('.').ok_or("unknown")?;
        let own = item.whole["type"].as_str().unwrap_or_default().to_owned();
        match (own.as_str(), what, step) {
            ("message" | "reasoning", "content_part", _) => item.part("content", &e["content_index"], step, &e["part"]),
            ("reasoning", "reasoning_summary_part", _) => item.part("summary", &e["summary_index"], step, &e["part"]),
            ("message", "output_text" | "refusal", _) | ("reasoning", "reasoning_text", _) => {
                item.text("content", &e["content_index"], what, step, e)
            }
            ("reasoning", "reasoning_summary_text", _) => item.text("summary", &e["summary_index"], what, step, e),
            ("message", "output_text.annotation", "added") => item.annotation(e),
            ("function_call", "function_call_arguments", _) => item.input("arguments", step, e),
            ("custom_tool_call", "custom_tool_call_input", _) => item.input("input", step, e),
            _ => Err("no event of this item"),
        }
    }
}

impl Item {
    fn done(&mut self, told: &Value) -> Broken {
        ensure(self.part.is_none(), "a part is open")?;
        let grows = ["function_call", "custom_tool_call"].iter().any(|k| self.whole["type"] == *k);
        ensure(self.is_told || !grows, "arguments that are not done")?;
        ensure(
            told["status"].is_null() || told["status"] == "completed" || told["status"] == "incomplete",
            "not done",
        )?;
        self.whole["status"] = told["status"].clone();
        // What begins null may be filled in the end, and what a provider seals comes with it.
        for name in told.as_object().into_iter().flat_map(|o| o.keys()) {
            let is_text =
                ["content", "summary", "arguments", "input", "id", "type", "call_id", "name"].contains(&name.as_str());
            if !is_text {
                self.whole[name] = told[name].clone();
            }
        }
        if told.get("status").is_none() {
            self.whole.as_object_mut().ok_or("no item")?.shift_remove("status");
        }
        self.is_open = false;
        ensure(*told == self.whole, "not what was told of the item")
    }

    fn list(&mut self, list: &str) -> Result<&mut Vec<Value>, &'static str> {
        self.whole[list].as_array_mut().ok_or("an item without parts")
    }

    fn part(&mut self, list: &'static str, index: &Value, step: &str, part: &Value) -> Broken {
        match step {
            "added" => {
                ensure(self.part.is_none(), "another part is open")?;
                if self.whole[list].is_null() {
                    self.whole[list] = json!([]);
                }
                let all = self.list(list)?;
                ensure(*index == all.len(), "out of place")?;
                let fits = match part["type"].as_str().unwrap_or_default() {
                    "output_text" => part["text"] == "" && part["annotations"] == json!([]),
                    "summary_text" | "reasoning_text" => part["text"] == "",
                    "refusal" => part["refusal"] == "",
                    _ => false,
                };
                ensure(fits, "a part that does not begin empty")?;
                all.push(part.clone());
                self.part = Some((list, false));
                Ok(())
            }
            "done" => {
                ensure(self.part.take() == Some((list, true)), "a text that is not done")?;
                let all = self.list(list)?;
                ensure(*index == all.len() - 1, "out of place")?;
                ensure(all.last() == Some(part), "not what was told of the part")
            }
            _ => Err("unknown"),
        }
    }

    fn text(&mut self, list: &'static str, index: &Value, what: &str, step: &str, e: &Value) -> Broken {
        ensure(self.part == Some((list, false)), "no part whose text grows")?;
        let all = self.list(list)?;
        ensure(*index == all.len() - 1, "out of place")?;
        let part = all.last_mut().ok_or("no part")?;
        let (kind, name) = match what {
            "output_text" => ("output_text", "text"),
            "refusal" => ("refusal", "refusal"),
            "reasoning_text" => ("reasoning_text", "text"),
            _ => ("summary_text", "text"),
        };
        ensure(part["type"] == kind, "a part of another type")?;
        ensure(kind != "output_text" || e["logprobs"].is_array(), "no logprobs")?;
        grow(&mut part[name], &e[name], step, e)?;
        if step == "done" {
            self.part = Some((list, true));
        }
        Ok(())
    }

    fn annotation(&mut self, e: &Value) -> Broken {
        let part = self.list("content")?.last_mut().ok_or("no part")?;
        let all = part["annotations"].as_array_mut().ok_or("a part without annotations")?;
        ensure(e["annotation_index"] == all.len() && e["annotation"].is_object(), "out of place")?;
        all.push(e["annotation"].clone());
        Ok(())
    }

    fn input(&mut self, name: &str, step: &str, e: &Value) -> Broken {
        ensure(!self.is_told, "behind its end")?;
        grow(&mut self.whole[name], &e[name], step, e)?;
        self.is_told = step == "done";
        Ok(())
    }
}

/// A text that grows by deltas, and is told whole in the end.
fn grow(so_far: &mut Value, whole: &Value, step: &str, e: &Value) -> Broken {
    match step {
        "delta" => {
            ensure(named(&e["delta"]), "a delta of nothing")?;
            *so_far =
                format!("{}{}", so_far.as_str().unwrap_or_default(), e["delta"].as_str().unwrap_or_default()).into();
            Ok(())
        }
        "done" => ensure(*whole == *so_far, "another text than the deltas"),
        _ => Err("unknown"),
    }
}
