"""Drives a server with version 1 of the official Python SDK, which uses the handshake.

Usage: python_sdk_1.py (URL | PROGRAM ARGUMENT...)
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from steps import STEPS, check


async def main(server: str, *arguments: str) -> None:
    if server.startswith("http"):
        connection = streamable_http_client(server)
    else:
        connection = stdio_client(StdioServerParameters(command=server, args=list(arguments)))
    async with connection as streams, ClientSession(*streams[:2]) as session:
        initialized = await session.initialize()
        assert initialized.protocolVersion == "2025-11-25", initialized
        listed = (await session.list_tools()).tools
        assert all(tool.inputSchema["properties"] is not None for tool in listed)
        answers = []
        for tool, input in STEPS:
            result = await session.call_tool(tool, input)
            assert json.loads(result.content[0].text) == result.structuredContent, result
            answers.append(result.structuredContent)
        check(answers)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    print("ok")
