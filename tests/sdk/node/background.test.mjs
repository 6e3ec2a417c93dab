// The OpenAI SDK's background mode: made later by the sidecar, fetched, cancelled and deleted by id.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import OpenAI from "openai";

import { ASKED_MODEL } from "./row.mjs";

const { LLMROUTE_URL, LLMROUTE_KEYS } = process.env;
const { responses } = new OpenAI({ baseURL: `${LLMROUTE_URL}/v1`, apiKey: JSON.parse(LLMROUTE_KEYS).caller });

const create = (input) => responses.create({ model: ASKED_MODEL, input, background: true });

async function until(response, ...states) {
  for (const end = Date.now() + 20_000; !states.includes(response.status); await sleep(50)) {
    assert.ok(Date.now() < end, `still ${response.status}`);
    response = await responses.retrieve(response.id);
  }
  return response;
}

test("created, retrieved and deleted", async () => {
  const created = await create("Hello there");
  assert.match(created.id, /^resp_llmroute_[0-9a-f]{32}$/);
  assert.ok(["queued", "in_progress"].includes(created.status));
  assert.deepEqual([created.background, created.output, created.output_text], [true, [], ""]);
  const done = await until(created, "completed", "failed");
  assert.deepEqual([done.status, done.id, done.output_text], ["completed", created.id, "You said: Hello there."]);
  await responses.delete(created.id);
  await assert.rejects(responses.retrieve(created.id), OpenAI.NotFoundError);
});

test("cancelled", async () => {
  const running = await until(await create("Hello there@@sim:head_ms=6000@@"), "in_progress");
  assert.equal((await responses.cancel(running.id)).status, "cancelled");
  assert.equal((await responses.retrieve(running.id)).status, "cancelled");
});
