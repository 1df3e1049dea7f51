"""Does the same as python_sign_in.py with version 1 of the official Python SDK.

Usage: python_sign_in_1.py URL
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack

import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

from sign_in import METADATA_URL, REGISTRATION, Memory, answer, follow, send_user


async def callback() -> tuple[str, str | None]:
    given = await answer()
    return given["code"], given["state"]


async def main(url: str) -> None:
    memory = Memory(OAuthClientInformationFull)
    metadata = OAuthClientMetadata(**REGISTRATION)
    provider = OAuthClientProvider(
        url, metadata, memory, send_user, callback, client_metadata_url=METADATA_URL
    )

    def expire() -> None:
        provider.context.token_expiry_time = time.time() - 1

    async with AsyncExitStack() as stack:
        client = httpx.AsyncClient(auth=provider, timeout=60, follow_redirects=True)
        http = await stack.enter_async_context(client)
        session = None

        async def call(tool: str) -> None:
            nonlocal session
            if session is None:
                connection = streamable_http_client(url, http_client=http)
                streams = await stack.enter_async_context(connection)
                session = await stack.enter_async_context(ClientSession(*streams[:2]))
                await session.initialize()
            result = await session.call_tool(tool, {})
            assert not result.isError, result

        await follow(call, memory, expire)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
