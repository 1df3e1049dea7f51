"""Does the same as python_sign_in.py with version 1 of the official Python SDK.

Usage: python_sign_in_1.py URL
"""

import asyncio
import sys
import time

import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

from sign_in import REGISTRATION, Memory, answer, send_user, use


async def callback() -> tuple[str, str | None]:
    given = await answer()
    return given["code"], given["state"]


async def main(url: str) -> None:
    memory = Memory()
    metadata = OAuthClientMetadata(**REGISTRATION)
    provider = OAuthClientProvider(url, metadata, memory, send_user, callback)

    def expire() -> None:
        provider.context.token_expiry_time = time.time() - 1

    async with httpx.AsyncClient(auth=provider, timeout=60, follow_redirects=True) as http:
        async with streamable_http_client(url, http_client=http) as streams:
            async with ClientSession(*streams[:2]) as session:
                await session.initialize()

                async def call() -> None:
                    result = await session.call_tool("user-auth_get_capabilities", {})
                    assert not result.isError, result

                await use(call, memory, expire)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
