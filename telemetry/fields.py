"""Column types that Django has no name for."""

from typing import Any

from django.db import models


class RealField(models.FloatField):
    """Four bytes: seven digits are more than a sensor gives, and there are billions of them."""

    def db_type(self, connection: Any) -> str:
        return "real"


class NumbersField(models.Field):  # type: ignore[type-arg]  # it takes no parameter when it runs
    """Whole numbers as PostgreSQL's int8multirange: a run without a gap is one range. Read and written by SQL alone."""

    def db_type(self, connection: Any) -> str:
        return "int8multirange"
