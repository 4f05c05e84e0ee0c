"""The admin with our site."""

from django.contrib.admin.apps import AdminConfig


class KeylineAdminConfig(AdminConfig):
    default_site = "apps.accounts.admin_site.KeylineAdminSite"
