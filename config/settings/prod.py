"""Production: refuses to start with anything that is only good for one developer's machine."""

from django.core.exceptions import ImproperlyConfigured

from apps.payments.signatures import address_of, checksummed
from config.env import VAR, env, integer
from config.known_addresses import KNOWN_TO_EVERYBODY
from config.settings.base import *

if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("DJANGO_SECRET_KEY must be set to at least 50 random characters.")
if FETCH_ALLOW_CIDRS:
    raise ImproperlyConfigured("FETCH_ALLOW_CIDRS opens private networks to clients' URLs; unset it.")
if any(len(secret) < 16 for secret in RAPIDAPI_SECRETS):
    raise ImproperlyConfigured("KEYLINE_RAPIDAPI_SECRET must have at least 16 characters.")
if not env.str("SECRETS_KEY", "") or any(len(key) < 32 for key in SECRETS_KEYS):
    raise ImproperlyConfigured(
        "SECRETS_KEY must be set to at least 32 random characters: webhooks' secrets are sealed with it."
    )
if not ALLOWED_HOSTS or any("*" in _host or not _host.strip(".") for _host in ALLOWED_HOSTS):
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS must name the hosts that this service answers for, without a `*`; `.example.com` is a whole domain."
    )
if len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("METRICS_TOKEN must have at least 16 characters: /metrics and /readyz tell the inside.")
if SECURE_PROXY_SSL_HEADER and not TRUSTED_PROXIES:
    raise ImproperlyConfigured("BEHIND_TLS_PROXY needs TRUSTED_PROXIES: X-Forwarded-Proto is believed from them alone.")
if env.str("AWS_SESSION_TOKEN", ""):
    raise ImproperlyConfigured(
        "Session credentials sign URLs that die with the session; presigned URLs must live 24 h. "
        "Use a long-lived access key in S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY."
    )
if not (S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY):
    raise ImproperlyConfigured("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY must be set.")

_RAILS = {*PAYMENT_RAILS, *(_rail for _offered in PAYMENT_RAIL_HOSTS.values() for _rail in _offered)}
for _name, _address, _is_on in (
    ("X402_PAY_TO", X402_PAY_TO, "x402" in _RAILS),
    ("MPP_RECIPIENT", MPP_RECIPIENT, "mpp" in _RAILS),
):
    if not _is_on:
        continue
    if not _address or _address.lower() in KNOWN_TO_EVERYBODY:
        raise ImproperlyConfigured(f"{_name} must be an address of yours: whoever wants can empty the test addresses.")
    # The capitals of an address are its checksum (EIP-55); written in one case it has none.
    if _address[2:] not in {_address[2:].lower(), _address[2:].upper()} and _address != checksummed(_address):
        raise ImproperlyConfigured(f"{_name} has a typing error: its capitals do not fit. Copy it once more.")
if "x402" in _RAILS and not (X402_FACILITATOR_URL or X402_FACILITATOR_KEY):
    raise ImproperlyConfigured("x402 needs X402_FACILITATOR_URL, or X402_FACILITATOR_KEY to settle by itself.")
if X402_FACILITATOR_KEY and address_of(X402_FACILITATOR_KEY) in KNOWN_TO_EVERYBODY:
    raise ImproperlyConfigured("X402_FACILITATOR_KEY must be a key of yours: the test keys are everybody's.")
if "mpp" in _RAILS and (not MPP_SECRETS or any(len(secret) < 32 for secret in MPP_SECRETS)):
    raise ImproperlyConfigured("MPP_SECRET must be set to at least 32 random characters.")
if "mpp" in _RAILS and MPP_CHAIN_ID not in {4217, 42431} and not MPP_RPC_URL:
    raise ImproperlyConfigured("MPP_RPC_URL must be set for a chain other than Tempo's own.")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SECURE_SSL_REDIRECT = env.bool("SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # probes come from inside, past the proxy
SECURE_HSTS_SECONDS = integer("HSTS_SECONDS", 365 * 24 * 3600, low=0, high=10 * 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("HSTS_SUBDOMAINS", False)  # other names of the domain may still be plain
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATIC_ROOT = VAR / "static"
WHITENOISE_USE_FINDERS = False
