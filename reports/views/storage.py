"""How large the measurements are and will be."""

from typing import Any

from django.utils import timezone
from django.views.generic import TemplateView

from reports.selectors.storage import storage
from reports.views.staff import StaffMixin


class StoragePage(StaffMixin, TemplateView):
    """Size, growth and forecast of each table, and the settings that decide them."""

    template_name = "reports/storage.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(storage=storage(timezone.now()), **kwargs)
