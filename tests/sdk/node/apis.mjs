// What is particular to each SDK and API: how it is called, and where its answers keep what the cells look at.

import assert from "node:assert/strict";

import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";
import OpenAI from "openai";
import { ResponsesToolRunner } from "openai/helpers/responses-tool-runner";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const CLIENTS = { openai: OpenAI, anthropic: Anthropic };

class Api {
  constructor(url, key) {
    this.sdk = CLIENTS[this.vendor];
    const baseURL = this.vendor === "openai" ? `${url}/v1` : url;
    this.client = new this.sdk({ baseURL, apiKey: key, maxRetries: 2, timeout: 30_000 });
  }

  // The answer and its raw headers; with `stream` in `ask`, the stream.
  async create({ headers, ...body }) {
    const { data, response } = await this.endpoint.create(body, { headers }).withResponse();
    return [data, response.headers];
  }

  // All events of a stream and its raw headers. What came before an error is in `events`.
  async events(ask, events = []) {
    const [stream, headers] = await this.create({ ...ask, stream: true });
    for await (const event of stream) events.push(event);
    return [events, headers];
  }

  // What the SDK's stream helper yields and what it makes of it in the end.
  async helped({ headers, ...body }) {
    const stream = this.endpoint.stream(body, { headers });
    const deltas = [];
    for await (const event of stream) deltas.push(...this.deltas([event]));
    return [deltas, await this.final(stream)];
  }

  // `body`, of the turn after these answers, as the SDK's runner sends it.
  asLooped(body, answers) {
    return body;
  }

  // What the SDK's stream helper yields, if it is asked, and the answer with what the SDK made of it.
  async structured({ headers, ...body }, stream) {
    const ask = this.withFormat(body);
    return stream ? this.helped({ ...ask, headers }) : [[], await this.endpoint.parse(ask, { headers })];
  }
}

// What the structured cells ask for; the schema on the wire is that of the cells.
const City = z.strictObject({ name: z.string(), population: z.int() });

// The body of an error of OpenAI's API, of which the SDK shows members.
function shown({ error, type, code, param }) {
  assert.deepEqual({ type, code, param }, { type: error.type, code: error.code, param: error.param });
  return error;
}

class Chat extends Api {
  get vendor() {
    return "openai";
  }
  ends = { text: "stop", tools: "tool_calls" };
  get endpoint() {
    return this.client.chat.completions;
  }
  final(stream) {
    return stream.finalChatCompletion();
  }
  text(answer) {
    return answer.choices[0].message.content;
  }
  end(answer) {
    return answer.choices[0].finish_reason;
  }
  calls(answer) {
    const calls = answer.choices[0].message.tool_calls ?? [];
    return calls.map((c) => [c.id, c.function.name, JSON.parse(c.function.arguments)]);
  }
  usage(answer) {
    return [answer.usage.prompt_tokens, answer.usage.completion_tokens];
  }
  deltas(events) {
    return events.flatMap((e) => e.choices).flatMap((c) => c.delta.content || []);
  }
  streamedEnd(events) {
    return events.flatMap((e) => e.choices).flatMap((c) => c.finish_reason ?? []);
  }
  // The request that brings the tools' results; the answer goes back as the SDK's own object.
  then(ask, answer, results) {
    const told = this.calls(answer).map(([id], n) => ({ role: "tool", tool_call_id: id, content: results[n] }));
    return { ...ask, messages: [...ask.messages, answer.choices[0].message, ...told] };
  }
  withPrompt(ask, text) {
    return { ...ask, messages: [...ask.messages.slice(0, -1), { role: "user", content: text }] };
  }
  // The model's answers, turn by turn, while the SDK's runner calls the functions in `tools`.
  async looped({ headers, tools: described, ...body }, tools, stream) {
    const runnable = described.map(({ type, function: tool }) => {
      return { type, function: { ...tool, parse: JSON.parse, function: tools[tool.name] } };
    });
    const runner = this.endpoint.runTools({ ...body, tools: runnable, stream }, { headers });
    await runner.done();
    return runner.allChatCompletions();
  }
  // Without what the SDK reads out of an answer for the app.
  asLooped(body) {
    const messages = body.messages.map(({ role, content, tool_calls, ...rest }) => {
      if (role !== "assistant") return { role, content, ...rest };
      const calls = tool_calls.map(({ id, type, function: { name, arguments: given } }) => {
        return { id, type, function: { name, arguments: given } };
      });
      return { role, content, tool_calls: calls };
    });
    return { ...body, messages };
  }
  formatIn = "response_format";
  withFormat(body) {
    const format = zodResponseFormat(City, "City");
    format.json_schema.schema = body.response_format.json_schema.schema;
    return { ...body, response_format: format };
  }
  parsed(answer) {
    return answer.choices[0].message.parsed;
  }
  kind(error) {
    return error.type;
  }
  error(error) {
    return shown(error);
  }
  member(event) {
    return event.llmroute;
  }
}

