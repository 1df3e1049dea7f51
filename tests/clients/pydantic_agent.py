"""Checks that an agent of Pydantic AI continues after a login with a wrong password. A
stand-in for its model calls the tools and reads their answers.

Usage: pydantic_agent.py (URL | PROGRAM ARGUMENT...)
"""

import asyncio
import json
import sys

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import RetryPromptPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel

from steps import STEPS, check


async def main(server: str, *arguments: str) -> None:
    answers = []

    def stand_in(messages, _info) -> ModelResponse:
        """A model that calls one tool after the other, and keeps their answers."""
        parts = [part for message in messages for part in message.parts]
        kinds = (ToolReturnPart, RetryPromptPart)
        answers[:] = [part.content for part in parts if isinstance(part, kinds)]
        if len(answers) == len(STEPS):
            return ModelResponse([TextPart("done")])
        tool, input = STEPS[len(answers)]
        return ModelResponse([ToolCallPart(tool, input)])

    if not server.startswith("http"):
        server = StdioTransport(server, list(arguments))
    # On a busy machine the first start can exceed the default timeout.
    toolset = MCPToolset(server, init_timeout=60)
    agent = Agent(FunctionModel(stand_in), toolsets=[toolset])
    result = await agent.run("log me in")
    assert result.output == "done", result
    check([it if isinstance(it, dict) else json.loads(it) for it in answers])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    print("ok")
