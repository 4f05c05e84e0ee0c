"""PyPI x402 2.25.0 with httpx: pays by version 2. Arguments: URL, file, content type, where to write."""

import asyncio
import json
import os
import sys
from pathlib import Path

from eth_account import Account
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm.exact import register_exact_evm_client


async def main() -> None:
    url, file, media, out = sys.argv[1:5]
    client = x402Client()
    register_exact_evm_client(client, Account.from_key(os.environ["PAYER_KEY"]))
    async with x402HttpxClient(client, timeout=90) as http:
        answer = await http.post(url, content=Path(file).read_bytes(), headers={"Content-Type": media})
    if answer.status_code == 200:
        Path(out).write_bytes(answer.content)
    print(json.dumps({"status": answer.status_code, "receipt": answer.headers.get("PAYMENT-RESPONSE")}))


asyncio.run(main())
