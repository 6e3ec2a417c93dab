// What is particular to each SDK and API: how it is called, and where its answers keep what the cells look at.

import Anthropic from "@anthropic-ai/sdk";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";
import OpenAI from "openai";

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

  // The structured answer as the SDK parsed it.
  async structured({ headers, ...body }) {
    return this.parsed(await this.endpoint.parse(this.withFormat(body), { headers }));
  }

  withFormat(body) {
    return body;
  }
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
  parsed(answer) {
    return answer.choices[0].message.parsed;
  }
  kind(error) {
    return error.type;
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
  parsed(answer) {
    return answer.output_parsed;
  }
  kind(error) {
    return error.code;
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
  withFormat(body) {
    return { ...body, output_config: { format: jsonSchemaOutputFormat(body.output_config.format.schema) } };
  }
  parsed(answer) {
    return answer.parsed_output;
  }
  kind(error) {
    return error.type;
  }
  member(event) {
    return (event.message ?? event).llmroute;
  }
}

export const APIS = { chat: Chat, responses: Responses, messages: Messages };
