"""The web process's entry point."""

from __future__ import annotations

import os

from apps.stack.parent_death import die_with_parent

die_with_parent()  # granian's worker must not outlive a killed granian: it would go on serving on the same port
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

from django.core.wsgi import get_wsgi_application  # noqa: E402

from apps.core.api.drain import DrainRest  # noqa: E402

application = DrainRest(get_wsgi_application())
