"""Public ids: short, typed, never a database integer (`lease-7f3k2mqp`)."""

import secrets
from typing import Any

from django.db import models

# No vowels (no words by accident) and no 0/o, 1/l/i: ids are read aloud on the telephone.
ALPHABET = "23456789bcdfghjkmnpqrstvwxyz"
LENGTH = 8  # 28**8 = 3.8e11: at a million rows an insert collides once in 380,000 times, and the constraint says so


def new_public_id(prefix: str) -> str:
    """`prefix-` and eight random letters."""
    return f"{prefix}-" + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


class PublicIdField(models.CharField):
    """A unique, unguessable id with its noun's prefix, made when the row is created."""

    def __init__(self, *, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        kwargs.update(max_length=40, unique=True, editable=False)
        super().__init__(**kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        for key in ("max_length", "unique", "editable"):
            kwargs.pop(key, None)
        kwargs["prefix"] = self.prefix
        return name, path, args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if add and not getattr(model_instance, self.attname):
            setattr(model_instance, self.attname, new_public_id(self.prefix))
        return super().pre_save(model_instance, add)

    def get_default(self) -> str:
        return new_public_id(self.prefix)
