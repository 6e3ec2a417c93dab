// The Anthropic SDK counts the tokens of a prompt, whoever would answer it.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { ASKED_MODEL, CELLS } from "./row.mjs";

const { LLMROUTE_URL, LLMROUTE_KEYS } = process.env;
const { messages } = new Anthropic({ baseURL: LLMROUTE_URL, apiKey: JSON.parse(LLMROUTE_KEYS).caller });

for (const provider of ["claude", "openai"]) {
  test(`a prompt is counted: ${provider}`, async () => {
    for (const feature of ["plain", "tools", "images"]) {
      const { max_tokens, ...ask } = CELLS.messages[feature].ask;
      const headers = { "x-llmroute-scene": provider };
      const { data, response } = await messages.countTokens({ model: ASKED_MODEL, ...ask }, { headers }).withResponse();
      assert.deepEqual(Object.keys(data), ["input_tokens"]);
      assert.ok(data.input_tokens > 0);
      const told = ["status", "provider", "dropped"].map((name) => response.headers.get(`x-llmroute-${name}`));
      assert.deepEqual(told, ["ok", provider, null]);
    }
  });
}
