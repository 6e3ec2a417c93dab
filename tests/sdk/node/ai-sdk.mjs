// An agent of the Vercel AI SDK has a conversation; what it is given and what it tells are JSON.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { tool, ToolLoopAgent } from "ai";
import { z } from "zod";

const talk = JSON.parse(process.argv[2]);
const client = { baseURL: `${talk.url}/v1`, apiKey: talk.key, headers: talk.headers };
const models = {
  chat: () => createOpenAI(client).chat(talk.model),
  responses: () => createOpenAI(client).responses(talk.model),
  messages: () => createAnthropic(client)(talk.model),
};
const calls = [];
const described = (name, description) =>
  tool({
    description,
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => {
      calls.push([name, { city }]);
      return talk.results[name][city];
    },
  });
const agent = new ToolLoopAgent({
  model: models[talk.api](),
  instructions: talk.system,
  tools: {
    get_weather: described("get_weather", "The weather now."),
    get_time: described("get_time", "The local time."),
  },
  reasoning: "low",
  ...(talk.api === "responses" && { providerOptions: { openai: { reasoningSummary: "auto" } } }),
});
const messages = [];
const answers = [];
for (const content of talk.prompts) {
  messages.push({ role: "user", content });
  const run = await agent.stream({ messages });
  const pieces = [];
  for await (const part of run.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") pieces.push(part.text);
  }
  messages.push(...(await run.responseMessages));
  answers.push([pieces, await run.text]);
}
console.log(JSON.stringify({ calls, answers }));
