"""What both versions of the Python SDK need to sign a user in who is asked by the caller."""

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit

REGISTRATION = {
    "client_name": "Desk",
    "redirect_uris": ["http://127.0.0.1:33418/callback"],
    "token_endpoint_auth_method": "none",
}


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
    """Reads a line from standard input."""
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def send_user(url: str) -> None:
    """Says which address the user has to visit."""
    print(url, flush=True)


async def answer() -> dict[str, str]:
    """Reads the address to which the user was sent back, and returns its parameters."""
    query = parse_qs(urlsplit(await line()).query)
    return {name: values[0] for name, values in query.items()}


async def use(call, memory: Memory, expire) -> None:
    """Calls a tool, after a refresh again, and once more without the access."""
    await call()
    first = memory.tokens
    expire()
    await call()
    assert memory.tokens.access_token != first.access_token
    assert memory.tokens.refresh_token != first.refresh_token
    print("refreshed", flush=True)
    await line()
    await call()
    print("ok", flush=True)
