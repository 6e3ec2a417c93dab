// Every cell of the table for the Node SDKs: what the SDK returned, and the body that the simulator received.

import assert from "node:assert/strict";

import { ASKED_MODEL, CELLS, cell } from "./row.mjs";

const HELLO = "You said: Hello there.";
// Models that take no schema.
const FREE_FORM = { openai: "gpt-4-turbo", claude: "claude-opus-4-1" };

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

for (const [feature, stream] of [["runner", false], ["runner stream", true]]) {
  cell(feature, `a tool ${feature}`, async (row) => {
    // The SDK runs two tools that are called at once, and one more that a result of theirs calls for.
    let ask = row.ask("runner");
    const { results, ran: wanted } = CELLS.runner;
    const ran = [];
    const run = (name) => (given) => {
      ran.push([name, given]);
      return results[name][given.city];
    };
    const answers = await row.api.looped(ask, { get_weather: run("get_weather"), get_time: run("get_time") }, stream);
    const calls = answers.map((answer) => row.api.calls(answer));
    assert.deepEqual(ran, wanted);
    assert.deepEqual(calls.map((turn) => turn.map(([, ...call]) => call)), [wanted.slice(0, 2), wanted.slice(2), []]);
    const { tools, text } = row.api.ends;
    assert.deepEqual(answers.map((answer) => row.api.end(answer)), [tools, tools, text]);
    assert.equal(row.api.text(answers.at(-1)), "The tools answered: rainy.");
    const received = await row.received();
    assert.equal(received.length, answers.length);
    for (const [n, request] of received.entries()) {
      let body = row.body(ask, "translated", calls.flat());
      if (row.way === "translated") body.messages = body.messages.slice(0, row.cell.turns[n]);
      else body = row.api.asLooped(body, answers.slice(0, n));
      row.served(request, stream ? row.streamed(body) : body);
      ask = row.api.then(ask, answers[n], calls[n].map(([, name, { city }]) => results[name][city]));
    }
  });
}

cell("images", "an image", async (row) => {
  const ask = row.ask("images");
  const [answer, headers] = await row.api.create(ask);
  assert.equal(row.api.text(answer), "You said: What is this?. I see 1 image.");
  row.told(headers);
  const [request, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(request, row.body(ask));
});

// The SDK parsed the answer, and its text in pieces as they came is the whole.
function isACity(row, [deltas, answer]) {
  assert.deepEqual(row.api.parsed(answer), { name: "sim", population: 1 });
  assert.deepEqual([row.api.end(answer), row.api.calls(answer)], [row.api.ends.text, []]);
  assert.deepEqual(JSON.parse(row.api.text(answer)), { name: "sim", population: 1 });
  if (deltas.length > 0) assert.equal(deltas.join(""), row.api.text(answer));
}

for (const [after, stream] of [["", false], [" stream", true]]) {
  cell(`structured${after}`, `structured output${after}`, async (row) => {
    const ask = row.ask("structured");
    const said = await row.api.structured(ask, stream);
    assert.equal(said[0].length > 0, stream);
    isACity(row, said);
    const [request, ...more] = await row.received();
    assert.equal(more.length, 0);
    row.served(request, stream ? row.streamed(row.body(ask)) : row.body(ask));
  });

  // Translated, a tool stands for the schema; a request that is passed on goes without, and that is told.
  cell(`emulated${after}`, `structured output${after} of a model without`, async (row) => {
    const ask = row.ask("emulated", { scene: `${row.provider}-free-form` });
    let body = row.body(ask);
    if (row.way === "same") {
      const [said, headers] = await (stream ? row.api.events(ask) : row.api.create(ask));
      assert.equal(headers.get("x-llmroute-dropped"), row.cell.dropped_same);
      assert.equal(stream ? row.api.deltas(said).join("") : row.api.text(said), "You said: Describe a city.");
      delete body[row.api.formatIn];
      body = { ...body, ...row.cell.same };
    } else {
      const said = await row.api.structured(ask, stream);
      assert.equal(said[0].length > 0, stream);
      isACity(row, said);
    }
    const [request, ...more] = await row.received();
    assert.equal(more.length, 0);
    row.served(request, stream ? row.streamed(body) : body, FREE_FORM[row.provider]);
  });
}

cell("errors", "errors", async (row) => {
  for (const error of CELLS.errors) {
    const [status, name, body] = error[row.way][row.api.vendor];
    const ask = row.api.withPrompt(row.ask("plain", { tier: "once" }), `Hello @@sim:fault=${error.fault}@@`);
    for (const stream of [false, true]) {
      const before = (await row.received()).length;
      const raised = await row.api.create({ ...ask, stream }).then(assert.fail, (raised) => raised);
      assert.ok(raised instanceof row.api.sdk.APIError, `${raised}`);
      assert.deepEqual([raised.constructor.name, raised.status], [name, status], error.fault);
      assert.equal(raised.headers.get("x-should-retry"), "false");
      assert.equal(raised.headers.get("x-llmroute-status"), "failed");
      assert.ok(raised.headers.get("x-llmroute-reason").startsWith(`${row.provider}_`));
      assert.ok(raised.message.includes(status));
      assert.deepEqual(row.api.error(raised), body, error.fault);
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
  const [, second, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(second, degradedBody(row, ask), model);
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
  const [, second, ...more] = await row.received();
  assert.equal(more.length, 0);
  row.served(second, row.streamed(degradedBody(row, ask)), model);
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

// `ask` as its second target receives it: whole, with the prompt in it.
function degradedBody(row, ask) {
  const body = row.body(ask);
  if (row.way === "same") return body;
  const [prompt] = JSON.stringify(ask).match(/Hello there@@[^@]*@@/);
  return JSON.parse(JSON.stringify(body).replace("Hello there", prompt));
}

function member(row, headers, reason, model) {
  const trace_id = headers.get("x-llmroute-trace-id");
  const { provider } = row;
  return { status: "degraded", provider, model, reason, trace_id, attempts: 2, requested_model: ASKED_MODEL };
}
