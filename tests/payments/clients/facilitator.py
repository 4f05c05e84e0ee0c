"""The x402 library's own facilitator behind its HTTP interface: `facilitator.py PORT RPC_URL`. SETTLER_KEY holds its key."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from x402 import x402FacilitatorSync
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.exact import register_exact_evm_facilitator
from x402.schemas import PaymentPayload, PaymentRequirements

facilitator = x402FacilitatorSync()
signer = FacilitatorWeb3Signer(os.environ["SETTLER_KEY"], sys.argv[2], confirmation_timeout_seconds=3)
register_exact_evm_facilitator(facilitator, signer, networks="eip155:84532")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        payload = PaymentPayload.model_validate(said["paymentPayload"])
        requirements = PaymentRequirements.model_validate(said["paymentRequirements"])
        ask = facilitator.verify if self.path == "/verify" else facilitator.settle
        body = ask(payload, requirements).model_dump_json(by_alias=True, exclude_none=True).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
