"""How programs find the paid address: /.well-known/x402 and /llms.txt; the price stands in /openapi.json too."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.core.api.pages import for_reading
from apps.core.api.public_address import public_address
from apps.payments.rails import rails_for

_KEPT = {"Cache-Control": "max-age=300", "Access-Control-Allow-Origin": "*"}
_LLMS = """# Keyline

> Removes the background of a photo over HTTP: send an image, get a transparent PNG or WebP back.

## Without an account, paid per call
`POST {url}/v1/remove-background`: the body is the image (PNG, JPEG or WebP, at most 25 MB and 10,000 x 10,000 px), \
Content-Type says which; `?format=webp` for WebP, else PNG. $0.05 an image.
{rails}
Send `Idempotency-Key` with a UUID: a repeated request is then never paid twice. After a 503 or 409 repeat the same request \
with the same payment; do not sign a new one.

## With a key
The same address takes `X-Api-Key`. More operations, JSON answers, jobs: see the reference.

## Reference
- [OpenAPI]({url}/openapi.json)
- [Manual]({url}/docs)
"""
_SAYS = {
    "x402": "- x402 versions 1 and 2 (USDC): the 402 carries both; X-PAYMENT or PAYMENT-SIGNATURE pays.",
    "mpp": "- MPP (pathUSD on Tempo): WWW-Authenticate: Payment; Authorization: Payment pays.",
}


@for_reading
def well_known_x402(request: HttpRequest) -> HttpResponse:
    """What x402's crawlers look for; no standard says more."""
    resources = ["POST /v1/remove-background"] if "x402" in rails_for(request) else []
    instructions = "POST the image's bytes; the 402 says the price. See /llms.txt and /openapi.json."
    return JsonResponse({"version": 1, "resources": resources, "instructions": instructions}, headers=_KEPT)


@for_reading
def llms_txt(request: HttpRequest) -> HttpResponse:
    """The service in words for a language model."""
    rails = "\n".join(_SAYS[rail] for rail in rails_for(request)) or "No payment rail is on here: a key is needed."
    text = _LLMS.format(url=public_address(request), rails=rails)
    return HttpResponse(text, content_type="text/markdown; charset=utf-8", headers=_KEPT)
