// Every cell of the table for the Node SDKs: what the SDK returned, and the body that the simulator received.

import assert from "node:assert/strict";

import { ASKED_MODEL, CELLS, cell } from "./row.mjs";

const HELLO = "You said: Hello there.";

cell("plain", "a plain answer", async (row) => {
  const ask = row.ask("plain");
  const [answer, headers] = await row.api.create(ask);
  assert.equal(row.api.text(answer), HELLO);
  assert.deepEqual([answer.model, row.api.end(answer)], [row.model, row.api.ends.text]);
  assert.ok(Math.min(...row.api.usage(answer)) > 0);
  assert.equal(row.api.member(answer), undefined, "nothing was degraded");
  row.told(headers);
  assert.ok(Number(headers.get("x-llmroute-cost-usd")) > 0);
  const [request, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(request, row.body(ask));
});

cell("stream", "a stream", async (row) => {
  const ask = row.ask("plain");
  const [events, headers] = await row.api.events(ask);
  const deltas = row.api.deltas(events);
  assert.ok(deltas.length > 1);
  assert.equal(deltas.join(""), HELLO);
  assert.deepEqual(row.api.streamedEnd(events), [row.api.ends.text]);
  row.told(headers);
  const [request, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(request, row.streamed(row.body(ask)));
});

cell("helper", "the stream helper", async (row) => {
  const ask = row.ask("plain");
  const [deltas, answer] = await row.api.helped(ask);
  assert.ok(deltas.length > 1);
  assert.deepEqual([deltas.join(""), row.api.text(answer)], [HELLO, HELLO]);
  assert.deepEqual([answer.model, row.api.end(answer)], [row.model, row.api.ends.text]);
  const [request, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(request, row.streamed(row.body(ask)));
});

cell("tools", "a tool and its result", async (row) => {
  const ask = row.ask("tools");
  const [answer] = await row.api.create(ask);
  const calls = row.api.calls(answer);
  assert.deepEqual(calls.map(([, ...call]) => call), [["get_weather", { city: "Paris" }]]);
  assert.equal(row.api.end(answer), row.api.ends.tools);
  const then = row.api.then(ask, answer, CELLS.results);
  const [last, headers] = await row.api.create(then);
  assert.equal(row.api.text(last), "The tools answered: sunny.");
  assert.equal(row.api.end(last), row.api.ends.text);
  row.told(headers);
  const [first, second, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(first, row.body(ask));
  row.served(second, row.body(then, "translated_then", calls));
});

cell("parallel", "parallel tools and their results", async (row) => {
  const ask = row.ask("parallel");
  const [events] = await row.api.events(ask);
  assert.deepEqual(row.api.streamedEnd(events), [row.api.ends.tools]);
  const [, helped] = await row.api.helped(ask);
  const [answer] = await row.api.create(ask);
  for (const one of [helped, answer]) {
    const calls = row.api.calls(one).map(([, ...call]) => call);
    assert.deepEqual(calls, [["get_weather", { city: "Paris" }], ["get_time", { city: "Oslo" }]]);
    assert.equal(row.api.end(one), row.api.ends.tools);
  }
  const then = row.api.then(ask, answer, CELLS.results);
  const [last, headers] = await row.api.create(then);
  assert.equal(row.api.text(last), "The tools answered: sunny; noon.");
  row.told(headers);
  const received = await row.received();
  assert.equal(received.length, 4);
  const body = row.body(ask);
  row.served(received[0], row.streamed(body));
  row.served(received[1], row.streamed(body));
  row.served(received[2], body);
  row.served(received[3], row.body(then, "translated_then", row.api.calls(answer)));
});

cell("images", "an image", async (row) => {
  const ask = row.ask("images");
  const [answer, headers] = await row.api.create(ask);
  assert.equal(row.api.text(answer), "You said: What is this?. I see 1 image.");
  row.told(headers);
  const [request, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(request, row.body(ask));
});

cell("structured", "structured output", async (row) => {
  const ask = row.ask("structured");
  assert.deepEqual(await row.api.structured(ask), { name: "sim", population: 1 });
  const [request, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(request, row.body(ask));
});

cell("errors", "errors", async (row) => {
  for (const error of CELLS.errors) {
    const [status, name] = (error[row.way] ?? error.same)[row.api.vendor];
    const ask = row.api.withPrompt(row.ask("plain", { tier: "once" }), `Hello @@sim:fault=${error.fault}@@`);
    for (const stream of [false, true]) {
      const before = (await row.received()).length;
      const raised = await row.api.create({ ...ask, stream }).then(assert.fail, (raised) => raised);
      assert.ok(raised instanceof row.api.sdk.APIError, `${raised}`);
      assert.deepEqual([raised.constructor.name, raised.status], [name, status], error.fault);
      assert.equal(raised.headers.get("x-should-retry"), "false");
      assert.equal(raised.headers.get("x-llmroute-status"), "failed");
      assert.ok(raised.headers.get("x-llmroute-reason").startsWith(`${row.provider}_`));
      assert.ok(raised.error && raised.message.includes(status));
      const received = await row.received();
      assert.equal(received.length, before + 1, `${error.fault}: the SDK came again`);
      assert.equal(received.at(-1).body.model, row.model);
    }
  }
});

for (const [fault, kinds] of Object.entries(CELLS.stream_errors)) {
  cell("errors", `${fault} in the stream`, async (row) => {
    const ask = row.api.withPrompt(row.ask("plain"), `Hello there, all of you @@sim:fault=${fault},after=2@@`);
    const events = [];
    // A failed response is no error to the SDK, but an event.
    const failed = () => events.at(-1).type === "response.failed" && events.at(-1).response.error;
    const raised = await row.api.events(ask, events).then(failed, (raised) => raised);
    assert.ok(raised instanceof row.api.sdk.APIError || raised.message, `${raised}`);
    assert.equal(row.api.kind(raised), kinds[row.name][row.way]);
    assert.equal(row.api.deltas(events).length, 2, "what came before the error was delivered");
    assert.equal((await row.received()).length, 1);
  });
}

cell("degraded", "a degraded answer", async (row) => {
  const [ask, reason, model] = degraded(row);
  const [answer, headers] = await row.api.create(ask);
  assert.equal(row.api.text(answer), HELLO);
  row.told(headers, "degraded", reason, model);
  const cost_usd = headers.get("x-llmroute-cost-usd");
  assert.deepEqual(row.api.member(answer), { ...member(row, headers, reason, model), cost_usd });
  const [, ...second] = await row.received();
  assert.deepEqual(second.map((request) => request.body.model), [model]);
});

cell("degraded stream", "a degraded stream", async (row) => {
  const [ask, reason, model] = degraded(row);
  const [events, headers] = await row.api.events(ask);
  assert.equal(row.api.deltas(events).join(""), HELLO);
  row.told(headers, "degraded", reason, model);
  const members = events.map((event) => row.api.member(event));
  const wanted = member(row, headers, reason, model);
  const { cost_usd, ...last } = members.at(-1);
  assert.deepEqual([members[0], last], [wanted, wanted]);
  assert.ok(Number(cost_usd) > 0);
  assert.equal(members.filter(Boolean).length, 2);
  const [, answer] = await row.api.helped(ask);
  assert.equal(row.api.text(answer), HELLO);
});

// A request that its first target does not answer, and what is said of the second.
function degraded(row) {
  const prompt = (scene, fault) => row.api.withPrompt(row.ask("plain", { scene }), `Hello there@@sim:fault=${fault}@@`);
  if (row.way === "same") {
    const ask = prompt(`${row.provider}-two-models`, `not_found,model=${row.model}`);
    return [ask, `${row.provider}_model_not_found`, row.cheaper];
  }
  const vendor = { openai: "openai", claude: "anthropic" }[row.other];
  const ask = prompt(`${row.other}-then-${row.provider}`, `server_error,vendor=${vendor}`);
  return [ask, `${row.other}_server_error`, row.model];
}

function member(row, headers, reason, model) {
  const trace_id = headers.get("x-llmroute-trace-id");
  const { provider } = row;
  return { status: "degraded", provider, model, reason, trace_id, attempts: 2, requested_model: ASKED_MODEL };
}
