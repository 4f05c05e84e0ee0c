"""Settings shared by every environment; each value that an operator may change comes from the environment."""

from __future__ import annotations

import ipaddress

from config.env import ROOT, VAR, address, choice, choices, database, env, integer, names, private_key, rail_hosts

BASE_DIR = ROOT
VAR_DIR = VAR
VERSION = "0.1.0"

SECRET_KEY = env.str("DJANGO_SECRET_KEY", "")
DEBUG = False
ALLOWED_HOSTS = names("ALLOWED_HOSTS", "*")
PUBLIC_URL = env.str("KEYLINE_URL", "")  # where clients reach it; unless ALLOWED_HOSTS names what they may ask for
CSRF_TRUSTED_ORIGINS = names("CSRF_TRUSTED_ORIGINS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", False) else None

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "apps.accounts.admin_config.KeylineAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_prometheus",
    "apps.core",
    "apps.accounts",
    "apps.billing",
    "apps.payments",
    "apps.webhooks",
    "apps.background",
    "apps.clothing",
    "apps.watermark",
    "apps.batches",
]
LOGIN_REDIRECT_URL = "/admin/"  # where a login goes whose own wish is refused
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "apps.core.api.security.ForwardedSchemeMiddleware",
    "apps.core.api.middleware.RequestContextMiddleware",
    "apps.core.api.access.AccessLogMiddleware",
    "apps.core.api.security.ContentPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.accounts.rapidapi.BillingHeaderMiddleware",
    "apps.core.api.middleware.BodyCapMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The administrators' sessions: for a working day, in this browser, and never sent from another site's page.
SESSION_COOKIE_AGE = 8 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_HTTPONLY = True

