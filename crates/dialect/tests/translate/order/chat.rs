//! developers.openai.com, streaming of Chat Completions: the role once, a call's id and name once, the count in a chunk of
//! its own, the terminator.

use serde_json::{Value, json};

use super::{Broken, ensure, named, walk};

#[derive(Default)]
struct Stream {
    /// Id, model, time, kind: the same on every chunk.
    names: Option<[Value; 4]>,
    calls: usize,
    finished: bool,
    has_usage: bool,
}

pub fn chat(events: &[Value], counted: bool) -> Result<bool, String> {
    let mut s = Stream::default();
    walk(events, |_, e| {
        if e == "[DONE]" {
            return ensure(s.finished, "no finish reason").map(|()| true);
        }
        if e["error"].is_object() {
            let words = &e["error"];
            let whole = words["message"].is_string() && named(&words["type"]);
            ensure(whole && words.get("param").is_some() && words.get("code").is_some(), "an error without words")?;
            return Ok(true);
        }
        ensure(e["object"] == "chat.completion.chunk" && e["created"].is_u64() && e["model"].is_string(), "no chunk")?;
        ensure(named(&e["id"]), "no id")?;
        let same = ["id", "model", "created", "object"].map(|m| e[m].clone());
        let is_first = s.names.is_none();
        ensure(*s.names.get_or_insert_with(|| same.clone()) == same, "under another name")?;
        // Where the caller asked for the count every chunk has the member, null but in the last.
        ensure(counted == e.get("usage").is_some(), "a count that was not asked, or none where it was")?;
        match e["choices"].as_array().map(Vec::as_slice) {
            Some([]) => s.usage(&e["usage"])?,
            Some([choice]) => {
                ensure(e["usage"].is_null(), "a count beside a choice")?;
                s.choice(choice, is_first)?;
            }
            _ => return Err("not one choice"),
        }
        Ok(false)
    })
}

impl Stream {
    fn usage(&mut self, u: &Value) -> Broken {
        ensure(self.finished && !self.has_usage, "a count ahead of the end, or twice")?;
        let n = |name: &str| u[name].as_u64().ok_or("not all counts");
        ensure(
            n("prompt_tokens")?.saturating_add(n("completion_tokens")?) == n("total_tokens")?,
            "a total that is no sum",
        )?;
        self.has_usage = true;
        Ok(())
    }

    fn choice(&mut self, c: &Value, is_first: bool) -> Broken {
        ensure(!self.finished, "behind the finish reason")?;
        let d = &c["delta"];
        ensure(c["index"] == 0 && d.is_object() && c.get("finish_reason").is_some(), "no choice")?;
        ensure(is_first == (d["role"] == "assistant"), "the role, but not in the first chunk alone")?;
        for name in ["content", "refusal"] {
            ensure(d.get(name).is_none_or(|v| v.is_null() || v.is_string()), "no text")?;
        }
        ensure(d.get("tool_calls") != Some(&json!([])), "an empty list of calls")?;
        d["tool_calls"].as_array().into_iter().flatten().try_for_each(|call| self.call(call))?;
        self.finished = c["finish_reason"].is_string();
        ensure(self.finished || c["finish_reason"].is_null(), "no reason")
    }

    /// A fragment: id, type and name in the first of a call alone.
    fn call(&mut self, call: &Value) -> Broken {
        let index = call["index"].as_u64().ok_or("a fragment without its place")? as usize;
        let f = call.get("function").or(call.get("custom")).ok_or("a fragment of nothing")?;
        ensure(f["arguments"].is_string() || f["input"].is_string(), "a fragment without arguments")?;
        if index == self.calls {
            ensure(named(&call["id"]) && named(&call["type"]) && named(&f["name"]), "a call without id, type or name")?;
            self.calls += 1;
            return Ok(());
        }
        ensure(index < self.calls, "a place is left out")?;
        let again = [call.get("id"), call.get("type"), f.get("name")];
        ensure(again.iter().all(Option::is_none), "id, type or name once more")
    }
}
