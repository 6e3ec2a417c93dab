// The rows of the table, and the record of which cell each test filled.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { APIS } from "./apis.mjs";

const { LLMROUTE_URL, LLMROUTE_SIM_URL, LLMROUTE_RESULTS, LLMROUTE_ROWS, LLMROUTE_KEYS } = process.env;
const KEYS = JSON.parse(LLMROUTE_KEYS);
const PATHS = { chat: "/v1/chat/completions", responses: "/v1/responses", messages: "/v1/messages" };
const MODELS = { openai: ["gpt-6-sol", "gpt-6-luna"], claude: ["claude-sonnet-5-5", "claude-haiku-5-5"] };
const KEY_IN = { openai: ["authorization", "Bearer "], claude: ["x-api-key", ""] };

export const CELLS = JSON.parse(readFileSync(new URL("../cells.json", import.meta.url)));
export const ASKED_MODEL = "a-model-of-the-app";

// Registers a test for every row that has this column.
export function cell(feature, name, body) {
  for (const [api, way] of JSON.parse(LLMROUTE_ROWS)) {
    test(`${name}: ${api}, ${way}`, async () => {
      let outcome = "failed";
      try {
        await fetch(`${LLMROUTE_SIM_URL}/sim/reset`, { method: "POST" });
        await body(new Row(api, way));
        outcome = "passed";
      } finally {
        appendFileSync(LLMROUTE_RESULTS, JSON.stringify({ row: `node/${api}/${way}`, cell: feature, outcome }) + "\n");
      }
    });
  }
}

// An API, served in the same dialect or translated.
class Row {
  constructor(name, way) {
    this.api = new APIS[name](LLMROUTE_URL, KEYS.caller);
    this.name = name;
    this.way = way;
    const openaiServes = (name === "messages") === (way === "translated");
    [this.provider, this.other] = openaiServes ? ["openai", "claude"] : ["claude", "openai"];
    [this.model, this.cheaper] = MODELS[this.provider];
    this.servedApi = way === "same" ? name : openaiServes ? "chat" : "messages";
  }

  // What the SDK is given.
  ask(feature, { scene = this.provider, tier = "quick" } = {}) {
    this.cell = CELLS[this.name][feature];
    const headers = { "x-llmroute-scene": scene, "x-llmroute-tier": tier };
    return { model: ASKED_MODEL, ...CELLS[this.name][feature].ask, headers };
  }

  // The requests that the simulator saw.
  async received() {
    const log = await (await fetch(`${LLMROUTE_SIM_URL}/sim/log`)).json();
    return log.map((e) => ({ ...e, headers: Object.fromEntries(e.headers), body: JSON.parse(e.body) }));
  }

  // The simulator received this body, under the sidecar's key and the target's model, and no hint or key of the app's.
  served(request, body, model = this.model) {
    assert.equal(request.path.replace("?beta=true", ""), PATHS[this.servedApi]);
    const [header, scheme] = KEY_IN[this.provider];
    assert.equal(request.headers[header], scheme + KEYS[this.provider]);
    assert.ok(!JSON.stringify(request.headers).includes(KEYS.caller));
    assert.deepEqual(Object.keys(request.headers).filter((name) => name.startsWith("x-llmroute-")), []);
    // The target takes tools in Chat Completions only if it is told not to think.
    const thinks = model.startsWith("gpt-6");
    const silent = thinks && this.servedApi === "chat" && "tools" in body ? { reasoning_effort: "none" } : {};
    // Some helpers say the default.
    if (request.body.stream === false) delete request.body.stream;
    assert.deepEqual(request.body, { ...silent, ...body, model });
  }

  // The body that `ask` becomes; `part` and `calls` say which translation.
  body(ask, part = "translated", calls = []) {
    const { headers, ...sent } = ask;
    if (this.way === "same") return JSON.parse(JSON.stringify(sent));
    const text = JSON.stringify(this.cell[part]);
    return JSON.parse(calls.reduce((text, [id], n) => text.replaceAll(`$call${n}`, id), text));
  }

  // `body`, asked for as a stream; the sidecar needs its usage.
  streamed(body) {
    return { ...body, stream: true, ...(this.servedApi === "chat" && { stream_options: { include_usage: true } }) };
  }

  // The raw headers say who served it and why.
  told(headers, status = "ok", reason = null, model = this.model) {
    const names = ["status", "reason", "provider", "model", "dropped"];
    const said = names.map((name) => headers.get(`x-llmroute-${name}`));
    const dropped = (this.way === "translated" && this.cell.dropped) || null;
    assert.deepEqual(said, [status, reason, this.provider, model, dropped]);
    const [, trace] = headers.get("x-llmroute-trace-id").match(/^rt_\d{8}_([0-9a-f]{32})$/);
    assert.equal(headers.get("traceparent").split("-")[1], trace);
    assert.match(headers.get(this.api.vendor === "openai" ? "x-request-id" : "request-id"), /^req_/);
  }
}