# --- rows -----------------------------------------------------------------------------------------------
DATABASES = {
    "default": database(
        env.str("DATABASE_URL", "postgresql://keyline@127.0.0.1:5432/keyline"),
        pool_size=integer("DATABASE_POOL", 24, low=2, high=500),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

# --- broker ---------------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")

# --- results --------------------------------------------------------------------------------------------
S3_ENDPOINT_URL = env.str("S3_ENDPOINT_URL", "")
S3_PUBLIC_ENDPOINT_URL = env.str("S3_PUBLIC_ENDPOINT_URL", "") or S3_ENDPOINT_URL
S3_BUCKET = env.str("S3_BUCKET", "keyline")
S3_REGION = env.str("S3_REGION", "us-east-1")
S3_ACCESS_KEY_ID = env.str("S3_ACCESS_KEY_ID", "")
S3_SECRET_ACCESS_KEY = env.str("S3_SECRET_ACCESS_KEY", "")
S3_MANAGE_BUCKET = env.bool("S3_MANAGE_BUCKET", True)
RESULT_TTL_S = 24 * 3600

# --- jobs -----------------------------------------------------------------------------------------------
SYNC_LIMIT_S = integer("SYNC_LIMIT_S", 25, low=1, high=300)
LEASE_S = integer("LEASE_S", 15, low=3, high=600)
JOB_LIMIT_S = integer("JOB_LIMIT_S", 120, low=5, high=3600)
MAX_ATTEMPTS = integer("MAX_ATTEMPTS", 3, low=1, high=10)
MAX_QUEUED_JOBS = integer("MAX_QUEUED_JOBS", 5000, low=1, high=1_000_000)
WORKER_NAME = env.str("WORKER_NAME", "")
HEARTBEAT_FILE = env.str("HEARTBEAT_FILE", "")  # touched every 5 s by a worker with its networks, and by a sweeper
INFERENCE_SLOTS = integer("INFERENCE_SLOTS", 0, low=0, high=64)  # 0: chosen from the cores
DEVICE = choice("DEVICE", "auto", allowed=("auto", "cpu", "cuda"))
REQUIRE_GPU = env.bool("REQUIRE_GPU", False)

INFERENCE_PRECISION = choice("INFERENCE_PRECISION", "auto", allowed=("auto", "f32", "bf16", "int8"))  # on a CPU
NETWORKS_DIR = env.str(
    "NETWORKS_DIR", str(VAR / "networks")
)  # compiled ones, kept for the next start; empty keeps none
GPU_MAX_BATCH = integer("GPU_MAX_BATCH", 0, low=0, high=256)  # 0: chosen from the card's free memory
WEIGHTS_DIR = env.str("WEIGHTS_DIR", str(VAR / "weights"))
WEIGHTS_PROFILE = env.str("WEIGHTS_PROFILE", "best")
SAM_CHECKPOINT = env.str("SAM_CHECKPOINT", "")  # an official one instead of the packaged SAM
SAM_MODEL_TYPE = choice("SAM_MODEL_TYPE", "", allowed=("", "vit_b", "vit_l", "vit_h"))

# --- requests -------------------------------------------------------------------------------------------
AWAIT_TABLES = env.bool("AWAIT_TABLES", False)  # the supervisor starts web beside what settles the tables
WEB_THREADS = integer("WEB_THREADS", 64, low=1, high=1024)
TRUSTED_PROXIES = [ipaddress.ip_network(cidr) for cidr in names("TRUSTED_PROXIES")]
METRICS_TOKEN = env.str("METRICS_TOKEN", "")  # asked for on /metrics and for the inside of /readyz; empty: by nobody
FETCH_ALLOW_CIDRS = [ipaddress.ip_network(cidr) for cidr in names("FETCH_ALLOW_CIDRS")]
ANONYMOUS_PER_MINUTE = integer("ANONYMOUS_PER_MINUTE", 600, low=1, high=1_000_000)
# Two at once, so that the secret can be changed without a gap.
RAPIDAPI_SECRETS = [
    secret
    for secret in (env.str("KEYLINE_RAPIDAPI_SECRET", ""), env.str("KEYLINE_RAPIDAPI_SECRET_PREVIOUS", ""))
    if secret
]
# A file above this is spooled to disk: 64 threads of uploads must not sum up to memory.
FILE_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 70 * 1024 * 1024  # two images of 25 MB in base64
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
DATA_UPLOAD_MAX_NUMBER_FILES = 110

# What webhooks' secrets and presigned upload addresses are sealed with in the rows; the second only opens.
SECRETS_KEYS = [key for key in (env.str("SECRETS_KEY", ""), env.str("SECRETS_KEY_PREVIOUS", "")) if key]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.accounts.authentication.CredentialAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apps.core.api.permissions.IsIdentified"],
    "DEFAULT_THROTTLE_CLASSES": ["apps.core.api.throttles.RequestThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.api.parsers.FormParser", "apps.core.api.parsers.JsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.core.api.negotiation.AlwaysJson",
    "DEFAULT_SCHEMA_CLASS": "apps.core.openapi.document.KeylineSchema",
    "EXCEPTION_HANDLER": "apps.core.api.exceptions.answer_exception",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Keyline",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["apps.core.openapi.document.complete"],
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "TAGS": [  # in the order in which the manual shows them
        {"name": "remove-bg", "description": "A subject without its background."},
        {"name": "clothing-segmentation", "description": "Garments of a person, one cut-out a class."},
        {"name": "watermark-removal", "description": "Watermarks found and removed; marks of your own."},
        {"name": "batches", "description": "Up to a hundred images at once."},
        {"name": "jobs", "description": "What was sent, and how far it is."},
        {"name": "webhooks", "description": "To be told when something ends."},
        {"name": "account", "description": "Credits, limits, prices and use."},
        {"name": "compatible", "description": "The forms of other services: a client moves by its base address."},
        {"name": "system", "description": "For operators."},
    ],
    "EXTENSIONS_ROOT": {
        "x-service-info": {
            "categories": ["media"],
            "docs": {"homepage": "/docs", "apiReference": "/openapi.json", "llms": "/llms.txt"},
        }
    },
}

# --- paid per call (docs/payments.md) -------------------------------------------------------------------
PAYMENT_RAILS = choices("PAYMENT_RAILS", ("x402", "mpp"))
# "host=x402,host=mpp+x402": a host name that offers other rails than the others.
PAYMENT_RAIL_HOSTS = rail_hosts("PAYMENT_RAIL_HOSTS", ("x402", "mpp"))
UNPAID_PER_MINUTE = integer("UNPAID_PER_MINUTE", 30, low=1, high=1_000_000)
X402_NETWORK = choice("X402_NETWORK", "base", allowed=("base", "base-sepolia"))
X402_PAY_TO = address("X402_PAY_TO")
X402_FACILITATOR_URL = env.str("X402_FACILITATOR_URL", "")  # empty: this process settles, with X402_FACILITATOR_KEY
X402_FACILITATOR_TOKEN = env.str("X402_FACILITATOR_TOKEN", "")
X402_FACILITATOR_KEY = private_key("X402_FACILITATOR_KEY")
X402_RPC_URL = env.str("X402_RPC_URL", "")  # empty: the network's public one
MPP_CHAIN_ID = integer("MPP_CHAIN_ID", 4217, low=1, high=2**31)
MPP_RECIPIENT = address("MPP_RECIPIENT")
MPP_REALM = env.str("MPP_REALM", "keyline")
MPP_RPC_URL = env.str("MPP_RPC_URL", "")
# Two at once, so that the secret can be changed while challenges that it signed are still good.
MPP_SECRETS = [secret for secret in (env.str("MPP_SECRET", ""), env.str("MPP_SECRET_PREVIOUS", "")) if secret]

CELERY_BROKER_URL = REDIS_URL
CELERY_WORKER_POOL = "threads"
# More threads than inference slots: some decode and encode while others infer.
CELERY_WORKER_CONCURRENCY = integer("WORKER_THREADS", 4, low=1, high=64)
PROMETHEUS_EXPORT_MIGRATIONS = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "CRITICAL"},  # the exception handler logs what is unexpected, with its trace
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "pyvips": {"level": "WARNING"},
        "urllib3": {"level": "INFO"},  # below, it tells the paths of clients' addresses, which hold their secrets
    },
}
