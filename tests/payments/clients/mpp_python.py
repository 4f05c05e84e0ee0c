"""PyPI pympp 0.16.0 (it imports as mpp): pays by MPP on Tempo. Arguments: URL, file, content type, where to write."""

import asyncio
import json
import os
import sys
from pathlib import Path

from mpp.client import Mpp
from mpp.methods.tempo import TempoAccount
from mpp.methods.tempo import client as tempo

if os.environ.get("MPP_RIG_RPC_URL"):
    # The rig's chain drops what is good for more than 30 s ahead; Tempo itself takes the library's own 60.
    tempo.EXPIRING_NONCE_VALID_BEFORE_SECS = 25


async def main() -> None:
    url, file, media, out = sys.argv[1:5]
    method = tempo.charge(
        account=TempoAccount.from_key(os.environ["PAYER_KEY"]),
        chain_id=int(os.environ.get("MPP_CHAIN_ID", "42431")),
        **({"rpc_url": os.environ["MPP_RIG_RPC_URL"]} if os.environ.get("MPP_RIG_RPC_URL") else {}),
    )
    client = Mpp(methods=[method])
    answer = await client.fetch(
        url, method="POST", content=Path(file).read_bytes(), headers={"Content-Type": media}, timeout=90
    )
    if answer.status_code == 200:
        Path(out).write_bytes(answer.content)
    print(json.dumps({"status": answer.status_code, "receipt": answer.headers.get("Payment-Receipt")}))


asyncio.run(main())
