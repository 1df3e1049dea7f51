"""Checks that an agent of LangChain continues after a login with a wrong password. A
stand-in for its model calls the tools and reads their answers.

Usage: langchain_agent.py (URL | PROGRAM ARGUMENT...)
"""

import asyncio
import json
import sys

from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_mcp_adapters.client import MultiServerMCPClient

from steps import STEPS, check


class StandIn(BaseChatModel):
    """A model that calls one tool after the other, whatever they return."""

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    def bind_tools(self, tools, **_):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **_):
        done = sum(isinstance(message, ToolMessage) for message in messages)
        message = AIMessage(content="done")
        if done < len(STEPS):
            tool, arguments = STEPS[done]
            call = {"name": tool, "args": arguments, "id": str(done)}
            message = AIMessage(content="", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])


async def main(server: str, *arguments: str) -> None:
    if server.startswith("http"):
        connection = {"transport": "streamable_http", "url": server}
    else:
        connection = {"transport": "stdio", "command": server, "args": list(arguments)}
    tools = await MultiServerMCPClient({"user-auth": connection}).get_tools()
    if "command" in connection:
        # Each call starts a process of its own; all share one store.
        assert "--store" in arguments, arguments
    agent = create_agent(StandIn(), tools)
    state = await agent.ainvoke({"messages": [("user", "log me in")]})
    answers = [it for it in state["messages"] if isinstance(it, ToolMessage)]
    statuses = [answer.status for answer in answers]
    assert statuses == ["success", "error", "success"], statuses
    check([json.loads(answer.content[0]["text"]) for answer in answers])
    assert state["messages"][-1].content == "done", state


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    print("ok")
