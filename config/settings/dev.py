"""One machine, embedded servers: what `make run` and `make start` use."""

from config.settings.base import *

SECRET_KEY = SECRET_KEY or "development-only-not-a-secret"
