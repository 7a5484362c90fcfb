"""WSGI entry: `portal.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from common.collecting import keep_what_is_loaded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_wsgi_application()
# Every view is loaded now, once for all workers (gunicorn --preload), and not in the first call of each.
routes = get_resolver().url_patterns
keep_what_is_loaded()
