"""Settings, all of them from the environment (.env.example lists them)."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from cluster.lifecycle import DEVICE, NODE
from common.cache import CONNECTIONS
from portal.conf.environment import BASE_DIR, Environment, stop

env = Environment()

# --- who we are -------------------------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG")
DEMO = env.flag("DEMO")
DEMO_DIR = Path(env.text("DEMO_DIR", str(BASE_DIR / "var" / "demo")))
SECRET_KEY = env.text("SECRET_KEY")
if len(SECRET_KEY) < 40:
    stop("SECRET_KEY", "must be at least 40 characters long")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
SITE_NAME = env.text("SITE_NAME", "Bitgoeul")
SITE_URL = env.text("SITE_URL").rstrip("/")
if not SITE_URL.startswith(("http://", "https://")):
    stop("SITE_URL", "must begin with https:// (or http:// on a private machine)")
SECURE = SITE_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [SITE_URL]
NODE_SIGNING_KEY, EARLIER_SIGNING_KEYS = env.signing_keys("NODE_SIGNING_KEY")
SSH_CA_KEY = env.ssh_key("SSH_CA_KEY")
METRICS_TOKEN = env.text("METRICS_TOKEN", "-")  # "-": addresses in METRICS_ALLOW only
METRICS_ALLOW = env.words("METRICS_ALLOW", "127.0.0.1,::1")

# --- apps -------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "portal.admin_config.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django.forms",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "common",
    "accounts",
    "audit",
    "notifications",
    "partners",
    "cluster",
    "telemetry",
    "projects",
    "allocations",
    "usage",
    "proposals",
    "reports",
    "portal",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "portal.node_door.NodeDoorMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "accounts.middleware.PersonalSettingsMiddleware",
    "accounts.middleware.RequireMfaMiddleware",
    "accounts.middleware.RateLimitMiddleware",
]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.site",
            ],
            "builtins": ["common.templatetags.bitgoeul", "common.templatetags.navigation"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- data -------------------------------------------------------------------------------------------------------
DATABASE: dict[str, Any] = {**env.database("DATABASE_URL"), "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
DATABASES = {"default": DATABASE}
# Plans that a session of the database keeps; off behind a pooler that hands one session to many (common/compiled.py)
PREPARE_QUERIES = env.flag("PREPARE_QUERIES", True)
if PREPARE_QUERIES:  # one plan for all values: a few keys at a time are asked for, whatever they are
    # jit: the server would compile what counts a fleet anew each time, for longer than the counting takes
    DATABASE["OPTIONS"] = DATABASE.get("OPTIONS", {}) | {"options": "-c plan_cache_mode=force_generic_plan -c jit=off"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.redis("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "common.cache.PatientCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "bitgoeul",
        # A dead cache costs rate limits for as long as it is dead, never a page.
        "OPTIONS": {
            "IGNORE_EXCEPTIONS": True,
            "LOG_IGNORED_EXCEPTIONS": True,
            "SOCKET_CONNECT_TIMEOUT": 1,
            "SOCKET_TIMEOUT": 1,
            "CONNECTION_POOL_KWARGS": {"connection_class": CONNECTIONS[REDIS_URL.partition(":")[0]]},
        },
    }
}

# Seconds for which viewers of the same thing share what was made for one of them (common/sharing.py); 0: nothing
SHARED_SECONDS = env.number("SHARED_SECONDS", 5, 0, 60)

# --- people -----------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_SUBJECT_PREFIX = f"[{SITE_NAME}] "
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if SECURE else "http"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_FORMS = {
    "signup": "accounts.forms.SignupForm",
    "login": "accounts.forms.LoginForm",
    "add_email": "accounts.forms.AddEmailForm",
    "change_password": "accounts.forms.ChangePasswordForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.forms.ResetPasswordKeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = SITE_NAME
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {"authenticate": "accounts.forms.AuthenticateForm", "reauthenticate": "accounts.forms.ReauthenticateForm"}
USERSESSIONS_TRACK_ACTIVITY = False  # three statements a request for a "last seen"; the list shows the sign-in
SESSION_COOKIE_AGE = 12 * 3600

# --- language and time ------------------------------------------------------------------------------------------
LANGUAGE_CODE = env.text("DEFAULT_LANGUAGE", "ko")
LANGUAGES = [("ko", _("Korean")), ("en", _("English"))]
if LANGUAGE_CODE not in dict(LANGUAGES):
    stop("DEFAULT_LANGUAGE", "must be ko or en")
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
FILTERS_EMPTY_CHOICE_LABEL = _("All")
USE_TZ = True
TIME_ZONE = env.text("TIME_ZONE", "Asia/Seoul")
try:
    ZoneInfo(TIME_ZONE)
except (ZoneInfoNotFoundError, ValueError):
    stop("TIME_ZONE", "is not a time zone like Asia/Seoul")

# --- files and mail ---------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = DEBUG or DEMO
MEDIA_ROOT = Path(env.text("MEDIA_ROOT", str(BASE_DIR / "var" / "media")))  # never under a web root
MAX_UPLOAD_BYTES = 20 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
vars().update(env.mail("EMAIL_URL"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "no-reply@localhost")

# --- security ---------------------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = SECURE and env.flag("SSL_REDIRECT", True)
BEHIND_PROXY = env.flag("BEHIND_PROXY")  # ours, which writes X-Forwarded-Proto and the last entry of X-Forwarded-For
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_PROXY else 0
RATELIMIT_IP_META_KEY = "accounts.adapter.client_address"
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
RATELIMIT_ENABLE = env.flag("RATELIMIT", True)
ACCOUNT_RATE_LIMITS: dict[str, str] | bool = {} if RATELIMIT_ENABLE else False
UNSAFE_REQUESTS_PER_MINUTE = "90/m"  # a person who fills forms sends a few; a loop sends hundreds
READING_REQUESTS_PER_MINUTE = "600/m"  # as the API's; ten tabs that refresh themselves every ten seconds ask for 60
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]  # django-redis is a shared cache

# --- API --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiTokenAuthentication",
        "accounts.authentication.MfaSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "common.paging.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.parsers.StrictJSONParser", "rest_framework.parsers.MultiPartParser"],
    "EXCEPTION_HANDLER": "common.api.problem_handler",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"] if RATELIMIT_ENABLE else [],
    "DEFAULT_THROTTLE_RATES": {"user": "600/min"},
    "NUM_PROXIES": ALLAUTH_TRUSTED_PROXY_COUNT,
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=90),
    "TOKEN_LIMIT_PER_USER": 20,
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_MODEL": "accounts.ApiToken",
}
KNOX_TOKEN_MODEL = "accounts.ApiToken"
SPECTACULAR_SETTINGS = {
    "TITLE": "Bitgoeul API",
    "DESCRIPTION": "Agreements, proposals, allocations, reservations and what the devices measured.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AttachmentKindEnum": "proposals.models.Attachment.Kind",
        "AgencyRoleEnum": "accounts.models.AgencyRole",
        "MembershipRoleEnum": "partners.models.Membership.Role",
        "DeviceStateEnum": DEVICE.choices(),
        "NodeStateEnum": NODE.choices(),
        "HealthEnum": "cluster.models.Device.Health",
        "UsageClassEnum": "allocations.usage_classes.UsageClass",
        "LedgerEntryKindEnum": "allocations.models.LedgerEntry.Kind",
        "QuestionKindEnum": "proposals.models.Question.Kind",
        "CallStepKindEnum": "proposals.models.CallStep.Kind",
        "SideOfAgreementEnum": "partners.models.Organisation.Kind",
        "CompanySizeEnum": "partners.models.Organisation.Size",
        "RegionEnum": "partners.models.Organisation.Region",
        "RunOutEnum": "partners.models.Agreement.RunOut",
        "ObligationKindEnum": "partners.models.Obligation.Kind",
        "AwardChangeKindEnum": "proposals.models.ChangeRequest.Kind",
        "PreparedKindEnum": "proposals.models.PreparedDecision.Kind",
        "LetterKindEnum": "proposals.models.LetterKind",
    },
}

# --- Celery -----------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_DEFAULT_QUEUE = "portal"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 100
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False  # rows are the truth; a lost nudge costs one tick
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_timeout": 30,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "retry_on_timeout": True,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
TICK_SECONDS = 2.0 if DEMO else 5.0
CELERY_BEAT_SCHEDULE = {
    "reconcile": {"task": "allocations.reconcile_tick", "schedule": TICK_SECONDS, "options": {"expires": 10}},
    "nodes": {"task": "cluster.watch_nodes", "schedule": 10.0, "options": {"expires": 10}},
    "rollup": {"task": "telemetry.roll_up", "schedule": 30.0, "options": {"expires": 30}},
    "rollup-hours": {"task": "telemetry.roll_up_hours", "schedule": 300.0, "options": {"expires": 300}},
    "partitions": {"task": "telemetry.make_partitions", "schedule": 60.0, "options": {"expires": 60}},
    "watch-idle": {"task": "usage.watch_idle", "schedule": 60.0 if DEMO else 300.0, "options": {"expires": 60}},
    "mail": {"task": "notifications.send_pending", "schedule": 10.0, "options": {"expires": 10}},
    "seal": {"task": "audit.seal", "schedule": 10.0, "options": {"expires": 10}},
    "heartbeat": {"task": "portal.worker_heartbeat", "schedule": 5.0, "options": {"expires": 5}},
    "decide-usage": {"task": "allocations.decide_usage", "schedule": 300.0, "options": {"expires": 300}},
    "learn-idle-power": {"task": "allocations.learn_idle_power", "schedule": 3600.0, "options": {"expires": 600}},
    "close-statements": {"task": "usage.close_statements", "schedule": 3600.0, "options": {"expires": 600}},
    "tidy": {"task": "portal.tidy", "schedule": 3600.0, "options": {"expires": 600}},
    "tidy-cluster": {"task": "cluster.tidy", "schedule": 3600.0, "options": {"expires": 600}},
    "tidy-telemetry": {"task": "telemetry.tidy", "schedule": 3600.0, "options": {"expires": 600}},
    "keep-answers": {"task": "proposals.keep_answers", "schedule": 600.0, "options": {"expires": 300}},
    "remind-reviews": {"task": "proposals.remind_reviews", "schedule": 300.0, "options": {"expires": 300}},
    "announce-calls": {"task": "proposals.announce_calls", "schedule": 60.0, "options": {"expires": 60}},
    "search-files": {"task": "proposals.search_files", "schedule": 60.0, "options": {"expires": 60}},
    "fast-lane": {"task": "proposals.fast_lane", "schedule": 30.0, "options": {"expires": 30}},
    "lapse-agreements": {"task": "partners.lapse_agreements", "schedule": 600.0, "options": {"expires": 300}},
    "apply-amendments": {"task": "partners.apply_amendments", "schedule": 600.0, "options": {"expires": 300}},
    "tell-in-time": {"task": "partners.tell_in_time", "schedule": 3600.0, "options": {"expires": 600}},
}

# --- telemetry -------------------------------------------------------------------------------------------------------
TELEMETRY_PARTITION_HOURS = env.number("TELEMETRY_PARTITION_HOURS", 24, 1, 24)
TELEMETRY_KEEP_SAMPLES_DAYS = env.number("TELEMETRY_KEEP_SAMPLES_DAYS", 7, 1, 400)
TELEMETRY_KEEP_MINUTES_DAYS = env.number("TELEMETRY_KEEP_MINUTES_DAYS", 90, 8, 4000)
TELEMETRY_KEEP_HOURS_DAYS = env.number("TELEMETRY_KEEP_HOURS_DAYS", 1096, 91, 40_000)
# Of CO2 equivalents. 0.4173 t a MWh at the point of use in 2023, confirmed by the committee for national greenhouse gas
# statistics (Framework Act on Carbon Neutrality, Art. 36) and published by the Ministry of Climate, Energy and
# Environment on 17 December 2025; each year again. Its text: https://www.k-esg.org/esghub/esg_news_view?idx=4184
CARBON_GRAMS_PER_MWH = env.number("CARBON_GRAMS_PER_MWH", 417_300, 0, 3_000_000)
CARBON_SOURCE = env.text("CARBON_SOURCE", "-")

# --- reviews ---------------------------------------------------------------------------------------------------------
CONFLICT_YEARS = 3  # a reviewer does not judge whom they worked for within so many years
REVIEW_REMINDER_DAYS = 3  # before a deadline of a step or a review

# --- the programme --------------------------------------------------------------------------------------------
APPEAL_DAYS = 30  # after a refusal a partner may appeal, once
AWARD_REMINDER_DAYS = (7, 3, 1)  # before an award that nobody answers expires
OVERRIDE_PERCENT = 25  # points by which two officers may pass a pool's bound of over-commitment, with a reason

# --- wiring between floors that may not import each other ---------------------------------------------------------
GPU_CLASS_CHOICES = "cluster.selectors.gpu_class_choices"  # partners asks; cluster answers
POOL_CHOICES = "cluster.selectors.pool_choices"  # the same
SIGN_IN_NOTES = "partners.selectors.sign_in_notes"  # accounts asks; what a person is told when they sign in
PARTITIONED_ELSEWHERE = ["allocations.usage_models.HOURS_BY_MONTH"]  # telemetry asks; tables of higher floors
COMMITTED_FIGURES = "proposals.selectors.committed"  # partners asks; what counts against an agreement
PROPOSAL_NAME = "proposals.selectors.name_of"  # projects asks; number and title of the proposal that it came from
PROJECT_USE = "usage.selectors.projects.use_of"  # projects asks; what it holds and what was made of it
HELD_BACK = "allocations.services.held_back.held_of"  # projects asks; what its awards hold back until a report
PROGRESS_ACCEPTED = "allocations.services.held_back.grant_rest"  # projects tells; allocations grants what was held back
DEVICES_IN_WORK = "allocations.promises.devices_in_work"  # cluster asks; a lease decides when its devices are clean
CALLS_OF_PROPOSALS = "proposals.selectors.calls_of"  # usage asks; which call each proposal answered
COMMAND_FINISHED_TASK = "allocations.reconcile_lease"  # cluster tells; allocations acts

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {"asyncssh": {"level": "WARNING"}},
}
structlog.configure(  # requests are logged like everything else, with who asked and what it was called
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
