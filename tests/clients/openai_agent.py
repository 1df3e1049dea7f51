"""Checks that an agent of the OpenAI Agents SDK continues after a login with a wrong
password. A stand-in for its model calls the tools and reads their answers.

Usage: openai_agent.py (URL | PROGRAM ARGUMENT...)
"""

import asyncio
import json
import sys

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from steps import STEPS, check


class StandIn(Model):
    """A model that calls one tool after the other, and keeps their answers."""

    async def get_response(self, system_instructions, input, *_, **__) -> ModelResponse:
        outputs = [] if isinstance(input, str) else input
        self.outputs = [it for it in outputs if it.get("type") == "function_call_output"]
        done = len(self.outputs)
        if done < len(STEPS):
            tool, arguments = STEPS[done]
            output = ResponseFunctionToolCall(
                type="function_call",
                call_id=str(done),
                name=tool,
                arguments=json.dumps(arguments),
            )
        else:
            text = ResponseOutputText(type="output_text", text="done", annotations=[])
            output = ResponseOutputMessage(
                id="m", type="message", role="assistant", status="completed", content=[text]
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *_, **__):
        raise NotImplementedError


async def main(server: str, *arguments: str) -> None:
    set_tracing_disabled(True)
    # On a busy machine the first hash can exceed the default timeout of five seconds.
    patience = {"client_session_timeout_seconds": 60}
    if server.startswith("http"):
        connection = MCPServerStreamableHttp({"url": server}, **patience)
    else:
        connection = MCPServerStdio({"command": server, "args": list(arguments)}, **patience)
    model = StandIn()
    async with connection:
        agent = Agent("agent", model=model, mcp_servers=[connection])
        result = await Runner.run(agent, "log me in")
    assert result.final_output == "done", result
    check([json.loads(text(it["output"])) for it in model.outputs])


def text(output) -> str:
    """Returns the answer of a tool: text, or a list of content with one item."""
    if isinstance(output, str):
        output = json.loads(output)
    if isinstance(output, list):
        output = output[0]
    return output["text"] if "text" in output else json.dumps(output)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    print("ok")
