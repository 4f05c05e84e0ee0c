"""The Django project. The Celery application is made with it, so that tasks sent from anywhere find the broker."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
