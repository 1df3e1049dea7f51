"""Signs a user in with the official Python SDK, and calls tools.

It registers itself, unless there is a CLIENT_ID (and CLIENT_SECRET) from an administrator or
the CLIENT_METADATA_URL of a document about it.

Prints the address that the user has to visit, and reads from standard input the address to
which the user was sent back, and the steps.

Usage: python_sign_in.py URL
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
)

from sign_in import METADATA_URL, REGISTRATION, Memory, answer, follow, send_user


async def callback() -> AuthorizationCodeResult:
    given = await answer()
    return AuthorizationCodeResult(code=given["code"], state=given["state"], iss=given.get("iss"))


async def main(url: str) -> None:
    memory = Memory(OAuthClientInformationFull)
    metadata = OAuthClientMetadata(**REGISTRATION)
    provider = OAuthClientProvider(
        url, metadata, memory, send_user, callback, client_metadata_url=METADATA_URL
    )

    def expire() -> None:
        provider.context.token_expiry_time = time.time() - 1

    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(auth=provider, timeout=60))
        client = None

        async def call(tool: str) -> None:
            nonlocal client
            if client is None:
                connection = Client(streamable_http_client(url, http_client=http))
                client = await stack.enter_async_context(connection)
            result = await client.call_tool(tool, {})
            assert not result.is_error, result

        await follow(call, memory, expire)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
