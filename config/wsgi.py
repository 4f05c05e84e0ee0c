"""Django as a WSGI application; granian serves it through config/rsgi.py."""

from __future__ import annotations

import os

from apps.parent_death import die_with_parent
from config.logs import speak_json

speak_json()
die_with_parent()  # granian's worker must not outlive a killed granian: it would go on serving on the same port
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
os.environ.setdefault("DATABASE_PATIENCE_S", "5")
# Clients' names are looked up here. glibc asks a name server for 5 s, twice, and nothing can interrupt it.
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
