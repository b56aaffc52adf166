"""Calls one tool through a gateway with Python's official SDK, and says what came back.

Reads `url mode tool input`, and the token from TOKEN. The mode is the SDK's: auto, legacy, or a revision.
"""

import asyncio
import json
import os
import sys
from importlib.metadata import version

from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.types import Implementation


async def main(url: str, mode: str, tool: str, arguments: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    info = Implementation(name="python-sdk", version=version("mcp"))
    async with create_mcp_http_client(headers=headers) as http_client:
        transport = streamable_http_client(url, http_client=http_client)
        async with Client(transport, mode=mode, client_info=info) as client:
            await client.list_tools()
            result = await client.call_tool(tool, json.loads(arguments))
    print(json.dumps({"version": version("mcp"), "text": result.content[0].text}))


asyncio.run(main(*sys.argv[1:]))
