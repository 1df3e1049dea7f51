"""Registers with the official Python SDK, and calls a tool for a user who signs in.

Prints the address that the user has to visit, and reads from standard input the address to
which the user was sent back. After a refresh it prints "refreshed" and waits for a line;
its access was taken away meanwhile, so it asks the user again.

Usage: python_sign_in.py URL
"""

import asyncio
import sys
import time
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

METADATA = OAuthClientMetadata(
    client_name="Desk",
    redirect_uris=["http://127.0.0.1:33418/callback"],
    token_endpoint_auth_method="none",
)


class Memory:
    """What the client keeps."""

    def __init__(self) -> None:
        self.tokens = None
        self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client) -> None:
        self.client = client


async def line() -> str:
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def send_user(url: str) -> None:
    print(url, flush=True)


async def callback() -> AuthorizationCodeResult:
    answer = parse_qs(urlsplit(await line()).query)
    return AuthorizationCodeResult(
        code=answer["code"][0], state=answer["state"][0], iss=answer["iss"][0]
    )


async def main(url: str) -> None:
    memory = Memory()
    provider = OAuthClientProvider(url, METADATA, memory, send_user, callback)
    async with httpx2.AsyncClient(auth=provider, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:

            async def call() -> None:
                result = await client.call_tool("user-auth_get_capabilities", {})
                assert not result.is_error, result

            await call()
            first = memory.tokens
            # As if the access token had expired.
            provider.context.token_expiry_time = time.time() - 1
            await call()
            assert memory.tokens.access_token != first.access_token
            assert memory.tokens.refresh_token != first.refresh_token
            print("refreshed", flush=True)
            await line()
            await call()
    print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
