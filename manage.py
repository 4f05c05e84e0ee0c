#!/usr/bin/env python
"""Django's command line; it reads the running stack's `var/stack.env` where that exists."""

import os
import sys

from config.logs import last_words, speak_json


def main() -> None:
    speak_json()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(last_words(f"ImproperlyConfigured: {error}"))


if __name__ == "__main__":
    main()