class Responses extends Api {
  get vendor() {
    return "openai";
  }
  ends = { text: "completed", tools: "completed" };
  get endpoint() {
    return this.client.responses;
  }
  final(stream) {
    return stream.finalResponse();
  }
  text(answer) {
    return answer.output_text;
  }
  end(answer) {
    return answer.status;
  }
  calls(answer) {
    const calls = answer.output.filter((o) => o.type === "function_call");
    return calls.map((o) => [o.call_id, o.name, JSON.parse(o.arguments)]);
  }
  usage(answer) {
    return [answer.usage.input_tokens, answer.usage.output_tokens];
  }
  deltas(events) {
    return events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta);
  }
  streamedEnd(events) {
    return events.filter((e) => e.type === "response.completed").map((e) => e.response.status);
  }
  then(ask, answer, results) {
    const told = this.calls(answer).map(([id], n) => ({ type: "function_call_output", call_id: id, output: results[n] }));
    return { ...ask, input: [...ask.input, ...answer.output, ...told] };
  }
  withPrompt(ask, text) {
    return { ...ask, input: text };
  }
  async looped({ headers, tools: described, ...body }, tools, stream) {
    const functions = described.map((tool) => ({ tool, execute: tools[tool.name] }));
    const turns = new ResponsesToolRunner({ functions }).iterate(this.client, body, { stream, requestOptions: { headers } });
    const answers = [];
    for await (const turn of turns) answers.push(turn.response);
    return answers;
  }
  // Without what its stream helper adds to a call.
  asLooped(body) {
    return { ...body, input: body.input.map(({ parsed_arguments, ...item }) => item) };
  }
  formatIn = "text";
  withFormat(body) {
    const format = zodTextFormat(City, "City");
    format.schema = body.text.format.schema;
    return { ...body, text: { format } };
  }
  parsed(answer) {
    return answer.output_parsed;
  }
  kind(error) {
    return error.code;
  }
  error(error) {
    return shown(error);
  }
  member(event) {
    return (event.response ?? event).llmroute;
  }
}

class Messages extends Api {
  get vendor() {
    return "anthropic";
  }
  ends = { text: "end_turn", tools: "tool_use" };
  get endpoint() {
    return this.client.messages;
  }
  final(stream) {
    return stream.finalMessage();
  }
  text(answer) {
    return answer.content.flatMap((b) => (b.type === "text" ? b.text : [])).join("");
  }
  end(answer) {
    return answer.stop_reason;
  }
  calls(answer) {
    return answer.content.filter((b) => b.type === "tool_use").map((b) => [b.id, b.name, b.input]);
  }
  usage(answer) {
    return [answer.usage.input_tokens, answer.usage.output_tokens];
  }
  deltas(events) {
    return events.filter((e) => e.type === "content_block_delta").map((e) => e.delta.text);
  }
  streamedEnd(events) {
    return events.filter((e) => e.type === "message_delta").map((e) => e.delta.stop_reason);
  }
  then(ask, answer, results) {
    const told = this.calls(answer).map(([id], n) => ({ type: "tool_result", tool_use_id: id, content: results[n] }));
    const turns = [{ role: "assistant", content: answer.content }, { role: "user", content: told }];
    return { ...ask, messages: [...ask.messages, ...turns] };
  }
  withPrompt(ask, text) {
    return { ...ask, messages: [{ role: "user", content: text }] };
  }
  async looped({ headers, tools: described, ...body }, tools, stream) {
    const runnable = described.map(({ input_schema: inputSchema, ...tool }) => {
      return betaTool({ ...tool, inputSchema, run: tools[tool.name] });
    });
    const answers = [];
    for await (const turn of this.client.beta.messages.toolRunner({ ...body, tools: runnable, stream }, { headers })) {
      answers.push(stream ? await turn.finalMessage() : turn);
    }
    return answers;
  }
  // This runner has the provider keep the conversation, as a thread.
  asLooped({ tools, ...body }, answers) {
    const typed = tools.map((tool) => ({ type: "custom", ...tool }));
    if (answers.length === 0) return { ...body, tools: typed, thread: { type: "create" } };
    const thread = { type: "continue", previous_message_id: answers.at(-1).id };
    return { ...body, messages: body.messages.slice(-1), thread };
  }
  formatIn = "output_config";
  withFormat(body) {
    return { ...body, output_config: { format: jsonSchemaOutputFormat(body.output_config.format.schema) } };
  }
  parsed(answer) {
    return answer.parsed_output;
  }
  kind(error) {
    return error.type;
  }
  error({ error, type, requestID, headers }) {
    const { request_id, ...body } = error;
    assert.ok(request_id && requestID === headers.get("request-id"));
    assert.equal(type, body.error.type);
    return body;
  }
  member(event) {
    return (event.message ?? event).llmroute;
  }
}

export const APIS = { chat: Chat, responses: Responses, messages: Messages };
