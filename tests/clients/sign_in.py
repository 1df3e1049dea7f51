"""What both versions of the Python SDK need to sign a user in who is asked by the caller."""

import asyncio
import os
import sys
from urllib.parse import parse_qs, urlsplit

REGISTRATION = {
    "client_name": "Desk",
    "redirect_uris": ["http://127.0.0.1:33418/callback"],
    "token_endpoint_auth_method": "none",
}

METADATA_URL = os.environ.get("CLIENT_METADATA_URL")


class Memory:
    """What the client keeps."""

    def __init__(self, registered) -> None:
        """`registered` makes what an administrator registered, from its members."""
        self.tokens = None
        self.client = None
        if client_id := os.environ.get("CLIENT_ID"):
            self.client = registered(**REGISTRATION, client_id=client_id)
            if secret := os.environ.get("CLIENT_SECRET"):
                self.client.client_secret = secret
                self.client.token_endpoint_auth_method = "client_secret_basic"

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


async def follow(call, memory: Memory, expire) -> None:
    """Follows the steps on standard input until it ends, as `Signing` in the tests has them."""
    while step := await line():
        if step == "expire":
            expire()
            continue
        before = memory.tokens
        await call(step.removeprefix("call "))
        is_new = before and before.refresh_token != memory.tokens.refresh_token
        print("called, refreshed" if is_new else "called", flush=True)
