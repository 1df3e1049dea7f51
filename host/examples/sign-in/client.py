"""Opens a browser for the user to sign in, and calls a tool.

Usage: client.py [URL]
"""

import asyncio
import sys

from fastmcp import Client


async def main(url: str = "http://localhost:9000/mcp") -> None:
    async with Client(url, auth="oauth") as client:
        result = await client.call_tool("whoami")
        print(f"You are {result.data}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
