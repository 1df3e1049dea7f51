"""Registers with the official Python SDK, and calls a tool for a user who signs in.

Prints the address that the user has to visit, and reads from standard input the address to
which the user was sent back. After a refresh it prints "refreshed" and waits for a line;
its access was taken away meanwhile, so it asks the user again.

With the URL of a metadata document it identifies itself by that, and does not register.

Usage: python_sign_in.py [METADATA_URL] URL
"""

import asyncio
import sys
import time

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from sign_in import REGISTRATION, Memory, answer, send_user, use


async def callback() -> AuthorizationCodeResult:
    given = await answer()
    return AuthorizationCodeResult(code=given["code"], state=given["state"], iss=given.get("iss"))


async def main(*urls: str) -> None:
    *document, url = urls
    memory = Memory()
    metadata = OAuthClientMetadata(**REGISTRATION)
    provider = OAuthClientProvider(
        url, metadata, memory, send_user, callback, client_metadata_url=next(iter(document), None)
    )

    def expire() -> None:
        provider.context.token_expiry_time = time.time() - 1

    async with httpx2.AsyncClient(auth=provider, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:

            async def call() -> None:
                result = await client.call_tool("user-auth_get_capabilities", {})
                assert not result.is_error, result

            await use(call, memory, expire)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
