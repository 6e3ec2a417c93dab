"""What is particular to each framework for agents: how it is set up, and where it hands out what it streams.

Each function has a conversation: it says the prompts of a `Talk` in turn, lets the framework run the tools, and gives for each
prompt the pieces of text that were streamed and the answer that the framework makes of them.
"""

import asyncio
import dataclasses
import json

import agents
import openai
import pydantic_ai
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

import stack


@dataclasses.dataclass
class Talk:
    """What a framework is given: where to call, as whom, what to say, and what its tools answer to each city."""

    url: str
    key: str
    headers: dict
    api: str
    model: str
    system: str
    prompts: list
    results: dict
    calls: list = dataclasses.field(default_factory=list)

    @property
    def client(self):
        """As the clients of both vendors are told, and what is built on them."""
        return {"base_url": self.url if self.api == "messages" else f"{self.url}/v1", "api_key": self.key}

    @property
    def tools(self):
        """Functions as an app has them; they note their calls."""

        async def get_weather(city: str) -> str:
            """The weather now."""
            self.calls.append(("get_weather", {"city": city}))
            return self.results["get_weather"][city]

        async def get_time(city: str) -> str:
            """The local time."""
            self.calls.append(("get_time", {"city": city}))
            return self.results["get_time"][city]

        return [get_weather, get_time]


async def langchain(talk):
    """An agent of LangChain; LangGraph keeps the conversation."""
    client = {"model": talk.model, "default_headers": talk.headers, **talk.client}
    match talk.api:
        case "chat":
            model = ChatOpenAI(**client, use_responses_api=False, reasoning_effort="low")
        case "responses":
            model = ChatOpenAI(**client, use_responses_api=True, reasoning={"effort": "low", "summary": "auto"})
        case "messages":
            model = ChatAnthropic(**client, thinking={"type": "adaptive", "display": "summarized"}, effort="low")
    agent = create_agent(model, talk.tools, system_prompt=talk.system, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "one"}}
    answers = []
    for prompt in talk.prompts:
        stream = agent.astream({"messages": [{"role": "user", "content": prompt}]}, thread, stream_mode="messages")
        pieces = [chunk.text async for chunk, _ in stream if chunk.type == "AIMessageChunk" and chunk.text]
        answers.append([pieces, agent.get_state(thread).values["messages"][-1].text])
    return answers


async def pydantic(talk):
    """An agent of pydantic-ai."""
    match talk.api:
        case "chat":
            model = OpenAIChatModel(talk.model, provider=OpenAIProvider(**talk.client))
        case "responses":
            model = OpenAIResponsesModel(talk.model, provider=OpenAIProvider(**talk.client))
        case "messages":
            model = AnthropicModel(talk.model, provider=AnthropicProvider(**talk.client))
    settings = {"thinking": "low", "extra_headers": talk.headers}
    if talk.api == "responses":
        settings["openai_reasoning_summary"] = "auto"
    agent = pydantic_ai.Agent(model, tools=talk.tools, instructions=talk.system, model_settings=settings)
    history, answers = [], []
    for prompt in talk.prompts:
        pieces = []
        async with agent.run_stream_events(prompt, message_history=history) as events:
            async for event in events:
                match event:
                    case pydantic_ai.PartStartEvent(part=pydantic_ai.TextPart(content=text)) if text:
                        pieces.append(text)
                    case pydantic_ai.PartDeltaEvent(delta=pydantic_ai.TextPartDelta(content_delta=text)):
                        pieces.append(text)
                    case pydantic_ai.AgentRunResultEvent(result=result):
                        history = result.all_messages()
        answers.append([pieces, result.output])
    return answers


async def agents_sdk(talk):
    """An agent of OpenAI's Agents SDK."""
    client = openai.AsyncOpenAI(**talk.client, default_headers=talk.headers)
    kind = agents.OpenAIResponsesModel if talk.api == "responses" else agents.OpenAIChatCompletionsModel
    thinks = {"effort": "low", "summary": "auto"} if talk.api == "responses" else {"effort": "low"}
    agent = agents.Agent(
        name="one",
        instructions=talk.system,
        model=kind(talk.model, client),
        tools=[agents.function_tool(tool) for tool in talk.tools],
        model_settings=agents.ModelSettings(reasoning=openai.types.Reasoning(**thinks)),
    )
    quiet = agents.RunConfig(tracing_disabled=True)
    history, answers = [], []
    for prompt in talk.prompts:
        run = agents.Runner.run_streamed(agent, [*history, {"role": "user", "content": prompt}], run_config=quiet)
        raw = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
        history = run.to_input_list()
        answers.append([[event.delta for event in raw if event.type == "response.output_text.delta"], run.final_output])
    return answers


async def ai_sdk(talk):
    """An agent of the Vercel AI SDK, which runs in Node."""
    command = ["node", stack.HERE / "node" / "ai-sdk.mjs", json.dumps(dataclasses.asdict(talk))]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    told = json.loads(out)
    talk.calls += map(tuple, told["calls"])
    return told["answers"]


FRAMEWORKS = {"langchain": langchain, "pydantic-ai": pydantic, "agents-sdk": agents_sdk, "ai-sdk": ai_sdk}
