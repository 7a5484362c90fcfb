"""Words of other floors that an agreement names, asked through dotted paths in the settings (never an import)."""

from django.conf import settings
from django.utils.module_loading import import_string


def gpu_class_choices() -> list[tuple[str, str]]:
    """(code, name) of every GPU class that there is."""
    return list(import_string(settings.GPU_CLASS_CHOICES)())


def pool_choices() -> list[tuple[str, str, str]]:
    """(public id, name, code of its GPU class) of every pool that there is."""
    return list(import_string(settings.POOL_CHOICES)())


def pool_names(pools: list[str]) -> list[str]:
    """Names of pools by public id, in the order of their names; no query where none is named."""
    return [name for pool, name, _code in pool_choices() if pool in pools] if pools else []
